//! Activations: a step of their own until a pass fuses them.

use sepal_graph::Activation;

use super::Lowering;
use crate::error::Result;
use crate::ir::{Act, Apply, Kind, Param, ValueId};

pub(super) fn activation(lowering: &mut Lowering<'_>, op: Activation) -> Result<ValueId> {
    let mut input = lowering.input();
    let mut slopes = Param::default();
    if op == Activation::Prelu {
        // A slope for each element of the first dimension.
        input = lowering.led_by(input, 0);
        slopes = lowering.param("weight")?;
    }
    let apply = Apply { affine: None, act: Act { function: Some(op), slopes } };
    Ok(lowering.map(Kind::Apply(apply), input))
}
