//! Layer normalisation.

use serde::{Deserialize, Serialize};

use super::{Operator, features, only};
use crate::{OpParam, Result, Role, Shape, limits};

/// Normalisation over the last dimension, each position on its own: (x − μ)/√(σ² + ε), then a learnt scale
/// and shift. Keeps the shape. Ba et al. 2016, arXiv:1607.06450, equation 4.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerNorm {
    /// Added to the (biased) variance.
    pub eps: f32,
    /// Whether a learnt scale (`weight`) and shift (`bias`) follow, one each per element of the last dimension.
    pub affine: bool,
}

impl Default for LayerNorm {
    fn default() -> Self {
        Self { eps: 1e-5, affine: true }
    }
}

impl Operator for LayerNorm {
    fn title(&self, _: &[&Shape]) -> String {
        "LayerNorm".into()
    }

    fn check(&self) -> Result<()> {
        limits::real("eps", self.eps, self.eps > 0.0, "a positive number")
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        only("layer_norm", inputs).cloned()
    }

    fn params(&self, inputs: &[&Shape]) -> Vec<OpParam> {
        if !self.affine {
            return Vec::new();
        }
        let size = features(inputs);
        vec![OpParam::per_channel("weight", size, Role::NormScale), OpParam::per_channel("bias", size, Role::NormShift)]
    }
}
