//! Xception. Chollet 2017, arXiv:1610.02357.

use sepal_graph::{Builder, Conv2d, MaxPool, NodeId, Task};

use super::parts::{classify, conv_norm_act};
use crate::options::{self, ACTIVATION, BRANCHES, DOMAINS, DROPOUT, GROUPS, HFF, P};
use crate::{Block, Defaults, Kind, NetworkRow, OptionRow, Options, Place, Result, Value, Variant};

/// The registry row.
pub const ROW: NetworkRow = NetworkRow {
    name: "xception",
    title: "Xception",
    paper: "Chollet 2017, arXiv:1610.02357",
    options: &[
        SKIP,
        options::block("dsc"),
        options::between("none"),
        middle(8),
        GROUPS,
        P,
        options::bsconv_norm("none"),
        BRANCHES,
        DOMAINS,
        HFF,
        ACTIVATION,
        DROPOUT,
    ],
    task: Task::Classify,
    defaults: |_| Ok(Defaults::square(299, 1000)),
    build,
    variants: &[Variant::new("xception", 299, 1000, 22_855_952, 8_357_403_496)],
};

/// `skip`: whether blocks have their skip connections (figure 9).
pub(super) const SKIP: OptionRow = options::switch("skip", "skip connections around the blocks", "yes");

/// `middle`: blocks of the middle flow.
pub(super) const fn middle(default: usize) -> OptionRow {
    OptionRow {
        name: "middle",
        help: "blocks of the middle flow",
        kind: Kind::Integer(0, 128),
        default: Value::Integer(default),
    }
}

/// A block of separable convolutions, as figure 5 draws it.
struct Flow<'a> {
    /// Output channels of each separable convolution.
    channels: &'a [usize],
    /// Whether an activation stands before the first.
    active: bool,
    /// Whether it ends in a pool that halves the map.
    pool: bool,
}

fn build(b: &mut Builder, x: NodeId, options: &Options, classes: usize) -> Result<NodeId> {
    let block = options.block()?;
    let style = block.style();
    let skip = options.is_on(SKIP.name)?;

    let x = b.scope("entry", |b| {
        let x = conv_norm_act(b, "conv1", x, Conv2d::standard(32, 3).stride(2), style)?;
        let mut x = conv_norm_act(b, "conv2", x, Conv2d::standard(64, 3), style)?;
        for (i, channels) in [128, 256, 728].into_iter().enumerate() {
            let parts = Flow { channels: &[channels, channels], active: i > 0, pool: true };
            x = flow(b, &format!("block{}", i + 1), x, &parts, block, skip)?;
        }
        Ok::<_, crate::Error>(x)
    })?;
    let x = b.scope("middle", |b| {
        let mut x = x;
        for i in 0..options.integer("middle")? {
            let parts = Flow { channels: &[728, 728, 728], active: true, pool: false };
            x = flow(b, &format!("block{}", i + 1), x, &parts, block, skip)?;
        }
        Ok::<_, crate::Error>(x)
    })?;
    let x = b.scope("exit", |b| {
        let parts = Flow { channels: &[728, 1024], active: true, pool: true };
        let mut x = flow(b, "block1", x, &parts, block, skip)?;
        for (i, channels) in [1536, 2048].into_iter().enumerate() {
            x = b.scope(&format!("sep{}", i + 1), |b| {
                let x = block.build(b, x, Place::new(channels, 3))?;
                style.norm_act(b, x)
            })?;
        }
        Ok::<_, crate::Error>(x)
    })?;
    classify(b, x, options, classes)
}

/// Separable convolutions `sep1`, …, an activation before each and a norm after each, the pool, and
/// the skip connection: the identity, or a strided pointwise convolution with norm.
fn flow(b: &mut Builder, name: &str, x: NodeId, parts: &Flow, block: Block, skip: bool) -> Result<NodeId> {
    let style = block.style();
    let flow = b.scope(name, |b| {
        let mut y = x;
        for (i, &channels) in parts.channels.iter().enumerate() {
            y = b.scope(&format!("sep{}", i + 1), |b| {
                let active = i > 0 || parts.active;
                let y = if active { b.activation("act", y, style.activation)? } else { y };
                let y = block.build(b, y, Place::new(channels, 3))?;
                style.norm(b, "bn", y)
            })?;
        }
        if parts.pool {
            y = b.node("pool", MaxPool::new(3, 2).padding(1), &[y])?;
        }
        if !skip {
            return Ok(y);
        }
        let channels = b.channels(y)?;
        let x = if parts.pool {
            b.scope("skip", |b| {
                let x = b.conv("pointwise", x, Conv2d::pointwise(channels).stride(2))?;
                style.norm(b, "bn", x)
            })?
        } else {
            x
        };
        b.add("add", y, x)
    })?;
    Ok(flow)
}
