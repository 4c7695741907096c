//! What the times of many iterations say.

use std::time::Duration;

/// Seconds.
pub(crate) struct Stats {
    pub(super) count: usize,
    pub(crate) median: f64,
    pub(super) mean: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) p25: f64,
    pub(super) p75: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
}

impl Stats {
    /// Of at least one sample; of none, all zero.
    pub(crate) fn new(samples: Vec<Duration>) -> Self {
        let mut seconds: Vec<f64> = samples.into_iter().map(|s| s.as_secs_f64()).collect();
        seconds.sort_by(f64::total_cmp);
        let count = seconds.len();
        let at = |share: f64| {
            // The nearest rank: the least value that so many do not exceed.
            let rank = (share * count as f64).ceil() as usize;
            seconds.get(rank.max(1) - 1).copied().unwrap_or(0.0)
        };
        let middle = [count.saturating_sub(1) / 2, count / 2].map(|i| seconds.get(i).copied().unwrap_or(0.0));
        Self {
            count,
            median: (middle[0] + middle[1]) / 2.0,
            mean: seconds.iter().sum::<f64>() / count.max(1) as f64,
            min: at(0.0),
            max: at(1.0),
            p25: at(0.25),
            p75: at(0.75),
            p90: at(0.9),
            p99: at(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_ten_and_of_one() {
        let stats = Stats::new((1..=10).rev().map(Duration::from_secs).collect());
        assert_eq!((stats.count, stats.median, stats.mean), (10, 5.5, 5.5));
        assert_eq!((stats.min, stats.max, stats.p90, stats.p99), (1.0, 10.0, 9.0, 10.0));
        assert_eq!((stats.p25, stats.p75), (3.0, 8.0));
        let one = Stats::new(vec![Duration::from_secs(2)]);
        assert_eq!((one.median, one.min, one.p90, one.max), (2.0, 2.0, 2.0, 2.0));
    }
}
