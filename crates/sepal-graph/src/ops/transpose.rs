//! Transposition.

use serde::{Deserialize, Serialize};

use super::{Operator, only};
use crate::{Error, Result, Shape};

/// Dimensions in another order: dimension `i` of the output is dimension `order[i]` of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transpose {
    /// Every dimension of the input once, counted without the batch dimension.
    pub order: Vec<usize>,
}

impl Operator for Transpose {
    fn title(&self, _: &[&Shape]) -> String {
        "Transpose".into()
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        let shape = only("transpose", inputs)?;
        let mut sorted = self.order.clone();
        sorted.sort_unstable();
        if sorted.into_iter().ne(0..shape.rank()) {
            return Err(Error::Attribute {
                attribute: "order",
                value: format!("{:?}", self.order),
                expected: format!("each of 0..{} once", shape.rank()),
            });
        }
        Shape::new(self.order.iter().map(|&axis| shape.dims()[axis]).collect())
    }
}
