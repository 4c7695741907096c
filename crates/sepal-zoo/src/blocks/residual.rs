//! Residual blocks of two k×k convolutions.

use sepal_graph::{AvgPool, Builder, NodeId, Pad, Result};

use super::{Block, BlockRow, Place, Style, pointwise, separable};

pub(super) const ROW: BlockRow = BlockRow {
    name: "residual",
    title: "Residual block",
    paper: "He et al. 2016, arXiv:1512.03385",
    weights: "k²·(M·N + N²) + 4·N (shortcut M ≠ N: + M·N + 2·N)",
    macs: "D²·k²·(M·N + N²) (shortcut M ≠ N: + D²·M·N)",
    options: &["activation"],
    drop_in: false,
    half: None,
    build: |b, x, place, style| residual(b, x, place, &Residual { block: Block::standard(*style) }),
};

pub(super) const PRE_ROW: BlockRow = BlockRow {
    name: "pre_residual",
    title: "Residual block with norms and activations first",
    paper: "He et al. 2016, arXiv:1603.05027",
    weights: "k²·(M·N + N²) + 2·M + 2·N (shortcut M ≠ N: + M·N)",
    macs: "D²·k²·(M·N + N²) (shortcut M ≠ N: + D²·M·N)",
    options: &["activation"],
    drop_in: false,
    half: None,
    build: |b, x, place, style| pre_residual(b, x, place, &Residual { block: Block::standard(*style) }),
};

pub(super) const POOLED_ROW: BlockRow = BlockRow {
    name: "pooled_residual",
    title: "Residual block of separable convolutions, shortcut without parameters",
    paper: "Guo et al. 2019, arXiv:1902.00927",
    weights: "k²·(M + N) + M·N + N² + 4·N (M ≤ N)",
    macs: "D²·(k²·(M + N) + M·N + N²)",
    options: &["between", "activation"],
    drop_in: false,
    half: None,
    build: |b, x, place, style| pooled_residual(b, x, place, &Residual { block: Block::new(&separable::ROW, *style) }),
};

/// What stands in a residual block's places.
#[derive(Debug, Clone, Copy)]
pub struct Residual {
    /// What stands where its k×k convolutions stand; its style has norms and activation.
    pub block: Block,
}

/// The basic block: two k×k places (`layer1`, `layer2`), each with its norm, the activation after
/// the first and after the sum (`add`, `act`). Where the shape changes the `shortcut` is a strided
/// pointwise convolution with norm, else the identity. Figure 5, left; option B of §4.1.
///
/// # Errors
/// The input is no map.
pub fn residual(b: &mut Builder, x: NodeId, place: Place, parts: &Residual) -> Result<NodeId> {
    let skip = project(b, x, place, parts.block.style())?;
    basic(b, x, skip, place, parts.block)
}

/// The basic block with the `shortcut` of ResDSC: where the stride is above 1 an average `pool` of the
/// stride, whose last window may be cut off by the edge, and where there are more output than input
/// channels zeros after these (`pad`). It has no parameters. Guo et al. 2019, arXiv:1902.00927; option A of
/// He et al. 2016, arXiv:1512.03385, §3.3.
///
/// # Errors
/// The input is no map, or has more channels than the output.
pub fn pooled_residual(b: &mut Builder, x: NodeId, place: Place, parts: &Residual) -> Result<NodeId> {
    let skip = b.scope("shortcut", |b| {
        let mut skip = x;
        if place.stride > 1 {
            let rest = place.stride - 1;
            let pool = AvgPool::new(place.stride, place.stride);
            let pool = AvgPool { padding: [0, 0, rest, rest], count_include_pad: false, ..pool };
            skip = b.node("pool", pool, &[x])?;
        }
        match place.out_channels.saturating_sub(b.channels(x)?) {
            0 => Ok(skip),
            more => b.node("pad", Pad::channels(0, more), &[skip]),
        }
    })?;
    basic(b, x, skip, place, parts.block)
}

/// Two places, the sum with the shortcut, the activation.
fn basic(b: &mut Builder, x: NodeId, skip: NodeId, place: Place, block: Block) -> Result<NodeId> {
    let style = block.style();
    let y = b.scope("layer1", |b| {
        let y = block.build(b, x, place)?;
        style.norm_act(b, y)
    })?;
    let y = b.scope("layer2", |b| {
        let y = block.build(b, y, place.stride(1))?;
        style.norm(b, "bn", y)
    })?;
    let y = b.add("add", y, skip)?;
    b.activation("act", y, style.activation)
}

/// The shortcut of a block that ends in a sum: the identity, or a strided pointwise convolution
/// with norm where the shape changes.
pub(super) fn project(b: &mut Builder, x: NodeId, place: Place, style: &Style) -> Result<NodeId> {
    if b.channels(x)? == place.out_channels && place.stride == 1 {
        return Ok(x);
    }
    b.scope("shortcut", |b| {
        let x = pointwise(b, x, place, style)?;
        style.norm(b, "bn", x)
    })
}

/// The basic block with norm and activation before each place (`layer1`, `layer2`) and nothing
/// after the sum. Where the shape changes the `shortcut` is a strided pointwise convolution of the
/// normed and activated input, without a norm of its own. Figure 1(b); Zagoruyko & Komodakis 2016,
/// arXiv:1605.07146, figure 1.
///
/// # Errors
/// The input is no map.
pub fn pre_residual(b: &mut Builder, x: NodeId, place: Place, parts: &Residual) -> Result<NodeId> {
    let style = parts.block.style();
    let same = b.channels(x)? == place.out_channels && place.stride == 1;
    let active = b.scope("layer1", |b| style.norm_act(b, x))?;
    let skip = if same { x } else { b.scope("shortcut", |b| pointwise(b, active, place, style))? };
    let y = b.scope("layer1", |b| parts.block.build(b, active, place))?;
    let y = b.scope("layer2", |b| {
        let y = style.norm_act(b, y)?;
        parts.block.build(b, y, place.stride(1))
    })?;
    b.add("add", y, skip)
}
