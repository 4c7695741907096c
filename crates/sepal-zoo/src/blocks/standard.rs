//! The standard convolution.

use sepal_graph::{Builder, Conv2d, NodeId, Result};

use super::{BlockRow, Place, Style};

pub(super) const ROW: BlockRow = BlockRow {
    name: "standard",
    title: "Standard convolution",
    paper: "LeCun et al. 1989",
    weights: "k²·M·N",
    macs: "D²·k²·M·N",
    options: &[],
    drop_in: true,
    half: None,
    build: standard,
};

/// A standard convolution, `conv`: every filter sees every channel. Howard et al. 2017,
/// arXiv:1704.04861, equation (1).
///
/// # Errors
/// The input is no map.
pub fn standard(b: &mut Builder, x: NodeId, place: Place, _: &Style) -> Result<NodeId> {
    let conv = Conv2d::standard(place.out_channels, place.kernel);
    b.conv("conv", x, conv.stride(place.stride).same())
}
