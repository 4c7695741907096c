//! Means over dimensions.

use serde::{Deserialize, Serialize};

use super::{Operator, axis_of, only};
use crate::{Error, Result, Shape};

/// The mean over some dimensions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mean {
    /// The dimensions, ascending, counted without the batch dimension.
    pub axes: Vec<usize>,
    /// Whether they stay, with size 1. Where nothing would be left, a dimension of 1 is.
    pub keep_dims: bool,
}

impl Operator for Mean {
    fn title(&self, _: &[&Shape]) -> String {
        "Mean".into()
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        let shape = only("mean", inputs)?;
        self.axes.iter().try_for_each(|&axis| axis_of("axes", axis, shape).map(drop))?;
        if self.axes.is_empty() || !self.axes.is_sorted_by(|a, b| a < b) {
            return Err(Error::Attribute {
                attribute: "axes",
                value: format!("{:?}", self.axes),
                expected: "at least one dimension, ascending".into(),
            });
        }
        let mut dims = Vec::with_capacity(shape.rank());
        for (axis, &size) in shape.dims().iter().enumerate() {
            match self.axes.contains(&axis) {
                false => dims.push(size),
                true if self.keep_dims => dims.push(1),
                true => {}
            }
        }
        if dims.is_empty() {
            dims.push(1);
        }
        Shape::new(dims)
    }
}
