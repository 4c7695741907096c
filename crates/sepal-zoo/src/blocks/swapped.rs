//! A separable convolution whose halves have each other's kernel size.

use sepal_graph::{Builder, Conv2d, NodeId, Result};

use super::{BlockRow, Place, Style};

pub(super) const ROW: BlockRow = BlockRow {
    name: "dsc_swapped",
    title: "Depthwise separable convolution with kernel sizes swapped",
    paper: "an ablation of Guo et al. 2019, arXiv:1902.00927, §4",
    weights: "M + k²·M·N",
    macs: "D²·(M + k²·M·N)",
    options: &["between"],
    drop_in: true,
    half: None,
    build: separable_swapped,
};

/// A depthwise 1×1 convolution (a factor per channel), what `style.between` says, and a k×k convolution that mixes all
/// channels, under the names of the separable one's halves: `depthwise`, `pointwise`. The stride is the latter's. It costs
/// as much as a standard convolution; it is there to tell what a layer owes to being depthwise from what it owes to its
/// kernel's size.
///
/// # Errors
/// The input is no map.
pub fn separable_swapped(b: &mut Builder, x: NodeId, place: Place, style: &Style) -> Result<NodeId> {
    let conv = Conv2d::depthwise(b.channels(x)?, 1);
    let x = b.conv("depthwise", x, conv)?;
    let x = style.between.build(b, x, style)?;
    b.conv("pointwise", x, Conv2d::standard(place.out_channels, place.kernel).stride(place.stride).same())
}
