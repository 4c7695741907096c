//! Maximum pooling.

use serde::{Deserialize, Serialize};

use super::{Operator, map_input, window};
use crate::{Result, Shape};

/// The maximum over a sliding window; padding never wins. `[C, H, W]` to `[C, H', W']`, sizes
/// rounded down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxPool {
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Padding at top, left, bottom, right, each smaller than the window.
    pub padding: [usize; 4],
}

impl MaxPool {
    /// A k×k window without padding.
    #[must_use]
    pub fn new(k: usize, stride: usize) -> Self {
        Self { kernel: [k, k], stride: [stride, stride], padding: [0; 4] }
    }

    /// The same padding on all four sides.
    #[must_use]
    pub fn padding(mut self, padding: usize) -> Self {
        self.padding = [padding; 4];
        self
    }
}

impl Operator for MaxPool {
    fn title(&self, _: &[&Shape]) -> String {
        "MaxPool".into()
    }

    fn check(&self) -> Result<()> {
        window::check_pool(self.kernel, self.stride, self.padding)
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        self.check()?;
        let [c, h, w] = map_input("max_pool", inputs)?;
        let [h, w] = window::output_size([h, w], self.kernel, self.stride, self.padding, [1, 1])?;
        Shape::chw(c, h, w)
    }
}
