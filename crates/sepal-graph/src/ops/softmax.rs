//! Softmax.

use serde::{Deserialize, Serialize};

use super::{Operator, axis_of, only};
use crate::{Result, Shape};

/// eˣ divided by its sum along an axis. Keeps the shape.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Softmax {
    /// The axis, counted without the batch dimension; 0 is the channels.
    pub axis: usize,
}

impl Operator for Softmax {
    fn title(&self, _: &[&Shape]) -> String {
        "Softmax".into()
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        let shape = only("softmax", inputs)?;
        axis_of("axis", self.axis, shape)?;
        Ok(shape.clone())
    }
}
