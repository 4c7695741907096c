//! Reshaping.

use serde::{Deserialize, Serialize};

use super::{Operator, only};
use crate::{Error, Result, Shape};

/// The same values, in the same order (the last dimension varies fastest), under another shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reshape {
    /// The dimensions; one may be −1, which stands for what is left.
    pub shape: Vec<i64>,
}

impl Operator for Reshape {
    fn title(&self, _: &[&Shape]) -> String {
        "Reshape".into()
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        let elements = only("reshape", inputs)?.elements();
        let wrong = || Error::Attribute {
            attribute: "shape",
            value: format!("{:?}", self.shape),
            expected: format!("dimensions whose product is {elements}, at most one of them −1"),
        };
        let known = self.shape.iter().filter(|&&size| size != -1);
        let known = known.map(|&size| usize::try_from(size).ok()).collect::<Option<Vec<usize>>>().ok_or_else(wrong)?;
        let product = known.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        let product = product.filter(|&product| product > 0 && elements.is_multiple_of(product)).ok_or_else(wrong)?;
        let rest = elements / product;
        let open = self.shape.len() - known.len();
        if open > 1 || (open == 0 && rest != 1) {
            return Err(wrong());
        }
        Shape::new(self.shape.iter().map(|&size| usize::try_from(size).unwrap_or(rest)).collect())
    }
}
