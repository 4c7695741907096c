//! Arithmetic on values of one shape, and on those whose dimensions of 1 are repeated.

use std::sync::Arc;

use sepal_graph::Shape;
use sepal_kernels::elementwise::Binary;

use super::Lowering;
use crate::error::Result;
use crate::ir::{Act, Apply, Kind, Param, ValueId};
use crate::rearrange::Rearrange;
use crate::view::View;

pub(super) fn binary(lowering: &mut Lowering<'_>, op: Binary) -> ValueId {
    let [a, b] = [lowering.inputs[0], lowering.inputs[1]];
    let whole = |lowering: &Lowering<'_>, value| lowering.view(value).shape == *lowering.output;
    for (x, other, swapped) in [(a, b, false), (b, a, true)] {
        if !whole(lowering, x) {
            continue;
        }
        if let Some(affine) = affine(lowering, op, x, other, swapped) {
            let affine = Some((Param::own(affine.0), Param::own(affine.1)));
            return lowering.map(Kind::Apply(Apply { affine, act: Act::default() }), x);
        }
        if op == Binary::Multiply && !whole(lowering, other) && is_per_channel(lowering, x, other) {
            let view = lowering.view(x).clone();
            return lowering.step(Kind::Scale, vec![x, other], view);
        }
    }
    let first = [a, b].into_iter().find(|&value| whole(lowering, value));
    let view = match first {
        Some(value) => lowering.view(value).clone(),
        None => View::natural(lowering.output.clone()),
    };
    let inputs = [a, b].map(|value| expanded(lowering, value, &view));
    lowering.step(Kind::Binary(op), inputs.to_vec(), view)
}

/// Scale and shift, if `other` is known and has one value for each channel of `x`; `swapped` if it comes first.
fn affine(
    lowering: &Lowering<'_>,
    op: Binary,
    x: ValueId,
    other: ValueId,
    swapped: bool,
) -> Option<(Vec<f32>, Vec<f32>)> {
    let view = lowering.view(x);
    let known = lowering.known.get(&other)?;
    let axis = view.channels();
    if !is_vector(&lowering.view(other).shape, axis) {
        return None;
    }
    let channels = view.dims().c;
    let values: Vec<f32> = (0..channels).map(|channel| known[if known.len() == 1 { 0 } else { channel }]).collect();
    let [zeros, ones, minus] = [0.0, 1.0, -1.0].map(|value| vec![value; channels]);
    let map = |f: fn(f32) -> f32| values.iter().map(|&value| f(value)).collect();
    match (op, swapped) {
        (Binary::Add, _) => Some((ones, values)),
        (Binary::Subtract, false) => Some((ones, map(|value| -value))),
        (Binary::Subtract, true) => Some((minus, values)),
        (Binary::Multiply, _) => Some((values, zeros)),
        (Binary::Divide, false) => Some((map(|value| 1.0 / value), zeros)),
        (Binary::Divide, true) => None,
    }
}

/// Whether all dimensions but `axis` are 1.
fn is_vector(shape: &Shape, axis: usize) -> bool {
    shape.dims().iter().enumerate().all(|(other, &size)| other == axis || size == 1)
}

/// Whether `other` lies in memory as one number for each channel of `x`.
fn is_per_channel(lowering: &Lowering<'_>, x: ValueId, other: ValueId) -> bool {
    let (x, other) = (lowering.view(x), lowering.view(other));
    is_vector(&other.shape, x.channels()) && other.dims().c == x.dims().c
}

/// A value with its dimensions of 1 repeated, as `view` lies.
fn expanded(lowering: &mut Lowering<'_>, value: ValueId, view: &View) -> ValueId {
    let from = lowering.view(value);
    if from.shape == view.shape {
        return lowering.ordered(value, &view.order);
    }
    let rearrange = Rearrange::broadcast(from, view);
    lowering.step(Kind::Rearrange(rearrange), vec![value], view.clone())
}

pub(super) fn gated_sum(lowering: &mut Lowering<'_>) -> ValueId {
    let view = lowering.view(lowering.inputs[1]).clone();
    let inputs = lowering.inputs.clone();
    let terms = inputs[1..].iter().map(|&term| lowering.ordered(term, &view.order));
    let terms: Vec<ValueId> = std::iter::once(inputs[0]).chain(terms).collect();
    lowering.step(Kind::GatedSum, terms, view)
}

pub(super) fn constant(lowering: &mut Lowering<'_>) -> Result<ValueId> {
    let values = lowering.param("value")?;
    let view = View::natural(lowering.output.clone());
    let known: Arc<[f32]> = values.values.as_slice().into();
    let value = lowering.step(Kind::Constant(values), Vec::new(), view);
    lowering.known.insert(value, known);
    Ok(value)
}
