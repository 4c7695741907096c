//! Dropout.

use serde::{Deserialize, Serialize};

use super::{Operator, only};
use crate::{Result, Shape, limits};

/// Sets each value to zero with probability `p` in training and divides the others by 1 − p; the
/// identity otherwise. Keeps the shape. Srivastava et al. 2014, JMLR 15.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// Probability of a zero, from 0 to below 1.
    pub p: f32,
}

impl Operator for Dropout {
    fn title(&self, _: &[&Shape]) -> String {
        format!("Dropout ({})", self.p)
    }

    fn check(&self) -> Result<()> {
        let ok = (0.0..1.0).contains(&self.p);
        limits::real("p", self.p, ok, "from 0 to below 1")
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        only("dropout", inputs).cloned()
    }
}
