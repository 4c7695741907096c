//! Random numbers as a pure function of (seed, epoch, index).
//!
//! A resumed run must draw what the uninterrupted run would have drawn, whichever thread draws it and
//! whatever was drawn before. So there is no generator that is carried along: each use makes its own
//! from the numbers that name it. The generator is PCG32 (O'Neill 2014), the derivation of its state
//! splitmix64 (Steele et al. 2014), and the distributions are defined here, so that no dependency's
//! new version changes a run.

use rand_pcg::Pcg32;
use rand_pcg::rand_core::Rng;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream(Pcg32);

impl Stream {
    /// The stream of the use called `name` for picture `index` in `epoch`. Streams of different names
    /// are independent, so that switching one augmentation on leaves the others' numbers as they were.
    pub fn new(seed: u64, epoch: u64, index: u64, name: &str) -> Self {
        let name =
            name.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let mut key = 0;
        for part in [seed, epoch, index, name] {
            key = mix(key ^ part);
        }
        Self(Pcg32::new(key, mix(key)))
    }

    /// Uniform over all 32-bit numbers.
    pub fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Uniform in [0, 1), a multiple of 2⁻²⁴.
    pub fn unit(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / (1 << 24) as f32)
    }

    /// Uniform in [low, high); `low` if the range is empty.
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in 0..n without bias (Lemire 2019, arXiv:1805.10941); 0 if n is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        let mut product = u64::from(self.next_u32()) * u64::from(n);
        if (product as u32) < n {
            let least = n.wrapping_neg() % n;
            while (product as u32) < least {
                product = u64::from(self.next_u32()) * u64::from(n);
            }
        }
        (product >> 32) as u32
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// Normally distributed with mean 0 and deviation 1 (Box & Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.positive().ln()).sqrt();
        radius * (std::f64::consts::TAU * f64::from(self.unit())).cos()
    }

    /// From the beta distribution of (α, α), in [0, 1]; α is above 0.
    pub fn beta(&mut self, alpha: f64) -> f64 {
        // As logarithms: for a small α both numbers may be too small to be told from 0.
        let [first, second] = [self.log_gamma(alpha), self.log_gamma(alpha)];
        1.0 / (1.0 + (second - first).exp())
    }

    /// The logarithm of a number of the gamma distribution of shape α and scale 1 (Marsaglia & Tsang 2000).
    fn log_gamma(&mut self, alpha: f64) -> f64 {
        if alpha < 1.0 {
            return self.log_gamma(alpha + 1.0) + self.positive().ln() / alpha;
        }
        let d = alpha - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && self.positive().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d.ln() + v.ln();
            }
        }
    }

    /// Uniform in (0, 1].
    fn positive(&mut self) -> f64 {
        1.0 - f64::from(self.unit())
    }

    /// Shuffles in place (Fisher–Yates from the end).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(u32::try_from(i + 1).unwrap_or(u32::MAX)) as usize;
            items.swap(i, j);
        }
    }
}

/// The finaliser of splitmix64, a bijection whose every output bit depends on every input bit.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The order in which an epoch visits the `len` pictures of a data set: a permutation of `0..len`
/// that depends on `seed` and `epoch` alone. Data sets hold fewer than 2³² pictures.
pub fn order(len: usize, seed: u64, epoch: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..u32::try_from(len).unwrap_or(u32::MAX)).collect();
    Stream::new(seed, epoch, 0, "order").shuffle(&mut order);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_a_permutation_that_changes_per_epoch_and_seed() {
        for len in [0, 1, 2, 1000] {
            let mut sorted = order(len, 7, 3);
            sorted.sort_unstable();
            assert_eq!(sorted, (0..len as u32).collect::<Vec<_>>());
        }
        assert_eq!(order(100, 7, 3), order(100, 7, 3));
        assert_ne!(order(100, 7, 3), order(100, 7, 4));
        assert_ne!(order(100, 7, 3), order(100, 8, 3));
    }

    #[test]
    fn the_numbers_are_fixed_for_ever() {
        // A change here makes every resumed run another run.
        assert_eq!(order(8, 0, 0), FIXED_ORDER);
        let mut stream = Stream::new(1, 2, 3, "hflip");
        assert_eq!([stream.next_u32(), stream.next_u32()], FIXED_NUMBERS);
    }

    const FIXED_ORDER: [u32; 8] = [5, 1, 2, 3, 0, 4, 7, 6];
    const FIXED_NUMBERS: [u32; 2] = [237_678_024, 212_472_019];

    #[test]
    fn every_place_is_equally_likely() {
        let mut counts = [[0u32; 5]; 5];
        for seed in 0..20_000 {
            for (place, item) in order(5, seed, 0).into_iter().enumerate() {
                counts[place][item as usize] += 1;
            }
        }
        // 20,000 draws at p = 1/5: standard deviation 57.
        assert!(counts.iter().flatten().all(|&n| n.abs_diff(4000) < 300), "{counts:?}");
    }

    #[test]
    fn uniforms_stay_in_their_ranges() {
        let mut stream = Stream::new(0, 0, 0, "test");
        let mut sum = 0.0;
        for _ in 0..10_000 {
            let x = stream.range(-1.0, 3.0);
            assert!((-1.0..3.0).contains(&x));
            sum += f64::from(x);
            assert!(stream.below(7) < 7);
        }
        assert!((sum / 10_000.0 - 1.0).abs() < 0.05);
        assert_eq!(stream.below(0), 0);
        assert!(!stream.chance(0.0) && stream.chance(1.0));
    }

    #[test]
    fn the_beta_distribution_has_its_mean_and_variance() {
        for alpha in [0.01, 0.2, 0.8, 1.0, 2.0, 30.0] {
            let mut stream = Stream::new(5, 0, 0, "beta");
            let draws: Vec<f64> = (0..40_000).map(|_| stream.beta(alpha)).collect();
            assert!(draws.iter().all(|x| (0.0..=1.0).contains(x)), "{alpha}");
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!(
                (mean - 0.5).abs() < 0.01 && (variance / expected - 1.0).abs() < 0.04,
                "{alpha}: {mean} {variance}"
            );
        }
    }
}
