//! Global average pooling.

use serde::{Deserialize, Serialize};

use super::{Operator, map_input};
use crate::{Result, Shape};

/// The mean over height and width: `[C, H, W]` to `[C]`. Lin et al. 2014, arXiv:1312.4400, §3.2.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlobalAvgPool {
    /// Whether the result stays a map, `[C, 1, 1]`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_dims: bool,
}

impl Operator for GlobalAvgPool {
    fn title(&self, _: &[&Shape]) -> String {
        "GlobalAvgPool".into()
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [c, _, _] = map_input("global_avg_pool", inputs)?;
        if self.keep_dims { Shape::chw(c, 1, 1) } else { Shape::features(c) }
    }
}
