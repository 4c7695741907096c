//! Values that a graph carries.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::Operator;
use crate::{OpParam, Result, Role, Shape};

/// A tensor of the network itself, the same for every image: a learnt one, such as the scale of a layer
/// or the embedding of a position, or a fixed one. Its only parameter is `value`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constant {
    /// Its shape; it has no batch dimension.
    pub shape: Shape,
    /// Whether training may change it.
    pub learnt: bool,
}

impl Operator for Constant {
    fn arity(&self) -> RangeInclusive<usize> {
        0..=0
    }

    fn title(&self, _: &[&Shape]) -> String {
        "Constant".into()
    }

    fn output(&self, _: &[&Shape]) -> Result<Shape> {
        Ok(self.shape.clone())
    }

    fn params(&self, _: &[&Shape]) -> Vec<OpParam> {
        let role = if self.learnt { Role::Value } else { Role::Constant };
        vec![OpParam { name: "value", shape: self.shape.dims().to_vec(), role, fan_in: 1, fan_out: 1 }]
    }
}
