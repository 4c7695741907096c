//! What moves values without computing: concatenation, slices, padding, transposition. Dimensions start
//! with the batch.

use sepal_graph::PadMode;

use super::tensor::{at, build};

pub(super) fn concat(inputs: &[(&[f64], Vec<usize>)], axis: usize, dims: &[usize]) -> Vec<f64> {
    build(dims, |index| {
        let mut index = index.to_vec();
        for (x, own) in inputs {
            if index[axis] < own[axis] {
                return at(x, own, &index);
            }
            index[axis] -= own[axis];
        }
        panic!("the inputs end before the output does")
    })
}

pub(super) fn slice(x: &[f64], own: &[usize], (axis, start, step): (usize, usize, usize), dims: &[usize]) -> Vec<f64> {
    build(dims, |index| {
        let mut index = index.to_vec();
        index[axis] = start + index[axis] * step;
        at(x, own, &index)
    })
}

/// `before` has no entry for the batch.
pub(super) fn pad(x: &[f64], own: &[usize], before: &[usize], mode: PadMode, dims: &[usize]) -> Vec<f64> {
    build(dims, |index| {
        let mut inside = index[..1].to_vec();
        for ((&i, &before), &size) in index[1..].iter().zip(before).zip(&own[1..]) {
            let (i, last) = (i as isize - before as isize, size as isize - 1);
            let i = match mode {
                _ if (0..=last).contains(&i) => i,
                PadMode::Constant(value) => return f64::from(value),
                PadMode::Edge => i.clamp(0, last),
                PadMode::Reflect if i < 0 => -i,
                PadMode::Reflect => 2 * last - i,
            };
            inside.push(i as usize);
        }
        at(x, own, &inside)
    })
}

/// `order` has no entry for the batch.
pub(super) fn transpose(x: &[f64], own: &[usize], order: &[usize], dims: &[usize]) -> Vec<f64> {
    build(dims, |index| {
        let mut from = index.to_vec();
        for (i, axis) in order.iter().enumerate() {
            from[axis + 1] = index[i + 1];
        }
        at(x, own, &from)
    })
}
