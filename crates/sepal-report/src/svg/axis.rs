//! Axis ranges and ticks.

/// Beyond this a value is taken for a diverged run and left out, as NaN is: differences of axis ends stay finite.
const LARGEST: f64 = 1e100;

/// Whether a value can be drawn.
pub(super) fn drawable(v: f64) -> bool {
    v.is_finite() && v.abs() <= LARGEST
}

/// One axis: the range drawn and the values labelled, in ascending order and inside the range.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Vec<f64>,
    step: f64,
}

impl Axis {
    /// An axis over `low..=high` (drawable, in order; equal ends are spread) with about `wanted` ticks at 1, 2 or 5
    /// times a power of ten. `snap` widens the range to whole ticks; `whole` allows whole numbers only.
    pub(super) fn new(low: f64, high: f64, wanted: usize, snap: bool, whole: bool) -> Self {
        let (mut low, mut high) = if low <= high { (low, high) } else { (high, low) };
        // A step of 1 between numbers this large is lost in rounding.
        let whole = whole && low.abs().max(high.abs()) < 1e9;
        // A flat line stands in the middle of a range that arithmetic can still tell apart.
        let least = (1e-9 * low.abs().max(high.abs())).max(1e-200);
        if high - low <= least {
            let pad = if whole { 1.0 } else { (0.1 * low.abs()).max(1e-6) };
            low -= pad;
            high += pad;
        }
        let raw = (high - low) / wanted.max(1) as f64;
        let magnitude = 10f64.powf(raw.log10().floor());
        let factor = match raw / magnitude {
            f if f <= 1.0 => 1.0,
            f if f <= 2.0 => 2.0,
            f if f <= 5.0 => 5.0,
            _ => 10.0,
        };
        let mut step = factor * magnitude;
        if whole {
            step = step.max(1.0);
        }
        if snap {
            low = (low / step).floor() * step;
            high = (high / step).ceil() * step;
        }
        let first = (low / step - 1e-6).ceil();
        let last = (high / step + 1e-6).floor();
        let count = (last - first).clamp(0.0, 50.0) as usize;
        // -0.0 would be labelled "-0".
        let ticks = (0..=count)
            .map(|i| (first + i as f64) * step + 0.0)
            .filter(|t| *t >= low - 1e-6 * step && *t <= high + 1e-6 * step)
            .collect();
        Self { low, high, ticks, step }
    }

    /// Position of `v` between the axis's ends, 0 to 1 inside them.
    pub(super) fn place(&self, v: f64) -> f64 {
        (v - self.low) / (self.high - self.low)
    }

    /// A tick's label, all of one axis with the same number of decimals.
    pub(super) fn label(&self, tick: f64) -> String {
        let largest = self.low.abs().max(self.high.abs());
        if largest >= 1e6 || self.step < 1e-5 {
            return format!("{tick:.2e}");
        }
        let decimals = (-(self.step * 1.000_001).log10().floor()).max(0.0) as usize;
        let text = format!("{tick:.decimals$}");
        // A tick that should be 0 but is -1e-17.
        if text.bytes().all(|b| matches!(b, b'-' | b'0' | b'.')) {
            return text.trim_start_matches('-').to_owned();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nice_ticks() {
        let a = Axis::new(0.13, 2.31, 5, true, false);
        assert_eq!((a.low, a.high), (0.0, 2.5));
        let labels: Vec<String> = a.ticks.iter().map(|&t| a.label(t)).collect();
        assert_eq!(labels, ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"]);
    }

    #[test]
    fn whole_numbers() {
        let a = Axis::new(1.0, 3.0, 8, false, true);
        assert_eq!(a.ticks, [1.0, 2.0, 3.0]);
        assert_eq!(a.label(2.0), "2");
    }

    #[test]
    fn any_range_gives_a_usable_axis() {
        let values = [0.0, -0.0, 1.0, -1.0, 1e-300, 5e-324, 1e100, -1e100, 1e-12, 3.7e8, 0.1, 1.0 + 1e-15];
        for &low in &values {
            for &high in &values {
                for snap in [false, true] {
                    for whole in [false, true] {
                        let a = Axis::new(low, high, 6, snap, whole);
                        assert!(a.low < a.high, "{low} {high} {a:?}");
                        assert!(a.ticks.len() <= 52, "{low} {high} {a:?}");
                        assert!(a.place(low).is_finite() && a.place(high).is_finite());
                        for &t in &a.ticks {
                            assert!(!a.label(t).contains("NaN") && !a.label(t).is_empty());
                        }
                    }
                }
            }
        }
    }
}
