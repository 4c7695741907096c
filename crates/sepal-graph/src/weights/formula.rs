//! Weights from a closed formula, for golden files that hold only outputs.

use super::Weights;
use crate::{Graph, Result, Role, Tensor};

impl Weights {
    /// Weights from a closed formula of each parameter's ordinal and each element's index.
    ///
    /// For element `i` of the `p`-th parameter in the order of [`Graph::params`] (all counted
    /// from 0, running statistics included), with `u = noise(p, i)` below, in f64 and rounded to
    /// f32 once:
    ///
    /// | role | value |
    /// |---|---|
    /// | convolution, grouped, depthwise, pointwise weight | √(6 / fan-in)·u, fan-in = k²·I/groups |
    /// | linear weight | √(3 / I)·u |
    /// | bias, norm shift, running mean | 0.1·u |
    /// | norm scale | 1 + 0.25·u |
    /// | running variance | 1 + 0.5·u |
    /// | PReLU slope | 0.25 + 0.1·u |
    /// | constant | 0.5·u |
    ///
    /// `noise` is exact in f32 and the square root correctly rounded, so Python gives the same
    /// bits:
    ///
    /// ```python
    /// def noise(p, i):                      # i: numpy uint64 array
    ///     m = np.uint64(0xFFFFFFFF)
    ///     h = (i * np.uint64(2654435761) + np.uint64(p * 2246822519 + 1)) & m
    ///     h = ((h ^ (h >> np.uint64(15))) * np.uint64(2246822519)) & m
    ///     h = ((h ^ (h >> np.uint64(13))) * np.uint64(3266489917)) & m
    ///     h = h ^ (h >> np.uint64(16))
    ///     return (h >> np.uint64(8)).astype(np.float64) / 8388608.0 - 1.0
    /// ```
    ///
    /// # Errors
    /// The graph is not valid.
    pub fn formula(graph: &Graph) -> Result<Self> {
        let specs = graph.params()?;
        let tensors = specs.into_iter().enumerate().map(|(p, spec)| {
            let fan_in = spec.fan_in.max(1) as f64;
            let (centre, scale) = match spec.role {
                Role::ConvWeight | Role::DepthwiseWeight | Role::PointwiseWeight => (0.0, (6.0 / fan_in).sqrt()),
                Role::LinearWeight => (0.0, (3.0 / fan_in).sqrt()),
                Role::Bias | Role::NormShift | Role::NormMean => (0.0, 0.1),
                Role::NormScale => (1.0, 0.25),
                Role::NormVar => (1.0, 0.5),
                Role::Slope => (0.25, 0.1),
                Role::Value | Role::Constant => (0.0, 0.5),
            };
            let mut tensor = Tensor::full(spec.shape, 0.0)?;
            for (i, value) in tensor.data_mut().iter_mut().enumerate() {
                *value = (centre + scale * Self::noise(p, i)) as f32;
            }
            Ok((spec.path, tensor))
        });
        tensors.collect()
    }

    /// The pseudo-random value in [−1, 1) that [`Weights::formula`] is made of, a multiple of
    /// 2⁻²³. Also good for filling inputs: `noise(ordinal, i)` with any ordinal.
    #[must_use]
    pub fn noise(p: usize, i: usize) -> f64 {
        let seed = (p as u32).wrapping_mul(2_246_822_519).wrapping_add(1);
        let mut h = (i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed);
        h = (h ^ (h >> 15)).wrapping_mul(2_246_822_519);
        h = (h ^ (h >> 13)).wrapping_mul(3_266_489_917);
        h ^= h >> 16;
        f64::from(h >> 8) / 8_388_608.0 - 1.0
    }
}
