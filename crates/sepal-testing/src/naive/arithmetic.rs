//! Sums, differences, products, quotients, gated sums. Dimensions start with the batch.

use super::tensor::{at, build};

/// `f` of each pair of elements; a dimension of 1 is repeated.
pub(super) fn broadcast(
    (a, a_dims): (&[f64], &[usize]),
    (b, b_dims): (&[f64], &[usize]),
    dims: &[usize],
    f: impl Fn(f64, f64) -> f64,
) -> Vec<f64> {
    let repeated = |x: &[f64], own: &[usize], index: &[usize]| {
        let index: Vec<usize> = index.iter().zip(own).map(|(&i, &size)| if size == 1 { 0 } else { i }).collect();
        at(x, own, &index)
    };
    build(dims, |index| f(repeated(a, a_dims, index), repeated(b, b_dims, index)))
}

/// Each image's values times its gates, summed.
pub(super) fn gated_sum(gate: &[f64], values: &[&[f64]], batch: usize) -> Vec<f64> {
    let count = values[0].len();
    (0..count)
        .map(|i| {
            let image = i / (count / batch);
            values.iter().enumerate().map(|(d, x)| gate[image * values.len() + d] * x[i]).sum()
        })
        .collect()
}
