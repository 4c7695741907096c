//! Operators that change only the shape.

use sepal_graph::Shape;

use super::Lowering;
use crate::ir::{Kind, ValueId};
use crate::rearrange::Rearrange;
use crate::view::View;

pub(super) fn transpose(lowering: &mut Lowering<'_>, order: &[usize]) -> ValueId {
    transposed(lowering, lowering.input(), order)
}

/// The dimensions in another order: the value lies where it does, under other names.
pub(super) fn transposed(lowering: &mut Lowering<'_>, x: ValueId, order: &[usize]) -> ValueId {
    let from = lowering.view(x).clone();
    let dims = order.iter().map(|&axis| from.shape.dims()[axis]).collect();
    // A permutation of a valid shape is one.
    let shape = Shape::new(dims).unwrap_or_else(|_| from.shape.clone());
    // Where each dimension of the input is found in the output.
    let mut place = vec![0; order.len()];
    order.iter().enumerate().for_each(|(to, &axis)| place[axis] = to);
    let view = View { shape, order: from.order.iter().map(|&axis| place[axis]).collect() };
    let value = lowering.step(Kind::Identity, vec![x], view.clone());
    if let Some(known) = lowering.known.get(&x) {
        let sizes = |view: &View| View::natural(view.shape.clone()).strides();
        let (strides, to) = (sizes(&from), sizes(&view));
        let elements = (0..known.len()).map(|at| {
            let index = |axis: usize| at / to[axis] % view.shape.dims()[axis];
            known[order.iter().enumerate().map(|(to, &axis)| index(to) * strides[axis]).sum::<usize>()]
        });
        let elements = elements.collect();
        lowering.known.insert(value, elements);
    }
    value
}

/// The same elements under another shape: without a copy where channels stay channels.
pub(super) fn reshape(lowering: &mut Lowering<'_>, x: ValueId, shape: Shape) -> ValueId {
    let from = lowering.view(x).clone();
    let natural = View::natural(shape.clone());
    let last = View::leading(shape.clone(), shape.rank() - 1);
    let same = [&natural, &last]
        .into_iter()
        .find(|to| to.dims().c == from.dims().c && Rearrange::reshape(&from, to).is_identity());
    let value = match same {
        Some(view) => lowering.step(Kind::Identity, vec![x], view.clone()),
        None => {
            let rearrange = Rearrange::reshape(&from, &natural);
            lowering.step(Kind::Rearrange(rearrange), vec![x], natural)
        }
    };
    if let Some(known) = lowering.known.get(&x).cloned() {
        lowering.known.insert(value, known);
    }
    value
}
