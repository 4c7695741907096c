//! The grouped convolution.

use sepal_graph::{Builder, Conv2d, NodeId, Result};

use super::{BlockRow, Place, Style};

pub(super) const ROW: BlockRow = BlockRow {
    name: "grouped",
    title: "Grouped convolution",
    paper: "Krizhevsky et al. 2012; Xie et al. 2017, arXiv:1611.05431",
    weights: "k²·M·N/K",
    macs: "D²·k²·M·N/K",
    options: &["groups"],
    drop_in: true,
    half: None,
    build: grouped,
};

/// A grouped convolution, `conv`: each of `style.groups` groups of filters sees only its share
/// of the channels. One group is the standard convolution, as many as channels the depthwise
/// one.
///
/// # Errors
/// The groups do not divide both channel counts.
pub fn grouped(b: &mut Builder, x: NodeId, place: Place, style: &Style) -> Result<NodeId> {
    let conv = Conv2d::standard(place.out_channels, place.kernel).groups(style.groups);
    b.conv("conv", x, conv.stride(place.stride).same())
}
