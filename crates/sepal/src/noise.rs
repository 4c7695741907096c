//! Inputs where no picture is at hand.

use sepal_data::Stream;

/// So many numbers with mean 0 and variance 1, the same for the same seed. Speed does not depend on their
/// distribution, only on their not being all alike.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut stream = Stream::new(seed, 0, 0, "noise");
    let bound = 3f32.sqrt();
    (0..len).map(|_| stream.range(-bound, bound)).collect()
}
