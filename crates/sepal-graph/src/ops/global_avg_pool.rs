//! Global average pooling.

use serde::{Deserialize, Serialize};

use super::{Operator, map_input};
use crate::{Result, Shape};

/// The mean over height and width: `[C, H, W]` to `[C]`. Lin et al. 2014, arXiv:1312.4400, §3.2.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlobalAvgPool {}

impl Operator for GlobalAvgPool {
    fn title(&self, _: &[&Shape]) -> String {
        "GlobalAvgPool".into()
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [c, _, _] = map_input("global_avg_pool", inputs)?;
        Shape::features(c)
    }
}
