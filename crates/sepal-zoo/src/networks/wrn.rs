//! Wide residual networks: 6n + 4 layers. Zagoruyko & Komodakis 2016, arXiv:1605.07146.

use sepal_graph::{Builder, NodeId, Task};

use super::parts::{CIFAR_OPTIONS, classify, data_norm};
use crate::blocks::{Residual, pre_residual};
use crate::{Defaults, NetworkRow, Options, Place, Result, Variant};

/// The registry rows.
pub const ROWS: &[NetworkRow] = &[
    NetworkRow {
        name: "wrn16_1",
        title: "WRN-16-1",
        build: |b, x, options, classes| build(b, x, options, classes, 2, 1),
        variants: &[Variant::new("wrn16_1", 32, 10, 175_066, 26_657_408)],
        ..BASE
    },
    NetworkRow {
        name: "wrn16_4",
        title: "WRN-16-4",
        build: |b, x, options, classes| build(b, x, options, classes, 2, 4),
        variants: &[
            Variant::new("wrn16_4", 32, 10, 2_748_890, 392_612_352),
            Variant::new("wrn16_4:block=bsconv_u", 32, 10, 364_522, 65_145_344),
            Variant::new("wrn16_4:block=bsconv_s,p=0.25", 32, 10, 213_601, 35_073_536),
        ],
        ..BASE
    },
    NetworkRow {
        name: "wrn40_10",
        title: "WRN-40-10",
        build: |b, x, options, classes| build(b, x, options, classes, 6, 10),
        variants: &[
            Variant::new("wrn40_10", 32, 10, 55_841_754, 8_074_483_968),
            Variant::new("wrn40_10:block=bsconv_s,p=0.25", 32, 10, 3_499_873, 532_593_920),
        ],
        ..BASE
    },
];

/// What the rows have in common.
const BASE: NetworkRow = NetworkRow {
    name: "",
    title: "",
    paper: "Zagoruyko & Komodakis 2016, arXiv:1605.07146",
    options: CIFAR_OPTIONS,
    task: Task::Classify,
    defaults: |_| Ok(Defaults::CIFAR),
    build: |b, x, options, classes| build(b, x, options, classes, 2, 1),
    variants: &[],
};

/// Table 1, with `repeats` blocks a stage and `width` times the channels.
fn build(
    b: &mut Builder,
    x: NodeId,
    options: &Options,
    classes: usize,
    repeats: usize,
    width: usize,
) -> Result<NodeId> {
    let block = options.block()?;

    let x = data_norm(b, x, options)?;
    let mut x = b.scope("stem", |b| block.on_pixels().build(b, x, Place::new(16, 3)))?;
    for (i, channels) in [16, 32, 64].into_iter().enumerate() {
        for j in 0..repeats {
            let place = Place::new(width * channels, 3).stride(if i > 0 && j == 0 { 2 } else { 1 });
            let name = format!("stage{}.block{}", i + 1, j + 1);
            x = b.scope(&name, |b| pre_residual(b, x, place, &Residual { block }))?;
        }
    }
    let x = b.scope("last", |b| block.style().norm_act(b, x))?;
    classify(b, x, options, classes)
}
