//! Depthwise layers against the pointwise ones beside them.

use serde::Serialize;

use super::LayerKind;

/// A paired comparison: over the depthwise layers, the mean of their value less that of the pointwise layers just before
/// and after, which are as deep on average. The interval is that of Student's t. Layers of one network are no independent
/// draws, so it describes how far the difference holds at every depth rather than for every network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Comparison {
    /// Depthwise layers.
    pub n: usize,
    /// Mean difference, depthwise less pointwise.
    pub mean: f64,
    /// Lower end of its 95 % confidence interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What a comparison says of a claim about its sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// The interval is on the claim's side.
    Agrees,
    /// It is on the other side.
    Contradicts,
    /// It includes no difference.
    Open,
}

impl Comparison {
    /// Whether depthwise layers have more, as claimed.
    #[must_use]
    pub fn more_in_depthwise(&self) -> Finding {
        match (self.low > 0.0, self.high < 0.0) {
            (true, _) => Finding::Agrees,
            (_, true) => Finding::Contradicts,
            _ => Finding::Open,
        }
    }

    /// Whether pointwise layers have more, as claimed.
    #[must_use]
    pub fn more_in_pointwise(&self) -> Finding {
        match self.more_in_depthwise() {
            Finding::Agrees => Finding::Contradicts,
            Finding::Contradicts => Finding::Agrees,
            Finding::Open => Finding::Open,
        }
    }
}

/// Compares the values of layers in the order in which they compute; `None` for fewer than three pairs.
pub(super) fn beside(layers: &[(LayerKind, f64)]) -> Option<Comparison> {
    let pointwise = |layer: &&(LayerKind, f64)| layer.0 == LayerKind::Pointwise;
    let mut differences = Vec::new();
    for (at, (kind, value)) in layers.iter().enumerate() {
        if *kind != LayerKind::Depthwise {
            continue;
        }
        let before = layers[..at].iter().rev().find(pointwise);
        let after = layers[at + 1..].iter().find(pointwise);
        let beside = match (before, after) {
            (Some(before), Some(after)) => (before.1 + after.1) / 2.0,
            (Some(only), None) | (None, Some(only)) => only.1,
            (None, None) => continue,
        };
        differences.push(value - beside);
    }
    let n = differences.len();
    if n < 3 {
        return None;
    }
    let mean = differences.iter().sum::<f64>() / n as f64;
    let squares: f64 = differences.iter().map(|d| (d - mean).powi(2)).sum();
    let error = (squares / (n - 1) as f64 / n as f64).sqrt();
    let reach = student(n - 1) * error;
    Some(Comparison { n, mean, low: mean - reach, high: mean + reach })
}

/// The 97.5 % quantile of Student's t with two or more degrees of freedom: exact for two, else Abramowitz & Stegun 26.7.5.
fn student(freedom: usize) -> f64 {
    if freedom <= 2 {
        return 4.302_653;
    }
    let (z, v) = (1.959_964_f64, freedom as f64);
    let terms = [
        (z.powi(3) + z) / 4.0,
        (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
        (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
        (79.0 * z.powi(9) + 776.0 * z.powi(7) + 1482.0 * z.powi(5) - 1920.0 * z.powi(3) - 945.0 * z) / 92160.0,
    ];
    z + terms.iter().zip(1..).map(|(term, power)| term / v.powi(power)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::LayerKind::{Depthwise as D, Pointwise as P};
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (freedom, expected) in [(2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (24, 2.064), (100, 1.984)] {
            assert!((student(freedom) - expected).abs() < 0.02, "{freedom}: {}", student(freedom));
        }
    }

    #[test]
    fn neighbours_in_depth_are_compared() {
        // A value that grows by one a layer is no difference, but at the ends.
        let even = [(P, 0.0), (D, 1.0), (P, 2.0), (D, 3.0), (P, 4.0), (D, 5.0), (P, 6.0)];
        let found = beside(&even).unwrap();
        assert_eq!((found.n, found.mean, found.low, found.high), (3, 0.0, 0.0, 0.0));
        assert_eq!(found.more_in_depthwise(), Finding::Open);
        let apart = [(D, 0.5), (P, 0.1), (D, 0.6), (P, 0.2), (D, 0.7), (P, 0.3)];
        let found = beside(&apart).unwrap();
        assert!((found.mean - (0.4 + 0.45 + 0.45) / 3.0).abs() < 1e-12);
        assert_eq!((found.more_in_depthwise(), found.more_in_pointwise()), (Finding::Agrees, Finding::Contradicts));
        assert!(beside(&apart[..4]).is_none());
        // One outlier more, and nothing is shown.
        let wide = [(D, 0.5), (P, 0.4), (D, 0.6), (P, 0.5), (D, 0.1), (P, 0.4)];
        assert_eq!(beside(&wide).unwrap().more_in_pointwise(), Finding::Open);
    }
}
