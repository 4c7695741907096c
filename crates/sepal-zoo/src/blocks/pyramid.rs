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
    half: Some(|b, x, place, _| pyramid_depthwise(b, x, place.stride, Merge::Add)),
    build: pyramid_add,
};

pub(super) const CONCAT_ROW: BlockRow = BlockRow {
    name: "pyramid_concat",
    title: "Pyramid of depthwise convolutions, concatenated, and pointwise convolution",
    weights: "(3² + 5² + 7²)·M + 3·M·N",
    macs: "D²·((3² + 5² + 7²)·M + 3·M·N)",
    half: Some(|b, x, place, _| pyramid_depthwise(b, x, place.stride, Merge::Concat)),
    build: pyramid_concat,
    ..ROW
};

/// Kernels of the pyramid's depthwise convolutions.
pub const PYRAMID: [usize; 3] = [3, 5, 7];

/// How the branches of a pyramid become one map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// Their sum, of as many channels as the input.
    Add,
    /// One after the other, of three times the channels.
    Concat,
}

/// Depthwise convolutions of several kernels side by side, `depthwise3`, `depthwise5`, `depthwise7`, added
/// (`add5`, `add7`) or concatenated (`concat`). Figure 1.
///
/// # Errors
/// The input is no map.
pub fn pyramid_depthwise(b: &mut Builder, x: NodeId, stride: usize, merge: Merge) -> Result<NodeId> {
    let channels = b.channels(x)?;
    let mut branches = Vec::with_capacity(PYRAMID.len());
    for kernel in PYRAMID {
        let conv = Conv2d::depthwise(channels, kernel).stride(stride).same();
        branches.push(b.conv(&format!("depthwise{kernel}"), x, conv)?);
    }
    if merge == Merge::Concat {
        return b.concat("concat", &branches);
    }
    let mut sum = x;
    for (i, (kernel, branch)) in PYRAMID.into_iter().zip(branches).enumerate() {
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
    pyramid(b, x, place, style, Merge::Add)
}

/// The same with the branches concatenated, so that `pointwise` sees three times the channels.
///
/// # Errors
/// The input is no map.
pub fn pyramid_concat(b: &mut Builder, x: NodeId, place: Place, style: &Style) -> Result<NodeId> {
    pyramid(b, x, place, style, Merge::Concat)
}

fn pyramid(b: &mut Builder, x: NodeId, place: Place, style: &Style, merge: Merge) -> Result<NodeId> {
    let x = pyramid_depthwise(b, x, place.stride, merge)?;
    let x = style.between.build(b, x, style)?;
    pointwise(b, x, place.stride(1), style)
}
