//! Concatenation.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{Operator, axis_of};
use crate::{Error, Result, Shape, limits};

/// Values one after the other along an axis; axis 0 is the channels. All other dimensions agree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concat {
    /// The axis, counted without the batch dimension.
    pub axis: usize,
}

impl Operator for Concat {
    fn arity(&self) -> RangeInclusive<usize> {
        1..=limits::MAX_INPUTS
    }

    fn title(&self, _: &[&Shape]) -> String {
        "Concat".into()
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        let Some((first, rest)) = inputs.split_first() else {
            return Err(Error::Arity { op: "concat", expected: self.arity(), actual: 0 });
        };
        let mut dims = first.dims().to_vec();
        axis_of("axis", self.axis, first)?;
        for shape in rest {
            let others = |shape: &Shape| {
                let mut dims = shape.dims().to_vec();
                if let Some(size) = dims.get_mut(self.axis) {
                    *size = 1;
                }
                dims
            };
            if others(shape) != others(first) {
                return Err(Error::InputShape {
                    op: "concat",
                    expected: format!("inputs that differ in dimension {} only, the first is {first}", self.axis),
                    actual: shape.to_string(),
                });
            }
            dims[self.axis] = dims[self.axis].saturating_add(shape.dims()[self.axis]);
        }
        Shape::new(dims)
    }
}
