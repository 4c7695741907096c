//! Elementwise sum.

use serde::{Deserialize, Serialize};

use super::Operator;
use crate::{Error, Result, Shape};

/// The elementwise sum of two values of one shape, as at the end of a residual block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {}

impl Operator for Add {
    fn arity(&self) -> usize {
        2
    }

    fn title(&self, _: &[&Shape]) -> String {
        "Add".into()
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        match inputs {
            [a, b] if a == b => Ok((*a).clone()),
            [a, b] => Err(Error::InputShape {
                op: "add",
                expected: format!("two inputs of one shape, the first is {a}"),
                actual: b.to_string(),
            }),
            _ => Err(Error::Arity { op: "add", expected: 2, actual: inputs.len() }),
        }
    }
}
