//! Inception-V3 without its auxiliary head. Szegedy et al. 2016, arXiv:1512.00567.

use sepal_graph::{Builder, Conv2d, MaxPool, NodeId, Task};

use super::parts::{classify, conv_norm_act};
use crate::blocks::{Inception, inception, layer, place, pooled};
use crate::options::{self, ACTIVATION, BRANCHES, DOMAINS, DROPOUT, GROUPS, HFF, P};
use crate::{Block, Defaults, Kind, NetworkRow, OptionRow, Options, Place, Result, Style, Value, Variant};

/// The registry row.
pub const ROW: NetworkRow = NetworkRow {
    name: "inception_v3",
    title: "Inception-V3",
    paper: "Szegedy et al. 2016, arXiv:1512.00567",
    options: &[
        BLOCK,
        options::between("none"),
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
    variants: &[Variant::new("inception_v3", 299, 1000, 23_834_568, 5_713_216_096)],
};

/// `block`: what stands in the modules.
const BLOCK: OptionRow = OptionRow {
    name: "block",
    help: "what stands where a module has a padded k×k convolution; unpadded ones, 1×7 and 7×1 stay",
    kind: Kind::Block,
    default: Value::Word("standard"),
};

/// Channels of the 1×7 and 7×1 convolutions in the modules on the 17×17 map.
const SEVENS: [usize; 4] = [128, 160, 160, 192];

fn build(b: &mut Builder, x: NodeId, options: &Options, classes: usize) -> Result<NodeId> {
    let block = options.block_in(Style { eps: 1e-3, ..options.style()? })?;
    let style = block.style();

    let mut x = b.scope("stem", |b| {
        let x = conv_norm_act(b, "conv1", x, Conv2d::standard(32, 3).stride(2), style)?;
        let x = conv_norm_act(b, "conv2", x, Conv2d::standard(32, 3), style)?;
        let x = conv_norm_act(b, "conv3", x, Conv2d::standard(64, 3).same(), style)?;
        let x = b.node("pool1", MaxPool::new(3, 2), &[x])?;
        let x = conv_norm_act(b, "conv4", x, Conv2d::pointwise(80), style)?;
        let x = conv_norm_act(b, "conv5", x, Conv2d::standard(192, 3), style)?;
        Ok::<_, crate::Error>(b.node("pool2", MaxPool::new(3, 2), &[x])?)
    })?;
    for (i, pool) in [32, 64, 64].into_iter().enumerate() {
        let parts = Inception { pointwise: 64, single: (48, 64, 5), double: (64, 96, 3), pool, block };
        x = b.scope(&format!("stage1.block{}", i + 1), |b| inception(b, x, &parts))?;
    }
    x = b.scope("reduction1", |b| reduction1(b, x, block))?;
    for (i, channels) in SEVENS.into_iter().enumerate() {
        x = b.scope(&format!("stage2.block{}", i + 1), |b| sevens(b, x, channels, style))?;
    }
    x = b.scope("reduction2", |b| reduction2(b, x, style))?;
    for i in 0..2 {
        x = b.scope(&format!("stage3.block{}", i + 1), |b| spread(b, x, block))?;
    }
    classify(b, x, options, classes)
}

/// A convolution of one row or column.
fn line(channels: usize, [h, w]: [usize; 2]) -> Conv2d {
    Conv2d { kernel: [h, w], ..Conv2d::standard(channels, 1) }.same()
}

/// From 35×35 to 17×17: an unpadded convolution, a branch of two, and a pool, all of stride 2.
fn reduction1(b: &mut Builder, x: NodeId, block: Block) -> sepal_graph::Result<NodeId> {
    let style = block.style();
    let branches = [
        b.scope("branch1", |b| layer(b, 1, x, Conv2d::standard(384, 3).stride(2), style))?,
        b.scope("branch2", |b| {
            let y = layer(b, 1, x, Conv2d::pointwise(64), style)?;
            let y = place(b, 2, y, Place::new(96, 3), block)?;
            layer(b, 3, y, Conv2d::standard(96, 3).stride(2), style)
        })?,
        b.node("branch3.pool", MaxPool::new(3, 2), &[x])?,
    ];
    b.concat("concat", &branches)
}

/// 7×7 convolutions as 1×7 and 7×1. Figure 6.
fn sevens(b: &mut Builder, x: NodeId, mid: usize, style: &Style) -> sepal_graph::Result<NodeId> {
    const ROW: [usize; 2] = [1, 7];
    const COLUMN: [usize; 2] = [7, 1];
    let lines = |b: &mut Builder, name: &str, lines: &[(usize, [usize; 2])]| {
        b.scope(name, |b| {
            let mut y = layer(b, 1, x, Conv2d::pointwise(mid), style)?;
            for (i, &(channels, kernel)) in lines.iter().enumerate() {
                y = layer(b, i + 2, y, line(channels, kernel), style)?;
            }
            Ok::<_, sepal_graph::Error>(y)
        })
    };
    let branches = [
        b.scope("branch1", |b| layer(b, 1, x, Conv2d::pointwise(192), style))?,
        lines(b, "branch2", &[(mid, ROW), (192, COLUMN)])?,
        lines(b, "branch3", &[(mid, COLUMN), (mid, ROW), (mid, COLUMN), (192, ROW)])?,
        b.scope("branch4", |b| pooled(b, x, 192, style))?,
    ];
    b.concat("concat", &branches)
}

/// From 17×17 to 8×8.
fn reduction2(b: &mut Builder, x: NodeId, style: &Style) -> sepal_graph::Result<NodeId> {
    let branches = [
        b.scope("branch1", |b| {
            let y = layer(b, 1, x, Conv2d::pointwise(192), style)?;
            layer(b, 2, y, Conv2d::standard(320, 3).stride(2), style)
        })?,
        b.scope("branch2", |b| {
            let y = layer(b, 1, x, Conv2d::pointwise(192), style)?;
            let y = layer(b, 2, y, line(192, [1, 7]), style)?;
            let y = layer(b, 3, y, line(192, [7, 1]), style)?;
            layer(b, 4, y, Conv2d::standard(192, 3).stride(2), style)
        })?,
        b.node("branch3.pool", MaxPool::new(3, 2), &[x])?,
    ];
    b.concat("concat", &branches)
}

/// Branches that end in a 1×3 (`row`) and a 3×1 convolution (`column`) side by side. Figure 7.
fn spread(b: &mut Builder, x: NodeId, block: Block) -> sepal_graph::Result<NodeId> {
    let style = block.style();
    let split = |b: &mut Builder, y: NodeId| {
        let row = b.scope("row", |b| layer(b, 1, y, line(384, [1, 3]), style))?;
        let column = b.scope("column", |b| layer(b, 1, y, line(384, [3, 1]), style))?;
        b.concat("concat", &[row, column])
    };
    let branches = [
        b.scope("branch1", |b| layer(b, 1, x, Conv2d::pointwise(320), style))?,
        b.scope("branch2", |b| {
            let y = layer(b, 1, x, Conv2d::pointwise(384), style)?;
            split(b, y)
        })?,
        b.scope("branch3", |b| {
            let y = layer(b, 1, x, Conv2d::pointwise(448), style)?;
            let y = place(b, 2, y, Place::new(384, 3), block)?;
            split(b, y)
        })?,
        b.scope("branch4", |b| pooled(b, x, 192, style))?,
    ];
    b.concat("concat", &branches)
}
