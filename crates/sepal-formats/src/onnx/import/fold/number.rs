//! Arithmetic on constants.

use super::is_real;
use crate::onnx::array::{Array, Data, Int};
use crate::onnx::import::{Fail, Res};
use crate::onnx::proto::dtype;

fn depends() -> Fail {
    Fail::wrong("what it computes depends on the batch size in a way that is not followed")
}

fn floats(array: &Array) -> Res<Vec<f32>> {
    array.to_floats().ok_or_else(depends)
}

/// An operation on two arrays of the same dimensions.
pub(super) fn binary(op: &str, a: &Array, b: &Array) -> Res<Array> {
    let dims = a.dims.clone();
    if let (Data::Int(a), Data::Int(b), true) = (&a.data, &b.data, op != "Pow") {
        let values = a.iter().zip(b).map(|(a, b)| ints(op, *a, *b)).collect::<Res<Vec<Int>>>()?;
        return Ok(Array::ints(dims, values));
    }
    let (a, b) = (floats(a)?, floats(b)?);
    let pairs = a.into_iter().zip(b);
    if op == "Equal" {
        return Ok(Array::ints(dims, pairs.map(|(a, b)| Int::Known(i64::from(a == b))).collect()));
    }
    let compute = |(a, b): (f32, f32)| match op {
        "Add" => a + b,
        "Sub" => a - b,
        "Mul" => a * b,
        "Div" => a / b,
        _ => a.powf(b),
    };
    Ok(Array::floats(dims, pairs.map(compute).collect()))
}

fn ints(op: &str, a: Int, b: Int) -> Res<Int> {
    let known = match (op, a, b) {
        ("Add", Int::Known(a), Int::Known(b)) => a.checked_add(b),
        ("Sub", Int::Known(a), Int::Known(b)) => a.checked_sub(b),
        ("Mul", Int::Known(a), Int::Known(b)) => a.checked_mul(b),
        // Whole numbers are divided towards zero.
        ("Div", Int::Known(a), Int::Known(b)) => a.checked_div(b),
        ("Equal", Int::Known(a), Int::Known(b)) => Some(i64::from(a == b)),
        ("Add" | "Sub", Int::Batch, Int::Known(0)) | ("Mul" | "Div", Int::Batch, Int::Known(1)) => {
            return Ok(Int::Batch);
        }
        ("Add", Int::Known(0), Int::Batch) | ("Mul", Int::Known(1), Int::Batch) => return Ok(Int::Batch),
        // There is at least one image.
        ("Equal", Int::Batch, Int::Known(n)) | ("Equal", Int::Known(n), Int::Batch) if n < 1 => Some(0),
        _ => return Err(depends()),
    };
    known.map(Int::Known).ok_or_else(|| Fail::wrong(format!("{op} of whole numbers overflows or divides by zero")))
}

/// `a` where the condition holds, `b` elsewhere.
pub(super) fn choose(condition: &Array, a: &Array, b: &Array) -> Res<Array> {
    let condition: Vec<bool> = floats(condition)?.into_iter().map(|v| v != 0.0).collect();
    let dims = a.dims.clone();
    if let (Data::Int(a), Data::Int(b)) = (&a.data, &b.data) {
        let values = condition.iter().zip(a.iter().zip(b)).map(|(c, (a, b))| if *c { *a } else { *b });
        return Ok(Array::ints(dims, values.collect()));
    }
    let (a, b) = (floats(a)?, floats(b)?);
    let values = condition.iter().zip(a.into_iter().zip(b)).map(|(c, (a, b))| if *c { a } else { b });
    Ok(Array::floats(dims, values.collect()))
}

/// An operation on every value.
pub(super) fn unary(op: &str, input: &Array) -> Res<Array> {
    let dims = input.dims.clone();
    if let (Data::Int(values), "Floor" | "Ceil") = (&input.data, op) {
        return Ok(Array::ints(dims, values.clone()));
    }
    if let (Data::Int(values), "Neg") = (&input.data, op) {
        let values = values.iter().map(|v| ints("Sub", Int::Known(0), *v)).collect::<Res<Vec<Int>>>()?;
        return Ok(Array::ints(dims, values));
    }
    let compute = |v: f32| match op {
        "Floor" => v.floor(),
        "Ceil" => v.ceil(),
        "Sqrt" => v.sqrt(),
        "Reciprocal" => v.recip(),
        _ => -v,
    };
    Ok(Array::floats(dims, floats(input)?.into_iter().map(compute).collect()))
}

/// Values as another type.
pub(super) fn cast(input: &Array, to: i32) -> Res<Array> {
    let dims = input.dims.clone();
    match &input.data {
        _ if to == dtype::BOOL => {
            let values = floats(input)?.into_iter().map(|v| Int::Known(i64::from(v != 0.0)));
            Ok(Array::ints(dims, values.collect()))
        }
        Data::Float(values) if !is_real(to) => {
            Ok(Array::ints(dims, values.iter().map(|&v| Int::Known(v as i64)).collect()))
        }
        Data::Int(_) if is_real(to) => match input.to_floats() {
            Some(values) => Ok(Array::floats(dims, values)),
            // The batch size on a way through real numbers, as some exporters take: it comes back as it is.
            None => Ok(input.clone()),
        },
        Data::Int(_) | Data::Float(_) => Ok(input.clone()),
    }
}
