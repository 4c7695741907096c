//! Fully connected layer.

use serde::{Deserialize, Serialize};

use super::{Operator, features, only};
use crate::{OpParam, Result, Role, Shape, limits};

/// y = W·x + b on the last dimension: `[…, I]` to `[…, O]`, weight `[O, I]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Outputs, O.
    pub out_features: usize,
    /// Whether a bias is added.
    pub bias: bool,
}

impl Linear {
    /// A layer with bias.
    #[must_use]
    pub fn new(out_features: usize) -> Self {
        Self { out_features, bias: true }
    }
}

impl Operator for Linear {
    fn title(&self, _: &[&Shape]) -> String {
        "Linear".into()
    }

    fn check(&self) -> Result<()> {
        limits::count("out_features", self.out_features)
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        let mut dims = only("linear", inputs)?.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = self.out_features;
        }
        Shape::new(dims)
    }

    fn params(&self, inputs: &[&Shape]) -> Vec<OpParam> {
        let c_in = features(inputs);
        let mut params = vec![OpParam {
            name: "weight",
            shape: vec![self.out_features, c_in],
            role: Role::LinearWeight,
            fan_in: c_in,
            fan_out: self.out_features,
        }];
        if self.bias {
            params.push(OpParam::per_channel("bias", self.out_features, Role::Bias));
        }
        params
    }

    fn macs(&self, inputs: &[&Shape], output: &Shape) -> Option<u64> {
        (features(inputs) as u64).checked_mul(output.elements() as u64)
    }
}
