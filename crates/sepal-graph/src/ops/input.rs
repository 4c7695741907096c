//! Inputs of the network.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::Operator;
use crate::{Result, Shape};

/// A tensor given from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Shape of one image, `[C, H, W]`.
    pub shape: Shape,
}

impl Operator for Input {
    fn arity(&self) -> RangeInclusive<usize> {
        0..=0
    }

    fn title(&self, _: &[&Shape]) -> String {
        "Input".into()
    }

    fn output(&self, _: &[&Shape]) -> Result<Shape> {
        Ok(self.shape.clone())
    }
}
