//! The depthwise convolution.

use sepal_graph::{Builder, Conv2d, NodeId, Result};

use super::{BlockRow, Place, Style};

pub(super) const ROW: BlockRow = BlockRow {
    name: "depthwise",
    title: "Depthwise convolution",
    paper: "Sifre 2014; Howard et al. 2017, arXiv:1704.04861",
    weights: "k²·M",
    macs: "D²·k²·M",
    options: &[],
    drop_in: false,
    half: None,
    build: depthwise,
};

/// A depthwise convolution, `depthwise`: one k×k kernel per channel. It never mixes channels
/// and keeps their number. Howard et al. 2017, arXiv:1704.04861, equation (3).
///
/// # Errors
/// The input is no map.
pub fn depthwise(b: &mut Builder, x: NodeId, place: Place, _: &Style) -> Result<NodeId> {
    let conv = Conv2d::depthwise(b.channels(x)?, place.kernel);
    b.conv("depthwise", x, conv.stride(place.stride).dilation(place.dilation).same())
}
