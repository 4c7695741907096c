//! Inception blocks. Szegedy et al. 2016, arXiv:1512.00567; the simplified form is that of Chollet 2017,
//! arXiv:1610.02357, §1.1.

use sepal_graph::{AvgPool, Builder, Conv2d, NodeId, Result};

use super::{Block, BlockRow, Place, Style, pointwise, standard};

pub(super) const ROW: BlockRow = BlockRow {
    name: "inception",
    title: "Inception block of four branches",
    paper: "Szegedy et al. 2016, arXiv:1512.00567",
    weights: "M·N + 3·k²·N²/16 + 7·N/2",
    macs: "D²·(M·N + 3·k²·N²/16)",
    options: &["activation"],
    drop_in: false,
    half: None,
    build: |b, x, place, style| {
        let quarter = (place.out_channels / 4).max(1);
        let parts = Inception {
            pointwise: quarter,
            single: (quarter, quarter, place.kernel),
            double: (quarter, quarter, place.kernel),
            pool: quarter,
            block: Block::standard(*style),
        };
        inception(b, x, &parts)
    },
};

pub(super) const SIMPLE_ROW: BlockRow = BlockRow {
    name: "inception_simple",
    title: "Simplified Inception block: every branch is pointwise, then k×k",
    paper: "Chollet 2017, arXiv:1610.02357, §1.1",
    weights: "M·N + k²·N²/B for B branches",
    macs: "D²·(M·N + k²·N²/B)",
    options: &["branches"],
    drop_in: true,
    half: None,
    build: inception_simple,
};

/// What an Inception block is made of.
#[derive(Debug, Clone, Copy)]
pub struct Inception {
    /// Channels of the pointwise branch.
    pub pointwise: usize,
    /// The branch of one k×k convolution: channels of its pointwise one, its output channels, k.
    pub single: (usize, usize, usize),
    /// The branch of two k×k convolutions: channels of its pointwise one, of both others, their k.
    pub double: (usize, usize, usize),
    /// Channels of the branch that pools first.
    pub pool: usize,
    /// What stands where its k×k convolutions stand; its style has norms and activation.
    pub block: Block,
}

/// Four branches side by side, concatenated: `branch1` pointwise; `branch2` pointwise, k×k; `branch3`
/// pointwise, k×k, k×k; `branch4` a 3×3 average `pool`, pointwise. Each convolution `layer1`, … has its norm
/// and activation. Figure 5.
///
/// # Errors
/// The input is no map, or the block cannot take the channels.
pub fn inception(b: &mut Builder, x: NodeId, parts: &Inception) -> Result<NodeId> {
    let Inception { block, .. } = *parts;
    let branches = [
        b.scope("branch1", |b| layer(b, 1, x, Conv2d::pointwise(parts.pointwise), block.style()))?,
        b.scope("branch2", |b| {
            let (reduce, out, kernel) = parts.single;
            let y = layer(b, 1, x, Conv2d::pointwise(reduce), block.style())?;
            place(b, 2, y, Place::new(out, kernel), block)
        })?,
        b.scope("branch3", |b| {
            let (reduce, out, kernel) = parts.double;
            let y = layer(b, 1, x, Conv2d::pointwise(reduce), block.style())?;
            let y = place(b, 2, y, Place::new(out, kernel), block)?;
            place(b, 3, y, Place::new(out, kernel), block)
        })?,
        b.scope("branch4", |b| pooled(b, x, parts.pool, block.style()))?,
    ];
    b.concat("concat", &branches)
}

/// A convolution with norm and activation: `layer….conv`, `.bn`, `.act`.
pub(crate) fn layer(b: &mut Builder, index: usize, x: NodeId, conv: Conv2d, style: &Style) -> Result<NodeId> {
    b.scope(&format!("layer{index}"), |b| {
        let x = b.conv("conv", x, conv)?;
        style.norm_act(b, x)
    })
}

/// What stands for a k×k convolution, with norm and activation.
pub(crate) fn place(b: &mut Builder, index: usize, x: NodeId, place: Place, block: Block) -> Result<NodeId> {
    b.scope(&format!("layer{index}"), |b| {
        let x = block.build(b, x, place)?;
        block.style().norm_act(b, x)
    })
}

/// The branch that pools: `pool`, which counts padded zeros, and a pointwise `layer1`.
pub(crate) fn pooled(b: &mut Builder, x: NodeId, channels: usize, style: &Style) -> Result<NodeId> {
    let x = b.node("pool", AvgPool::new(3, 1).padding(1), &[x])?;
    layer(b, 1, x, Conv2d::pointwise(channels), style)
}

/// Branches `branch1`, … of a `pointwise` and a k×k `conv`, which has the stride, concatenated. Their
/// number is `style.branches`, or N where that is less; they share the N channels evenly, the first
/// ones having one more where that leaves a rest. Figure 2.
///
/// # Errors
/// The input is no map.
pub fn inception_simple(b: &mut Builder, x: NodeId, place: Place, style: &Style) -> Result<NodeId> {
    let branches = style.branches.min(place.out_channels).max(1);
    let mut parts = Vec::with_capacity(branches);
    for i in 0..branches {
        let more = usize::from(i < place.out_channels % branches);
        let place = Place { out_channels: place.out_channels / branches + more, ..place };
        parts.push(b.scope(&format!("branch{}", i + 1), |b| {
            let y = pointwise(b, x, place.stride(1), style)?;
            standard(b, y, place, style)
        })?);
    }
    b.concat("concat", &parts)
}
