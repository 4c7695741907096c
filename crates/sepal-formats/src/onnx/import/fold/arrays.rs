//! Moving the values of constants.

use super::pick;
use crate::onnx::array::{Array, Data, Int, elements};
use crate::onnx::import::node::axis;
use crate::onnx::import::{Fail, Res};

/// The same values under other dimensions.
pub(super) fn reshape(input: &Array, dims: Vec<usize>) -> Res<Array> {
    if elements(&dims) != Some(input.len()) {
        return Err(Fail::wrong(format!("{} values cannot have the dimensions {dims:?}", input.len())));
    }
    Ok(Array { dims, data: input.data.clone() })
}

/// The dimensions that a reshape's target stands for: −1 is what is left, 0 the old one if `copies`.
pub(super) fn target(old: &[usize], target: &[i64], copies: bool) -> Res<Vec<usize>> {
    let wrong = || Fail::wrong(format!("a value of dimensions {old:?} cannot be reshaped to {target:?}"));
    let mut open = None;
    let mut dims = Vec::with_capacity(target.len());
    for (i, &size) in target.iter().enumerate() {
        dims.push(match size {
            0 if copies => old.get(i).copied().ok_or_else(wrong)?,
            -1 if open.replace(i).is_none() => 1,
            size => usize::try_from(size).map_err(|_| wrong())?,
        });
    }
    if let Some(i) = open {
        let (all, known) = (elements(old).ok_or_else(wrong)?, elements(&dims).ok_or_else(wrong)?);
        dims[i] = all.checked_div(known).ok_or_else(wrong)?;
    }
    Ok(dims)
}

/// The dimensions of an elementwise operation on two arrays.
pub(in crate::onnx::import) fn joint(a: &[usize], b: &[usize]) -> Res<Vec<usize>> {
    let rank = a.len().max(b.len());
    let padded = |dims: &[usize], i: usize| (i + dims.len()).checked_sub(rank).map_or(1, |i| dims[i]);
    let size = |i: usize| match (padded(a, i), padded(b, i)) {
        (a, b) if a == b || b == 1 => Ok(a),
        (1, b) => Ok(b),
        _ => Err(Fail::wrong(format!("dimensions {a:?} and {b:?} do not fit together"))),
    };
    (0..rank).map(size).collect()
}

/// The dimensions of an elementwise operation on several arrays.
pub(super) fn broadcast(inputs: &[&Array]) -> Res<Vec<usize>> {
    inputs.iter().try_fold(Vec::new(), |dims, input| joint(&dims, &input.dims))
}

/// An array repeated to dimensions that [`joint`] gave.
pub(in crate::onnx::import) fn expand(input: &Array, dims: &[usize]) -> Res<Array> {
    if input.dims == dims {
        return Ok(input.clone());
    }
    let count = elements(dims).ok_or_else(|| Fail::wrong(format!("{dims:?} are no dimensions")))?;
    let shift = dims.len().checked_sub(input.dims.len()).ok_or_else(|| Fail::wrong("it loses dimensions"))?;
    let mut strides = vec![0; dims.len()];
    let mut stride = 1;
    for (i, &size) in input.dims.iter().enumerate().rev() {
        strides[i + shift] = if size == 1 { 0 } else { stride };
        stride *= size;
    }
    Ok(walk(input, dims.to_vec(), &strides, count))
}

/// Dimensions in another order.
pub(super) fn transpose(input: &Array, order: Option<&[i64]>) -> Res<Array> {
    let rank = input.dims.len();
    let order: Vec<usize> = match order {
        None => (0..rank).rev().collect(),
        Some(order) => order.iter().map(|&at| axis(at, rank)).collect::<Res<_>>()?,
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted.into_iter().ne(0..rank) {
        return Err(Fail::wrong(format!("{order:?} is no order of {rank} dimensions")));
    }
    let mut old = vec![1; rank];
    for i in (1..rank).rev() {
        old[i - 1] = old[i] * input.dims[i];
    }
    let dims: Vec<usize> = order.iter().map(|&at| input.dims[at]).collect();
    let strides: Vec<usize> = order.iter().map(|&at| old[at]).collect();
    Ok(walk(input, dims, &strides, input.len()))
}

/// The values met by walking over `dims` with those strides.
fn walk(input: &Array, dims: Vec<usize>, strides: &[usize], count: usize) -> Array {
    let mut index = vec![0_usize; dims.len()];
    let mut at = 0;
    let places = (0..count).map(|_| {
        let here = at;
        for i in (0..index.len()).rev() {
            index[i] += 1;
            at += strides[i];
            if index[i] < dims[i] {
                break;
            }
            at -= strides[i] * dims[i];
            index[i] = 0;
        }
        here
    });
    let places: Vec<usize> = places.collect();
    pick(input, dims, places.into_iter())
}

/// The parts of an array at those indices along an axis.
pub(super) fn gather(input: &Array, indices: &Array, at: i64) -> Res<Array> {
    let at = axis(at, input.dims.len())?;
    let size = input.dims[at];
    let list = indices.known_ints().ok_or_else(|| Fail::wrong("its indices are not known whole numbers"))?;
    let list = list.into_iter().map(|index| axis(index, size)).collect::<Res<Vec<usize>>>()?;
    let dims = [&input.dims[..at], &indices.dims, &input.dims[at + 1..]].concat();
    let outer: usize = input.dims[..at].iter().product();
    let inner: usize = input.dims[at + 1..].iter().product();
    let count = elements(&dims).filter(|&n| n <= super::MAX_VALUES).ok_or_else(super::too_large)?;
    let mut places = Vec::with_capacity(count);
    for o in 0..outer {
        for &index in &list {
            places.extend((0..inner).map(|i| (o * size + index) * inner + i));
        }
    }
    Ok(pick(input, dims, places.into_iter()))
}

/// The part of an array from `start` to before `end` along an axis; negative indices count from its end.
pub(super) fn slice(input: &Array, at: usize, start: i64, end: i64, step: i64) -> Res<Array> {
    let size = input.dims[at];
    if step <= 0 {
        return Err(Fail::Missing("Slice with a step that is not positive".into()));
    }
    let [start, end] = [start, end].map(|index| bound(index, size));
    let step = usize::try_from(step).unwrap_or(usize::MAX);
    let taken: Vec<i64> = (start..end).step_by(step).map(|index| index as i64).collect();
    let indices = Array::ints(vec![taken.len()], taken.into_iter().map(Int::Known).collect());
    gather(input, &indices, at as i64)
}

/// An index of a slice as one from the front, within the dimension.
pub(in crate::onnx::import) fn bound(index: i64, size: usize) -> usize {
    let from_front = if index < 0 { index.saturating_add(size as i64) } else { index };
    usize::try_from(from_front.max(0)).map_or(size, |index| index.min(size))
}

/// Arrays one after the other along an axis.
pub(super) fn concat(inputs: &[&Array], at: i64) -> Res<Array> {
    let Some(first) = inputs.first() else { return Err(Fail::wrong("has no inputs")) };
    let at = axis(at, first.dims.len())?;
    let mut dims = first.dims.clone();
    dims[at] = 0;
    for input in inputs {
        let others = |dims: &[usize]| -> Option<(Vec<usize>, Vec<usize>)> {
            Some((dims.get(..at)?.to_vec(), dims.get(at + 1..)?.to_vec()))
        };
        if others(&input.dims) != others(&first.dims) || input.dims.len() != first.dims.len() {
            return Err(Fail::wrong(format!("{:?} and {:?} differ beside axis {at}", first.dims, input.dims)));
        }
        dims[at] += input.dims[at];
    }
    elements(&dims).filter(|&n| n <= super::MAX_VALUES).ok_or_else(super::too_large)?;
    let outer: usize = dims[..at].iter().product();
    let rows = inputs.iter().map(|input| input.dims[at..].iter().product::<usize>());
    let rows: Vec<usize> = rows.collect();
    let parts =
        || (0..outer).flat_map(|o| inputs.iter().zip(&rows).map(move |(input, row)| (*input, o * row..(o + 1) * row)));
    let data = if inputs.iter().all(|input| matches!(input.data, Data::Int(_))) {
        Data::Int(
            parts()
                .flat_map(|(input, row)| input.as_ints().and_then(|v| v.get(row)).unwrap_or_default())
                .copied()
                .collect(),
        )
    } else {
        let floats: Option<Vec<Vec<f32>>> = inputs.iter().map(|input| input.to_floats()).collect();
        let floats = floats.ok_or_else(|| Fail::wrong("joins real numbers and the batch size"))?;
        let mut all = Vec::new();
        for o in 0..outer {
            for (values, row) in floats.iter().zip(&rows) {
                all.extend_from_slice(values.get(o * row..(o + 1) * row).unwrap_or_default());
            }
        }
        Data::Float(all)
    };
    Ok(Array { dims, data })
}
