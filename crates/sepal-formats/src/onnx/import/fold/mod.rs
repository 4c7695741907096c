//! Computing what depends on constants alone, and shapes of activations.

mod arrays;
mod number;

use std::rc::Rc;

use crate::onnx::array::{self, Array, Data, Int};
use crate::onnx::proto::{NodeProto, dtype};

use super::node::axis;
use super::{Constant, Fail, Importer, Origin, Res, Value, tensor_fail};
pub(super) use arrays::{bound, expand as repeat, joint};
use arrays::{broadcast, concat, expand, gather, reshape, slice, transpose};

/// The largest constant that is computed.
const MAX_VALUES: usize = 1 << 24;

impl<'a> Importer<'a> {
    /// The value of a node that needs no picture; `None` if it needs one, or is not computed here.
    pub(super) fn folded(&mut self, node: &'a NodeProto) -> Res<Option<Value<'a>>> {
        let label = node.output.first().map(String::as_str).unwrap_or_default();
        let computed = |array| Some(Value::Constant(Constant { label, from: Origin::Array(Rc::new(array)) }));
        if node.op() == "Shape" {
            return Ok(self.shape_of(node)?.and_then(computed));
        }
        let mut inputs = Vec::with_capacity(node.input.len());
        for (i, name) in node.input.iter().enumerate() {
            match self.value(name) {
                _ if name.is_empty() => inputs.push(None),
                Some(Value::Constant(_)) => inputs.push(self.constant(node, i)),
                _ => return Ok(None),
            }
        }
        // Passed on undecoded: it may be a weight.
        if let ("Identity", [Some(constant)]) = (node.op(), inputs.as_slice()) {
            return Ok(Some(Value::Constant(constant.clone())));
        }
        if !FOLDED.contains(&node.op()) {
            return Ok(None);
        }
        if let ("Expand", [Some(_), Some(target)]) = (node.op(), inputs.as_slice())
            && self.array(target)?.as_ints().is_some_and(|list| list.contains(&Int::Batch))
        {
            // A row for each image: no constant any more.
            return Ok(None);
        }
        let mut arrays = Vec::with_capacity(inputs.len());
        for input in &inputs {
            arrays.push(input.as_ref().map(|constant| self.array(constant)).transpose()?);
        }
        let touched = arrays.iter().flatten().map(|array| array.len()).sum();
        self.spend(touched)?;
        let arrays: Vec<Option<&Array>> = arrays.iter().map(Option::as_deref).collect();
        let array = self.compute(node, &arrays)?;
        self.spend(array.len())?;
        match (node.op(), inputs.first()) {
            // A weight of another type keeps its name.
            ("Cast", Some(Some(Constant { label, .. }))) => {
                Ok(Some(Value::Constant(Constant { label, from: Origin::Array(Rc::new(array)) })))
            }
            _ => Ok(computed(array)),
        }
    }

    /// The shape of an activation: the batch size, then its dimensions.
    fn shape_of(&mut self, node: &'a NodeProto) -> Res<Option<Array>> {
        let Some(value) = node.given(0).and_then(|name| self.value(name)).cloned() else { return Ok(None) };
        let known = |size: usize| Int::Known(size as i64);
        let dims: Vec<Int> = match value {
            Value::Node(id) => std::iter::once(Int::Batch).chain(self.dims(id)?.into_iter().map(known)).collect(),
            Value::Constant(constant) => self.dims_of(&constant)?.into_iter().map(known).collect(),
            Value::Missing => return Ok(None),
        };
        let rank = dims.len() as i64;
        let bound = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
        let (start, end) = (bound(node.int("start").unwrap_or(0)), bound(node.int("end").unwrap_or(rank)));
        let part = dims.get(start..end.max(start)).unwrap_or_default().to_vec();
        Ok(Some(Array::ints(vec![part.len()], part)))
    }

    fn compute(&self, node: &NodeProto, inputs: &[Option<&Array>]) -> Res<Array> {
        let need = |i: usize| {
            let input = inputs.get(i).copied().flatten();
            input.ok_or_else(|| Fail::wrong(format!("input {i} is left out")))
        };
        let ints = |i: usize, what: &str| {
            let list = need(i)?.known_ints();
            list.ok_or_else(|| Fail::wrong(format!("its {what} are not known whole numbers")))
        };
        let given = |i: usize| inputs.get(i).copied().flatten().is_some();
        // An attribute of older versions that later became an input.
        let listed = |i: usize, name: &str| -> Res<Option<Vec<i64>>> {
            if given(i) { ints(i, name).map(Some) } else { Ok(node.ints(name).map(<[i64]>::to_vec)) }
        };
        match node.op() {
            "Constant" => constant(node),
            "ConstantOfShape" => {
                let dims = sizes(&ints(0, "dimensions")?)?;
                let count = array::elements(&dims).filter(|&n| n <= MAX_VALUES).ok_or_else(too_large)?;
                match node.attr("value").and_then(|a| a.t.as_ref()) {
                    None => Ok(Array::floats(dims, vec![0.0; count])),
                    Some(value) => {
                        let value = decoded(value, "value")?;
                        if value.len() != 1 {
                            return Err(Fail::wrong("its value is not a single number"));
                        }
                        expand(&Array { dims: vec![1; dims.len()], ..value }, &dims)
                    }
                }
            }
            "Cast" => {
                let to = node.int("to").unwrap_or_default();
                number::cast(need(0)?, i32::try_from(to).unwrap_or_default())
            }
            "Gather" => gather(need(0)?, need(1)?, node.int("axis").unwrap_or(0)),
            "Concat" => {
                let all = (0..inputs.len()).map(need).collect::<Res<Vec<_>>>()?;
                concat(&all, node.int("axis").unwrap_or(0))
            }
            "Unsqueeze" => {
                let input = need(0)?;
                let axes = listed(1, "axes")?.unwrap_or_default();
                let rank = input.dims.len() + axes.len();
                let axes = axes.iter().map(|&at| axis(at, rank)).collect::<Res<Vec<_>>>()?;
                let mut old = input.dims.iter().copied();
                let dims = (0..rank).map(|i| if axes.contains(&i) { Some(1) } else { old.next() });
                let dims = dims.collect::<Option<Vec<usize>>>().ok_or_else(|| Fail::wrong("an axis is named twice"))?;
                Ok(Array { dims, data: input.data.clone() })
            }
            "Squeeze" => {
                let input = need(0)?;
                let rank = input.dims.len();
                let axes =
                    listed(1, "axes")?.map(|axes| axes.iter().map(|&at| axis(at, rank)).collect::<Res<Vec<_>>>());
                let axes = axes.transpose()?;
                let dropped = |(i, &size): (usize, &usize)| match &axes {
                    Some(axes) => axes.contains(&i),
                    None => size == 1,
                };
                let dims: Vec<usize> = (input.dims.iter().enumerate()).filter(|d| !dropped(*d)).map(|d| *d.1).collect();
                reshape(input, dims)
            }
            "Reshape" => {
                let input = need(0)?;
                let target = ints(1, "dimensions")?;
                let copies = node.int("allowzero").unwrap_or(0) == 0;
                let dims = arrays::target(&input.dims, &target, copies)?;
                reshape(input, dims)
            }
            "Flatten" => {
                let input = need(0)?;
                let at = axis(node.int("axis").unwrap_or(1), input.dims.len() + 1)?;
                let (before, after) = input.dims.split_at(at);
                reshape(input, vec![before.iter().product(), after.iter().product()])
            }
            "Transpose" => transpose(need(0)?, node.ints("perm")),
            "Slice" => {
                let starts = listed(1, "starts")?.ok_or_else(|| Fail::wrong("has no starts"))?;
                let ends = listed(2, "ends")?.ok_or_else(|| Fail::wrong("has no ends"))?;
                let axes = listed(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
                let steps = if given(4) { ints(4, "steps")? } else { vec![1; starts.len()] };
                if [ends.len(), axes.len(), steps.len()].iter().any(|&n| n != starts.len()) {
                    return Err(Fail::wrong("its starts, ends, axes and steps are of different lengths"));
                }
                let mut value = need(0)?.clone();
                for (((start, end), at), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
                    let at = axis(at, value.dims.len())?;
                    value = slice(&value, at, start, end, step)?;
                }
                Ok(value)
            }
            "Expand" => {
                let (input, target) = (need(0)?, ints(1, "dimensions")?);
                let dims = joint(&input.dims, &sizes(&target)?)?;
                array::elements(&dims).filter(|&n| n <= MAX_VALUES).ok_or_else(too_large)?;
                expand(input, &dims)
            }
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Equal" => {
                let (a, b) = (need(0)?, need(1)?);
                let dims = joint(&a.dims, &b.dims)?;
                array::elements(&dims).filter(|&n| n <= MAX_VALUES).ok_or_else(too_large)?;
                number::binary(node.op(), &expand(a, &dims)?, &expand(b, &dims)?)
            }
            "Where" => {
                let (condition, a, b) = (need(0)?, need(1)?, need(2)?);
                let dims = broadcast(&[condition, a, b])?;
                array::elements(&dims).filter(|&n| n <= MAX_VALUES).ok_or_else(too_large)?;
                number::choose(&expand(condition, &dims)?, &expand(a, &dims)?, &expand(b, &dims)?)
            }
            "Floor" | "Ceil" | "Sqrt" | "Neg" | "Reciprocal" => number::unary(node.op(), need(0)?),
            "Identity" | "Dropout" => need(0).cloned(),
            other => Err(Fail::Missing(format!("{other} of constants"))),
        }
    }
}

/// Operators that are computed if all that they read is constant.
const FOLDED: &[&str] = &[
    "Constant",
    "ConstantOfShape",
    "Cast",
    "Gather",
    "Concat",
    "Unsqueeze",
    "Squeeze",
    "Reshape",
    "Flatten",
    "Transpose",
    "Slice",
    "Expand",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Pow",
    "Equal",
    "Where",
    "Floor",
    "Ceil",
    "Sqrt",
    "Neg",
    "Reciprocal",
    "Identity",
    "Dropout",
];

fn too_large() -> Fail {
    Fail::wrong(format!("a constant of more than {MAX_VALUES} values is not computed"))
}

fn sizes(list: &[i64]) -> Res<Vec<usize>> {
    let sizes = list.iter().map(|&v| usize::try_from(v).ok()).collect::<Option<Vec<usize>>>();
    sizes.ok_or_else(|| Fail::wrong(format!("{list:?} are no dimensions")))
}

fn decoded(tensor: &crate::onnx::proto::TensorProto, label: &str) -> Res<Array> {
    array::decode(tensor, tensor.raw_data.as_ref()).map_err(|reason| tensor_fail(label, &reason))
}

/// A node that holds a constant in one of its attributes.
fn constant(node: &NodeProto) -> Res<Array> {
    let Some(attribute) = node.attribute.iter().find(|a| a.name.as_deref().is_some_and(|n| n.starts_with("value")))
    else {
        return Err(Fail::Missing("Constant without a dense value".into()));
    };
    match attribute.name.as_deref() {
        Some("value") => match &attribute.t {
            Some(tensor) => decoded(tensor, "value"),
            None => Err(Fail::wrong("its value is no tensor")),
        },
        Some("value_float") => Ok(Array::floats(Vec::new(), vec![attribute.f.unwrap_or_default()])),
        Some("value_floats") => Ok(Array::floats(vec![attribute.floats.len()], attribute.floats.clone())),
        Some("value_int") => Ok(Array::ints(Vec::new(), vec![Int::Known(attribute.i.unwrap_or_default())])),
        Some("value_ints") => {
            let values: Vec<Int> = attribute.ints.iter().map(|&v| Int::Known(v)).collect();
            Ok(Array::ints(vec![values.len()], values))
        }
        _ => Err(Fail::Missing("Constant of strings".into())),
    }
}

/// Whether a type is one of real numbers.
fn is_real(kind: i32) -> bool {
    matches!(kind, dtype::FLOAT | dtype::FLOAT16 | dtype::BFLOAT16 | dtype::DOUBLE)
}

/// An array of the values at those places of another.
fn pick(input: &Array, dims: Vec<usize>, places: impl Iterator<Item = usize>) -> Array {
    let data = match &input.data {
        Data::Float(values) => Data::Float(places.filter_map(|at| values.get(at).copied()).collect()),
        Data::Int(values) => Data::Int(places.filter_map(|at| values.get(at).copied()).collect()),
    };
    Array { dims, data }
}
