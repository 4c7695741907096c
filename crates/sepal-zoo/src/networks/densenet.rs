//! DenseNet. Huang et al. 2017, arXiv:1608.06993.

use sepal_graph::{AvgPool, Builder, Conv2d, MaxPool, NodeId, Task};

use super::parts::{classify, conv_norm_act};
use crate::blocks::{dense_block, pointwise};
use crate::options::{self, ACTIVATION, BRANCHES, DOMAINS, DROPOUT, GROUPS, HFF, P};
use crate::{Defaults, NetworkRow, Options, Place, Result, Variant};

/// The registry row.
pub const ROW: NetworkRow = NetworkRow {
    name: "densenet121",
    title: "DenseNet-121",
    paper: "Huang et al. 2017, arXiv:1608.06993",
    options: &[
        options::block("standard"),
        options::between("none"),
        GROUPS,
        P,
        options::bsconv_norm("s"),
        BRANCHES,
        DOMAINS,
        HFF,
        ACTIVATION,
        DROPOUT,
    ],
    task: Task::Classify,
    defaults: |_| Ok(Defaults::IMAGENET),
    build,
    variants: &[Variant::new("densenet121", 224, 1000, 7_978_856, 2_834_161_664)],
};

/// Table 1: layers of each dense block.
const LAYERS: [usize; 4] = [6, 12, 24, 16];

/// Channels that every layer adds, k.
const GROWTH: usize = 32;

fn build(b: &mut Builder, x: NodeId, options: &Options, classes: usize) -> Result<NodeId> {
    let block = options.block()?;
    let style = block.style();

    // The first convolution is no k×k place, as in ResNet.
    let x = conv_norm_act(b, "stem", x, Conv2d::standard(2 * GROWTH, 7).stride(2).same(), style)?;
    let mut x = b.node("stem.pool", MaxPool::new(3, 2).padding(1), &[x])?;
    for (i, layers) in LAYERS.into_iter().enumerate() {
        let name = format!("stage{}", i + 1);
        x = b.scope(&name, |b| dense_block(b, x, layers, Place::new(GROWTH, 3), block))?;
        if i + 1 == LAYERS.len() {
            break;
        }
        // The transition halves channels and size.
        x = b.scope(&format!("{name}.transition"), |b| {
            let half = b.channels(x)? / 2;
            let x = style.norm_act(b, x)?;
            let x = pointwise(b, x, Place::new(half, 1), style)?;
            b.node("pool", AvgPool::new(2, 2), &[x])
        })?;
    }
    let x = b.scope("last", |b| style.norm_act(b, x))?;
    classify(b, x, options, classes)
}
