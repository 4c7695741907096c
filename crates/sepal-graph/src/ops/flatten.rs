//! Flattening.

use serde::{Deserialize, Serialize};

use super::{Operator, only};
use crate::{Result, Shape};

/// A map as a vector in the order C, H, W: `[C, H, W]` to `[C·H·W]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flatten {}

impl Operator for Flatten {
    fn title(&self, _: &[&Shape]) -> String {
        "Flatten".into()
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        Shape::features(only("flatten", inputs)?.elements())
    }
}
