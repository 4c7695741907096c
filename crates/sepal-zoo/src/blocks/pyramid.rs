//! Pyramids of depthwise convolutions. Hoang & Jo 2019, arXiv:1811.07083.

use sepal_graph::{Builder, Conv2d, NodeId, Result};

use super::{BlockRow, Place, Style, pointwise};

pub(super) const ROW: BlockRow = BlockRow {
    name: "pyramid_add",
    title: "Pyramid of depthwise convolutions, added, and pointwise convolution",
    paper: "Hoang & Jo 2019, arXiv:1811.07083",
    weights: "(3² + 5² + 7²)·M + M·N",
    macs: "D²·((3² + 5² + 7²)·M + M·N)",
    options: &["between"],
    drop_in: true,
    build: pyramid_add,
};

/// Kernels of the pyramid's depthwise convolutions.
pub const PYRAMID: [usize; 3] = [3, 5, 7];

/// Depthwise convolutions of several kernels side by side, added: `depthwise3`, `depthwise5`,
/// `depthwise7`, `add5`, `add7`. Keeps the number of channels. Figure 1.
///
/// # Errors
/// The input is no map.
pub fn pyramid_depthwise(b: &mut Builder, x: NodeId, stride: usize) -> Result<NodeId> {
    let channels = b.channels(x)?;
    let mut branches = Vec::with_capacity(PYRAMID.len());
    for kernel in PYRAMID {
        let conv = Conv2d::depthwise(channels, kernel).stride(stride).same();
        branches.push((kernel, b.conv(&format!("depthwise{kernel}"), x, conv)?));
    }
    let mut sum = x;
    for (i, (kernel, branch)) in branches.into_iter().enumerate() {
        sum = if i == 0 { branch } else { b.add(&format!("add{kernel}"), sum, branch)? };
    }
    Ok(sum)
}

/// The depthwise separable convolution with a pyramid for its depthwise half: the branches and
/// their sum, what `style.between` says, `pointwise`. The place's kernel is not looked at.
///
/// # Errors
/// The input is no map.
pub fn pyramid_add(b: &mut Builder, x: NodeId, place: Place, style: &Style) -> Result<NodeId> {
    let x = pyramid_depthwise(b, x, place.stride)?;
    let x = style.between.build(b, x, style)?;
    pointwise(b, x, place.stride(1), style)
}
