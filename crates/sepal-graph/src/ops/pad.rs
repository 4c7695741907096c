//! Padding as an operator of its own.

use serde::{Deserialize, Serialize};

use super::{Operator, only};
use crate::{Error, Result, Shape, limits};

/// Values added around another, in every dimension: zeros after the channels are the shortcut of a
/// residual block that doubles them (He et al. 2016, arXiv:1512.03385, §3.3, option A).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    /// How many are added before, for each dimension of the input.
    pub before: Vec<usize>,
    /// How many are added after.
    pub after: Vec<usize>,
    /// What is added.
    pub mode: PadMode,
}

/// What stands in a padding.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PadMode {
    /// One value.
    Constant(f32),
    /// The value mirrored at its first and last element, which is not repeated.
    Reflect,
    /// The nearest element.
    Edge,
}

impl Pad {
    /// Zeros around a feature map C×H×W: so many channels before and after.
    #[must_use]
    pub fn channels(before: usize, after: usize) -> Self {
        Self { before: vec![before, 0, 0], after: vec![after, 0, 0], mode: PadMode::Constant(0.0) }
    }
}

impl Operator for Pad {
    fn title(&self, _: &[&Shape]) -> String {
        "Pad".into()
    }

    fn check(&self) -> Result<()> {
        match self.mode {
            PadMode::Constant(value) => limits::real("value", value, true, "a finite number"),
            PadMode::Reflect | PadMode::Edge => Ok(()),
        }
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        let shape = only("pad", inputs)?;
        for padding in [&self.before, &self.after] {
            if padding.len() != shape.rank() {
                return Err(Error::Attribute {
                    attribute: "padding",
                    value: format!("{padding:?}"),
                    expected: format!("one number for each dimension of {shape}"),
                });
            }
        }
        let mut dims = Vec::with_capacity(shape.rank());
        for ((&size, &before), &after) in shape.dims().iter().zip(&self.before).zip(&self.after) {
            if self.mode == PadMode::Reflect && before.max(after) >= size {
                return Err(Error::Attribute {
                    attribute: "padding",
                    value: before.max(after).to_string(),
                    expected: format!("smaller than the dimension {size} that it mirrors"),
                });
            }
            dims.push(size.saturating_add(before).saturating_add(after));
        }
        Shape::new(dims)
    }
}
