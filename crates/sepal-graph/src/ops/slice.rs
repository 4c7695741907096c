//! Slices.

use serde::{Deserialize, Serialize};

use super::{Operator, axis_of, only};
use crate::{Error, Result, Shape};

/// The part of a value from `start` to before `end` along an axis, every `step`-th of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// The axis, counted without the batch dimension; 0 is the channels.
    pub axis: usize,
    /// The first index.
    pub start: usize,
    /// The index after the last, at most the dimension.
    pub end: usize,
    /// From index to index, at least 1.
    pub step: usize,
}

impl Slice {
    /// The channels from `start` to before `end`.
    #[must_use]
    pub fn channels(start: usize, end: usize) -> Self {
        Self { axis: 0, start, end, step: 1 }
    }
}

impl Operator for Slice {
    fn title(&self, _: &[&Shape]) -> String {
        "Slice".into()
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        let shape = only("slice", inputs)?;
        let size = axis_of("axis", self.axis, shape)?;
        if self.start >= self.end || self.end > size {
            return Err(Error::Attribute {
                attribute: "slice",
                value: format!("{}..{}", self.start, self.end),
                expected: format!("a part of 0..{size} that is not empty"),
            });
        }
        if self.step == 0 {
            return Err(Error::Attribute { attribute: "step", value: "0".into(), expected: "at least 1".into() });
        }
        let mut dims = shape.dims().to_vec();
        dims[self.axis] = (self.end - self.start).div_ceil(self.step);
        Shape::new(dims)
    }
}
