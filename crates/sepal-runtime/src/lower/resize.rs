//! Resizing of maps.

use sepal_graph::Interpolate;

use super::Lowering;
use crate::ir::{Kind, ValueId};
use crate::taps;
use crate::view::View;

pub(super) fn interpolate(lowering: &mut Lowering<'_>, op: &Interpolate) -> ValueId {
    let x = lowering.natural(lowering.input());
    let taps = taps::interpolate(op, lowering.view(x).shape.size(), lowering.output.size());
    let view = View::natural(lowering.output.clone());
    lowering.step(Kind::Resample(taps), vec![x], view)
}
