//! Comparing numbers.

use std::fmt::Write as _;

/// Asserts that every |actual − expected| ≤ `abs` + `rel`·|expected|. NaN is close to nothing,
/// an infinity to itself.
///
/// # Panics
/// Lengths differ or a value is too far off: the message says how many are, and shows the worst
/// and the first ones.
#[track_caller]
pub fn assert_close<A, E>(actual: &[A], expected: &[E], rel: f64, abs: f64, what: &str)
where
    A: Copy + Into<f64>,
    E: Copy + Into<f64>,
{
    assert_eq!(actual.len(), expected.len(), "{what}: lengths differ");
    let mut bad = Vec::new();
    let mut worst = (0, f64::NEG_INFINITY);
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        let (a, e): (f64, f64) = ((*a).into(), (*e).into());
        let allowed = abs + rel * e.abs();
        let off = (a - e).abs();
        if a == e || off <= allowed {
            continue;
        }
        let score = if off.is_nan() { f64::INFINITY } else { off / allowed };
        if score > worst.1 {
            worst = (i, score);
        }
        bad.push(i);
    }
    if bad.is_empty() {
        return;
    }
    let mut text =
        format!("{what}: {} of {} values differ by more than {abs:e} + {rel:e}·|expected|", bad.len(), actual.len());
    let shown = std::iter::once(("worst", worst.0)).chain(bad.iter().take(5).map(|i| ("", *i)));
    for (label, i) in shown {
        let (a, e): (f64, f64) = (actual[i].into(), expected[i].into());
        let off = (a - e).abs();
        let _ = write!(text, "\n  {label:>5} [{i}] actual {a:e}, expected {e:e}, off by {off:e}");
    }
    panic!("{text}");
}

/// The largest |actual − expected| as a share of the largest |expected|; of 1 where all expected
/// values are zero. NaN if any value is NaN.
///
/// # Panics
/// Lengths differ.
#[must_use]
pub fn max_relative_error<A, E>(actual: &[A], expected: &[E]) -> f64
where
    A: Copy + Into<f64>,
    E: Copy + Into<f64>,
{
    assert_eq!(actual.len(), expected.len(), "lengths differ");
    let (mut off, mut scale) = (0.0_f64, 0.0_f64);
    for (a, e) in actual.iter().zip(expected) {
        let (a, e): (f64, f64) = ((*a).into(), (*e).into());
        if a.is_nan() || e.is_nan() {
            return f64::NAN;
        }
        off = off.max((a - e).abs());
        scale = scale.max(e.abs());
    }
    if scale > 0.0 { off / scale } else { off }
}
