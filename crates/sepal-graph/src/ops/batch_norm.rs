//! Batch normalisation.

use serde::{Deserialize, Serialize};

use super::{Operator, channels, only};
use crate::{OpParam, Result, Role, Shape, limits};

/// Batch normalisation over the batch and all pixels of a channel, with PyTorch's conventions:
/// training divides by the biased variance and moves the running variance towards the unbiased
/// one by `momentum`. Keeps the shape of a map or vector.
///
/// Ioffe & Szegedy 2015, arXiv:1502.03167, algorithm 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchNorm {
    /// Added to the variance.
    pub eps: f32,
    /// Weight of the newest batch in the running statistics, 0 to 1.
    pub momentum: f32,
    /// Whether a learnt scale (`weight`) and shift (`bias`) follow.
    pub affine: bool,
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self { eps: 1e-5, momentum: 0.1, affine: true }
    }
}

impl Operator for BatchNorm {
    fn title(&self, _: &[&Shape]) -> String {
        "BatchNorm".into()
    }

    fn check(&self) -> Result<()> {
        limits::real("eps", self.eps, self.eps > 0.0, "a positive number")?;
        let ok = (0.0..=1.0).contains(&self.momentum);
        limits::real("momentum", self.momentum, ok, "between 0 and 1")
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        only("batch_norm", inputs).cloned()
    }

    fn params(&self, inputs: &[&Shape]) -> Vec<OpParam> {
        let c = channels(inputs);
        let mut params = Vec::with_capacity(4);
        if self.affine {
            params.push(OpParam::per_channel("weight", c, Role::NormScale));
            params.push(OpParam::per_channel("bias", c, Role::NormShift));
        }
        params.push(OpParam::per_channel("running_mean", c, Role::NormMean));
        params.push(OpParam::per_channel("running_var", c, Role::NormVar));
        params
    }
}
