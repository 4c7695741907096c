//! ResDSC: a residual network whose every convolution is depthwise separable. Guo et al. 2019,
//! arXiv:1902.00927.

use sepal_graph::{Builder, NodeId, Task};

use super::parts::classify;
use crate::blocks::{Residual, pooled_residual};
use crate::options::{self, ACTIVATION, BRANCHES, DOMAINS, DROPOUT, GROUPS, HFF, P, WIDTH};
use crate::{Defaults, NetworkRow, Options, Place, Result, Variant, round_channels};

/// The registry row.
pub const ROW: NetworkRow = NetworkRow {
    name: "resdsc26",
    title: "ResDSC-26",
    paper: "Guo et al. 2019, arXiv:1902.00927",
    options: &[
        WIDTH,
        options::block("dsc"),
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
    defaults: |_| Ok(Defaults::square(72, 1000)),
    build,
    variants: &[Variant::new("resdsc26", 72, 1000, 3_169_667, 499_000_256)],
};

/// Channels of the stages, four blocks each; the first block of each halves the map.
const STAGES: [usize; 3] = [128, 256, 512];

/// Blocks of a stage.
const BLOCKS: usize = 4;

fn build(b: &mut Builder, x: NodeId, options: &Options, classes: usize) -> Result<NodeId> {
    let width = options.number(WIDTH.name)?;
    let block = options.block()?;
    let style = block.style();

    let mut x = b.scope("stem", |b| {
        let x = block.on_pixels().build(b, x, Place::new(round_channels(64, width), 3))?;
        style.norm(b, "bn", x)
    })?;
    for (i, channels) in STAGES.into_iter().enumerate() {
        for j in 0..BLOCKS {
            let place = Place::new(round_channels(channels, width), 3).stride(if j == 0 { 2 } else { 1 });
            let name = format!("stage{}.block{}", i + 1, j + 1);
            x = b.scope(&name, |b| pooled_residual(b, x, place, &Residual { block }))?;
        }
    }
    let x = b.scope("last", |b| style.norm_act(b, x))?;
    classify(b, x, options, classes)
}
