//! PydMobileBlock. Hoang & Jo 2019, arXiv:1811.07083.

use sepal_graph::{Builder, NodeId, Result};

use super::{Block, BlockRow, Place, pointwise, pyramid, residual::project};

pub(super) const ROW: BlockRow = BlockRow {
    name: "pydmobile",
    title: "PydMobileBlock, branches added",
    weights: "N·(M + N + 83) + 2·M + 6·N (shortcut M ≠ N: + M·N + 2·N)",
    macs: "D²·N·(M + N + 83) (shortcut M ≠ N: + D²·M·N)",
    build: |b, x, place, style| {
        let parts = PydMobile { block: Block::new(&pyramid::ROW, *style), mid: place.out_channels };
        pydmobile(b, x, place, &parts)
    },
    ..CONCAT_ROW
};

pub(super) const CONCAT_ROW: BlockRow = BlockRow {
    name: "pydmobile_concat",
    title: "PydMobileBlock, branches concatenated",
    paper: "Hoang & Jo 2019, arXiv:1811.07083",
    weights: "N·(M + 3·N + 83) + 2·M + 10·N (shortcut M ≠ N: + M·N + 2·N)",
    macs: "D²·N·(M + 3·N + 83) (shortcut M ≠ N: + D²·M·N)",
    options: &["activation"],
    drop_in: false,
    half: None,
    build: |b, x, place, style| {
        let parts = PydMobile { block: Block::new(&pyramid::CONCAT_ROW, *style), mid: place.out_channels };
        pydmobile(b, x, place, &parts)
    },
};

/// What a PydMobileBlock is made of.
#[derive(Debug, Clone, Copy)]
pub struct PydMobile {
    /// What stands where the pyramid stands, as [`Block::build_depthwise`] builds it; its style has norms and
    /// activation.
    pub block: Block,
    /// Channels that the pyramid is given.
    pub mid: usize,
}

/// Pointwise to `mid` channels (`reduce`), the `pyramid` with the stride, pointwise to N (`expand`), norm and
/// activation before each and a norm after the last (`bn`); the `shortcut` is the identity, or a strided
/// pointwise convolution of the raw input with norm where the shape changes; their sum is `add`. Figure 2.
///
/// # Errors
/// The input is no map, or the block cannot take `mid` channels.
pub fn pydmobile(b: &mut Builder, x: NodeId, place: Place, parts: &PydMobile) -> Result<NodeId> {
    let style = parts.block.style();
    let y = b.scope("reduce", |b| {
        let y = style.norm_act(b, x)?;
        pointwise(b, y, Place::new(parts.mid, 1), style)
    })?;
    let y = b.scope("pyramid", |b| {
        let y = style.norm_act(b, y)?;
        parts.block.build_depthwise(b, y, place)
    })?;
    let y = b.scope("expand", |b| {
        let y = style.norm_act(b, y)?;
        pointwise(b, y, place.stride(1), style)
    })?;
    let y = style.norm(b, "bn", y)?;
    let skip = project(b, x, place, style)?;
    b.add("add", y, skip)
}
