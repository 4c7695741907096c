//! Average pooling.

use serde::{Deserialize, Serialize};

use super::{Operator, map_input, window};
use crate::{Result, Shape};

/// The mean over a sliding window. `[C, H, W]` to `[C, H', W']`, sizes rounded down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AvgPool {
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Padding at top, left, bottom, right, each smaller than the window.
    pub padding: [usize; 4],
    /// Whether padded zeros count as values: the sum is divided by the whole window if so, by the
    /// pixels inside the map otherwise.
    pub count_include_pad: bool,
}

impl AvgPool {
    /// A k×k window without padding.
    #[must_use]
    pub fn new(k: usize, stride: usize) -> Self {
        Self { kernel: [k, k], stride: [stride, stride], padding: [0; 4], count_include_pad: true }
    }

    /// The same padding on all four sides.
    #[must_use]
    pub fn padding(mut self, padding: usize) -> Self {
        self.padding = [padding; 4];
        self
    }
}

impl Operator for AvgPool {
    fn title(&self, _: &[&Shape]) -> String {
        "AvgPool".into()
    }

    fn check(&self) -> Result<()> {
        window::check_pool(self.kernel, self.stride, self.padding)
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        self.check()?;
        let [c, h, w] = map_input("avg_pool", inputs)?;
        let [h, w] = window::output_size([h, w], self.kernel, self.stride, self.padding, [1, 1])?;
        Shape::chw(c, h, w)
    }
}
