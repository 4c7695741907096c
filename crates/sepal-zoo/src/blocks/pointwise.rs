//! The pointwise convolution.

use sepal_graph::{Builder, Conv2d, NodeId, Result};

use super::{BlockRow, Place, Style};

pub(super) const ROW: BlockRow = BlockRow {
    name: "pointwise",
    title: "Pointwise (1×1) convolution",
    paper: "Lin et al. 2014, arXiv:1312.4400",
    weights: "M·N",
    macs: "D²·M·N",
    options: &[],
    drop_in: false,
    half: None,
    build: pointwise,
};

/// A 1×1 convolution, `pointwise`: sets the number of channels and mixes them, pixel by pixel.
/// The place's kernel is not looked at.
///
/// # Errors
/// The input is no map.
pub fn pointwise(b: &mut Builder, x: NodeId, place: Place, _: &Style) -> Result<NodeId> {
    let conv = Conv2d::pointwise(place.out_channels);
    b.conv("pointwise", x, conv.stride(place.stride))
}
