//! Shapes of elementwise operators.

use crate::{Error, Result, Shape};

/// The shape of an elementwise operator's value.
pub(super) fn output(op: &'static str, inputs: &[&Shape]) -> Result<Shape> {
    let [a, b] = inputs else {
        return Err(Error::Arity { op, expected: 2..=2, actual: inputs.len() });
    };
    let size = |(&a, &b): (&usize, &usize)| match (a, b) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    };
    let dims = a.dims().iter().zip(b.dims()).map(size).collect::<Option<Vec<usize>>>();
    match dims.filter(|_| a.rank() == b.rank()) {
        Some(dims) => Shape::new(dims),
        None => Err(Error::InputShape {
            op,
            expected: format!("two inputs of one shape, or with a 1 where they differ; the first is {a}"),
            actual: b.to_string(),
        }),
    }
}
