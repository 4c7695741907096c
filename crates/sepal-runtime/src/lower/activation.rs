//! Activations: a step of their own until a pass fuses them.

use sepal_graph::Activation;

use super::Lowering;
use crate::error::{Result, RuntimeError};
use crate::ir::{Act, Apply, Kind};

pub(super) fn activation(lowering: &mut Lowering<'_>, op: Activation) -> Result<Kind> {
    let slopes = match op {
        Activation::Prelu => lowering.param("weight")?,
        Activation::Relu
        | Activation::Relu6
        | Activation::Elu { .. }
        | Activation::Silu
        | Activation::HardSwish
        | Activation::HardSigmoid
        | Activation::Sigmoid => Vec::new(),
        Activation::Tanh
        | Activation::LeakyRelu { .. }
        | Activation::Gelu
        | Activation::GeluTanh
        | Activation::Mish
        | Activation::Clip { .. } => {
            return Err(RuntimeError::Unsupported { path: lowering.node.path.clone(), what: op.to_string() });
        }
    };
    Ok(Kind::Apply(Apply { affine: None, act: Act { function: Some(op), slopes } }))
}
