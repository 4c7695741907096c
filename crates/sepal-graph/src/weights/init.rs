//! Random initial weights.

use std::f64::consts::TAU;

use rand_pcg::Pcg64;
use rand_pcg::rand_core::Rng as _;

use super::Weights;
use crate::{Graph, ParamSpec, Result, Role, Tensor};

impl Weights {
    /// Random initial weights for training.
    ///
    /// | role | value |
    /// |---|---|
    /// | convolution, grouped, depthwise, pointwise weight | normal, mean 0, standard deviation √(2 / fan-out), fan-out = k²·O/groups |
    /// | linear weight | normal, mean 0, standard deviation 0.01 |
    /// | bias, norm shift, running mean, constant | 0 |
    /// | norm scale, running variance | 1 |
    /// | PReLU slope | 0.25 |
    ///
    /// Convolutions follow He et al. 2015 (arXiv:1502.01852, §2.2, backward case), the linear
    /// layer Goyal et al. 2017 (arXiv:1706.02677, §5.1). Each tensor is drawn from a PCG stream
    /// of its own, made from the seed and the parameter's path: adding a layer changes no other.
    ///
    /// # Errors
    /// The graph is not valid.
    pub fn init(graph: &Graph, seed: u64) -> Result<Self> {
        let specs = graph.params()?;
        let tensors = specs.into_iter().map(|spec| {
            let tensor = init_param(&spec, seed)?;
            Ok((spec.path, tensor))
        });
        tensors.collect()
    }
}

/// The initial value of one parameter; see [`Weights::init`].
fn init_param(spec: &ParamSpec, seed: u64) -> Result<Tensor> {
    let std = match spec.role {
        Role::ConvWeight | Role::DepthwiseWeight | Role::PointwiseWeight => (2.0 / spec.fan_out.max(1) as f64).sqrt(),
        Role::LinearWeight => 0.01,
        Role::Bias | Role::NormShift | Role::NormMean | Role::Value | Role::Constant => {
            return Tensor::full(spec.shape.clone(), 0.0);
        }
        Role::NormScale | Role::NormVar => return Tensor::full(spec.shape.clone(), 1.0),
        Role::Slope => return Tensor::full(spec.shape.clone(), 0.25),
    };
    let hash = fnv1a(spec.path.as_bytes());
    let state = (u128::from(seed) << 64) | u128::from(hash);
    let mut rng = Pcg64::new(state, u128::from(hash));
    let mut tensor = Tensor::full(spec.shape.clone(), 0.0)?;
    for pair in tensor.data_mut().chunks_mut(2) {
        let normal = box_muller(&mut rng);
        for (value, normal) in pair.iter_mut().zip(normal) {
            *value = (std * normal) as f32;
        }
    }
    Ok(tensor)
}

/// Two independent standard normal values.
fn box_muller(rng: &mut Pcg64) -> [f64; 2] {
    // In (0, 1], so that the logarithm is finite.
    let u = 1.0 - uniform(rng);
    let angle = TAU * uniform(rng);
    let radius = (-2.0 * u.ln()).sqrt();
    [radius * angle.cos(), radius * angle.sin()]
}

/// Uniform in [0, 1) on the grid of 2⁻⁵³.
fn uniform(rng: &mut Pcg64) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// The 64-bit FNV-1a hash: fixed for ever, unlike the standard library's.
fn fnv1a(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix)
}

#[cfg(test)]
mod tests {
    use super::fnv1a;

    #[test]
    fn fnv1a_matches_its_published_vectors() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
