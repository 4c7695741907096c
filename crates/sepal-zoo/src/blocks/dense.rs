//! Densely connected layers. Huang et al. 2017, arXiv:1608.06993.

use sepal_graph::{Builder, NodeId, Result};

use super::{Block, BlockRow, Place, pointwise};

pub(super) const ROW: BlockRow = BlockRow {
    name: "dense_layer",
    title: "DenseNet layer: N channels more",
    paper: "Huang et al. 2017, arXiv:1608.06993",
    weights: "4·M·N + 4·k²·N² + 2·M + 8·N",
    macs: "D²·(4·M·N + 4·k²·N²)",
    options: &["activation"],
    drop_in: false,
    half: None,
    build: |b, x, place, style| dense_layer(b, x, place, Block::standard(*style)),
};

/// A layer that appends N channels to its input: pointwise to 4·N channels (`reduce`), the k×k place to N
/// (`layer`), norm and activation before each, and `concat` of input and result. The place's stride is not
/// looked at. §3, DenseNet-B.
///
/// # Errors
/// The input is no map, or the block cannot take the channels.
pub fn dense_layer(b: &mut Builder, x: NodeId, place: Place, block: Block) -> Result<NodeId> {
    let style = block.style();
    let y = b.scope("reduce", |b| {
        let y = style.norm_act(b, x)?;
        pointwise(b, y, Place::new(place.out_channels.saturating_mul(4), 1), style)
    })?;
    let y = b.scope("layer", |b| {
        let y = style.norm_act(b, y)?;
        block.build(b, y, place.stride(1))
    })?;
    b.concat("concat", &[x, y])
}

/// Layers `layer1`, …, each of which sees the input and what all before it made. Figure 1.
///
/// # Errors
/// As [`dense_layer`].
pub fn dense_block(b: &mut Builder, x: NodeId, layers: usize, place: Place, block: Block) -> Result<NodeId> {
    let mut x = x;
    for i in 0..layers {
        x = b.scope(&format!("layer{}", i + 1), |b| dense_layer(b, x, place, block))?;
    }
    Ok(x)
}
