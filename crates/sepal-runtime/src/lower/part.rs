//! Concatenations, slices and paddings: channels side by side where they can be.

use sepal_graph::{Concat, Pad, PadMode, Slice};

use super::Lowering;
use crate::ir::{Join, Kind, Origin, Part, ValueId};
use crate::rearrange::Rearrange;
use crate::taps;
use crate::view::View;

pub(super) fn concat(lowering: &mut Lowering<'_>, op: &Concat) -> ValueId {
    let first = lowering.led_by(lowering.input(), op.axis);
    let order = lowering.view(first).order.clone();
    let mut inputs = Vec::with_capacity(lowering.inputs.len());
    let mut parts = Vec::with_capacity(lowering.inputs.len());
    let mut at = 0;
    for (index, input) in lowering.inputs.clone().into_iter().enumerate() {
        let input = lowering.ordered(input, &order);
        let count = lowering.view(input).dims().c;
        parts.push(Part { at, count, from: Origin::Input { index, first: 0 } });
        inputs.push(input);
        at += count;
    }
    let view = View { shape: lowering.output.clone(), order };
    lowering.step(Kind::Channels(Join::new(parts)), inputs, view)
}

pub(super) fn slice(lowering: &mut Lowering<'_>, op: &Slice) -> ValueId {
    let x = lowering.input();
    let from = lowering.view(x);
    let view = View { shape: lowering.output.clone(), order: from.order.clone() };
    let count = view.shape.dims()[op.axis];
    let kind = if from.channels() == op.axis && op.step == 1 {
        Kind::Channels(Join::new(vec![Part { at: 0, count, from: Origin::Input { index: 0, first: op.start } }]))
    } else if is_map(from) && op.axis > 0 {
        Kind::Resample(taps::slice(op.axis, op.start, op.step, count, from.shape.size()))
    } else {
        Kind::Rearrange(Rearrange::new(from, &view, 0.0, |position, read| {
            read.copy_from_slice(position);
            read[op.axis] = op.start + position[op.axis] * op.step;
            true
        }))
    };
    lowering.step(kind, vec![x], view)
}

pub(super) fn pad(lowering: &mut Lowering<'_>, op: &Pad) -> ValueId {
    let x = lowering.input();
    let from = lowering.view(x);
    let view = View { shape: lowering.output.clone(), order: from.order.clone() };
    let channels = from.channels();
    let added = |axis: usize| op.before[axis] + op.after[axis] > 0;
    let others = (0..from.shape.rank()).any(|axis| axis != channels && added(axis));
    let kind = match op.mode {
        PadMode::Constant(value) if !others => {
            let (before, count) = (op.before[channels], from.dims().c);
            let part = |at, count, from| Part { at, count, from };
            let parts = [
                part(0, before, Origin::Value(value)),
                part(before, count, Origin::Input { index: 0, first: 0 }),
                part(before + count, op.after[channels], Origin::Value(value)),
            ];
            Kind::Channels(Join::new(parts.into_iter().filter(|part| part.count > 0).collect()))
        }
        _ if is_map(from) && !added(channels) => Kind::Resample(taps::pad(op, from.shape.size())),
        mode => {
            let outside = if let PadMode::Constant(value) = mode { value } else { 0.0 };
            Kind::Rearrange(Rearrange::new(from, &view, outside, |position, read| {
                for (axis, (index, &place)) in read.iter_mut().zip(position).enumerate() {
                    match taps::padded(mode, place, op.before[axis], from.shape.dims()[axis]) {
                        Some(at) => *index = at,
                        None => return false,
                    }
                }
                true
            }))
        }
    };
    lowering.step(kind, vec![x], view)
}

/// Whether it is a map C×H×W that lies as such.
fn is_map(view: &View) -> bool {
    view.order == [0, 1, 2]
}
