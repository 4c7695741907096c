//! Bottlenecks: a k×k convolution between two pointwise ones, with a shortcut.

use sepal_graph::{Builder, NodeId, Result};

use super::{Block, BlockRow, Place, Style, grouped, pointwise, residual::project};

pub(super) const ROW: BlockRow = BlockRow {
    name: "bottleneck",
    title: "Residual bottleneck",
    paper: "He et al. 2016, arXiv:1512.03385",
    weights: "(M·N + N²)/4 + k²·N²/16 + 3·N (shortcut M ≠ N: + M·N + 2·N)",
    macs: "D²·((M·N + N²)/4 + k²·N²/16) (shortcut M ≠ N: + D²·M·N)",
    options: &["activation"],
    drop_in: false,
    half: None,
    build: |b, x, place, style| {
        let parts = Bottleneck { block: Block::standard(*style), mid: (place.out_channels / 4).max(1) };
        bottleneck(b, x, place, &parts)
    },
};

pub(super) const RESNEXT_ROW: BlockRow = BlockRow {
    name: "resnext",
    title: "ResNeXt block: bottleneck with a grouped convolution",
    paper: "Xie et al. 2017, arXiv:1611.05431",
    weights: "(M·N + N²)/2 + k²·N²/(4·K) + 4·N (shortcut M ≠ N: + M·N + 2·N)",
    macs: "D²·((M·N + N²)/2 + k²·N²/(4·K)) (shortcut M ≠ N: + D²·M·N)",
    options: &["groups", "activation"],
    drop_in: false,
    half: None,
    build: |b, x, place, style| {
        let parts = Bottleneck { block: Block::new(&grouped::ROW, *style), mid: (place.out_channels / 2).max(1) };
        bottleneck(b, x, place, &parts)
    },
};

/// What a bottleneck is made of.
#[derive(Debug, Clone, Copy)]
pub struct Bottleneck {
    /// What stands where its k×k convolution stands; its style has norms and activation. A grouped
    /// convolution makes it ResNeXt's block.
    pub block: Block,
    /// Channels of the k×k convolution, input and output.
    pub mid: usize,
}

/// Pointwise to `mid` channels (`reduce`), the k×k place with the stride (`layer`), pointwise to
/// N (`expand`), each with its norm, the activation after the first two and after the sum (`add`,
/// `act`). Where the shape changes the `shortcut` is a strided pointwise convolution with norm,
/// else the identity. He et al. 2016, arXiv:1512.03385, figure 5, right, with the stride at the k×k
/// convolution as everybody has it since; Xie et al. 2017, arXiv:1611.05431, figure 3(c).
///
/// # Errors
/// The input is no map, or the block cannot take `mid` channels.
pub fn bottleneck(b: &mut Builder, x: NodeId, place: Place, parts: &Bottleneck) -> Result<NodeId> {
    let style: &Style = parts.block.style();
    let skip = project(b, x, place, style)?;
    let y = b.scope("reduce", |b| {
        let y = pointwise(b, x, Place::new(parts.mid, 1), style)?;
        style.norm_act(b, y)
    })?;
    let y = b.scope("layer", |b| {
        let inner = Place { out_channels: parts.mid, ..place };
        let y = parts.block.build(b, y, inner)?;
        style.norm_act(b, y)
    })?;
    let y = b.scope("expand", |b| {
        let y = pointwise(b, y, place.stride(1), style)?;
        style.norm(b, "bn", y)
    })?;
    let y = b.add("add", y, skip)?;
    b.activation("act", y, style.activation)
}
