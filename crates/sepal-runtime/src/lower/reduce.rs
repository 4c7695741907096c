//! What reduces dimensions or normalises along one.

use sepal_graph::{LayerNorm, Shape, Softmax};

use super::{Lowering, shape};
use crate::error::Result;
use crate::ir::{self, Kind, ValueId};
use crate::view::View;

/// The mean over dimensions: over all pixels, once the dimension that is left is the channels.
pub(super) fn mean(lowering: &mut Lowering<'_>, axes: &[usize]) -> ValueId {
    let x = lowering.input();
    let dims = lowering.view(x).shape.dims().to_vec();
    let (kept, reduced): (Vec<usize>, Vec<usize>) = (0..dims.len()).partition(|axis| !axes.contains(axis));
    let channels = lowering.view(x).channels();
    let long = kept.iter().copied().filter(|&axis| dims[axis] > 1).collect::<Vec<_>>();
    let left = match long[..] {
        [] if kept.contains(&channels) => Some(channels),
        [] => kept.first().copied(),
        [axis] => Some(axis),
        _ => None,
    };
    let Some(axis) = left else {
        // All that is left as channels, all that is reduced as pixels.
        let order: Vec<usize> = kept.iter().chain(&reduced).copied().collect();
        let sizes = [&kept, &reduced].map(|axes| axes.iter().map(|&axis| dims[axis]).product());
        let x = shape::transposed(lowering, x, &order);
        let x = shape::reshape(lowering, x, shape_of(sizes.to_vec(), lowering.output));
        let x = lowering.led_by(x, 0);
        let view = View::natural(shape_of(vec![sizes[0]], lowering.output));
        let x = lowering.step(Kind::GlobalAverage, vec![x], view);
        return shape::reshape(lowering, x, lowering.output.clone());
    };
    let x = lowering.led_by(x, axis);
    // Without the reduced dimensions before it, unless they stay.
    let at = match lowering.output.rank() == dims.len() {
        true => axis,
        false => kept.iter().filter(|&&other| other < axis).count(),
    };
    let view = View::leading(lowering.output.clone(), at);
    lowering.step(Kind::GlobalAverage, vec![x], view)
}

/// A shape of as many elements as one that is valid has, or fewer; `otherwise` cannot come to be.
fn shape_of(dims: Vec<usize>, otherwise: &Shape) -> Shape {
    Shape::new(dims).unwrap_or_else(|_| otherwise.clone())
}

pub(super) fn softmax(lowering: &mut Lowering<'_>, op: &Softmax) -> ValueId {
    let x = lowering.led_by(lowering.input(), op.axis);
    lowering.map(Kind::Softmax, x)
}

pub(super) fn layer_norm(lowering: &mut Lowering<'_>, op: &LayerNorm) -> Result<ValueId> {
    let input = lowering.input();
    let last = lowering.view(input).shape.rank() - 1;
    let x = lowering.led_by(input, last);
    let affine = if op.affine { Some((lowering.param("weight")?, lowering.param("bias")?)) } else { None };
    Ok(lowering.map(Kind::LayerNorm(ir::LayerNorm { affine, eps: op.eps }), x))
}
