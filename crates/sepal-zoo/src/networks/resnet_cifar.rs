//! ResNet for small images: 6n + 2 layers. He et al. 2016, arXiv:1512.03385, §4.2.

use sepal_graph::{Builder, NodeId, Task};

use super::parts::{CIFAR_OPTIONS, classify, data_norm};
use crate::blocks::{Residual, residual};
use crate::{Defaults, NetworkRow, Options, Place, Result, Variant};

/// The registry rows.
pub const ROWS: &[NetworkRow] = &[
    NetworkRow {
        name: "resnet20",
        title: "ResNet-20 for small images",
        build: |b, x, options, classes| build(b, x, options, classes, 3),
        variants: &[
            Variant::new("resnet20", 32, 10, 272_474, 40_813_184),
            Variant::new("resnet20:block=bsconv_u", 32, 10, 40_714, 7_250_560),
            Variant::new("resnet20:block=bsconv_s,p=0.25", 32, 10, 27_249, 4_507_264),
        ],
        ..BASE
    },
    NetworkRow {
        name: "resnet56",
        title: "ResNet-56 for small images",
        build: |b, x, options, classes| build(b, x, options, classes, 9),
        variants: &[Variant::new("resnet56", 32, 10, 855_770, 125_747_840)],
        ..BASE
    },
    NetworkRow {
        name: "resnet110",
        title: "ResNet-110 for small images",
        build: |b, x, options, classes| build(b, x, options, classes, 18),
        variants: &[Variant::new("resnet110", 32, 10, 1_730_714, 253_149_824)],
        ..BASE
    },
];

/// What the rows have in common.
const BASE: NetworkRow = NetworkRow {
    name: "",
    title: "",
    paper: "He et al. 2016, arXiv:1512.03385",
    options: CIFAR_OPTIONS,
    task: Task::Classify,
    defaults: |_| Ok(Defaults::CIFAR),
    build: |b, x, options, classes| build(b, x, options, classes, 3),
    variants: &[],
};

fn build(b: &mut Builder, x: NodeId, options: &Options, classes: usize, repeats: usize) -> Result<NodeId> {
    let block = options.block()?;
    let style = block.style();

    let x = data_norm(b, x, options)?;
    let mut x = b.scope("stem", |b| {
        let x = block.on_pixels().build(b, x, Place::new(16, 3))?;
        style.norm_act(b, x)
    })?;
    for (i, channels) in [16, 32, 64].into_iter().enumerate() {
        for j in 0..repeats {
            let place = Place::new(channels, 3).stride(if i > 0 && j == 0 { 2 } else { 1 });
            let name = format!("stage{}.block{}", i + 1, j + 1);
            x = b.scope(&name, |b| residual(b, x, place, &Residual { block }))?;
        }
    }
    classify(b, x, options, classes)
}
