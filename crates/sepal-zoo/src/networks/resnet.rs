//! ResNet and ResNeXt for ImageNet. He et al. 2016, arXiv:1512.03385; Xie et al. 2017,
//! arXiv:1611.05431.

use sepal_graph::{Builder, Conv2d, MaxPool, NodeId, Task};

use super::parts::{classify, conv_norm_act, data_norm};
use crate::blocks::{Bottleneck, Residual, bottleneck, residual};
use crate::options::{self, ACTIVATION, BRANCHES, DATA_NORM, DOMAINS, DROPOUT, HFF, P};
use crate::{Defaults, NetworkRow, OptionRow, Options, Place, Result, Variant};

/// The registry rows.
pub const ROWS: &[NetworkRow] = &[
    NetworkRow {
        name: "resnet18",
        title: "ResNet-18",
        build: |b, x, options, classes| build(b, x, options, classes, [2, 2, 2, 2], Kind::Basic),
        variants: &[
            Variant::new("resnet18", 224, 1000, 11_689_512, 1_814_073_344),
            Variant::new("resnet18:block=bsconv_u", 224, 1000, 1_959_208, 395_397_120),
        ],
        ..BASE
    },
    NetworkRow {
        name: "resnet26",
        title: "ResNet-26",
        build: |b, x, options, classes| build(b, x, options, classes, [2, 2, 2, 2], Kind::Bottleneck { share: 4 }),
        variants: &[Variant::new("resnet26", 224, 1000, 15_995_176, 2_342_256_640)],
        ..BASE
    },
    NetworkRow {
        name: "resnet34",
        title: "ResNet-34",
        build: |b, x, options, classes| build(b, x, options, classes, [3, 4, 6, 3], Kind::Basic),
        variants: &[Variant::new("resnet34", 224, 1000, 21_797_672, 3_663_761_408)],
        ..BASE
    },
    NetworkRow {
        name: "resnet50",
        title: "ResNet-50",
        build: |b, x, options, classes| build(b, x, options, classes, [3, 4, 6, 3], Kind::Bottleneck { share: 4 }),
        variants: &[Variant::new("resnet50", 224, 1000, 25_557_032, 4_089_184_256)],
        ..BASE
    },
    NetworkRow {
        name: "resnext50_32x4d",
        title: "ResNeXt-50 (32×4d)",
        paper: "Xie et al. 2017, arXiv:1611.05431",
        options: &options("grouped", 32),
        build: |b, x, options, classes| build(b, x, options, classes, [3, 4, 6, 3], Kind::Bottleneck { share: 2 }),
        variants: &[Variant::new("resnext50_32x4d", 224, 1000, 25_028_904, 4_230_479_872)],
        ..BASE
    },
];

/// What the rows have in common.
const BASE: NetworkRow = NetworkRow {
    name: "",
    title: "",
    paper: "He et al. 2016, arXiv:1512.03385",
    options: &options("standard", 8),
    task: Task::Classify,
    defaults: |_| Ok(Defaults::IMAGENET),
    build: |b, x, options, classes| build(b, x, options, classes, [2, 2, 2, 2], Kind::Basic),
    variants: &[],
};

const fn options(block: &'static str, groups: usize) -> [OptionRow; 11] {
    [
        options::block(block),
        options::between("none"),
        options::groups(groups),
        P,
        options::bsconv_norm("s"),
        BRANCHES,
        DOMAINS,
        HFF,
        ACTIVATION,
        DROPOUT,
        DATA_NORM,
    ]
}

/// The residual block: table 1 of either paper.
#[derive(Clone, Copy)]
enum Kind {
    /// Two k×k convolutions.
    Basic,
    /// A bottleneck of four times the channels; the k×k convolution has their `share`th part.
    Bottleneck { share: usize },
}

/// Table 1: channels of each stage's k×k convolutions.
const STAGES: [usize; 4] = [64, 128, 256, 512];

fn build(
    b: &mut Builder,
    x: NodeId,
    options: &Options,
    classes: usize,
    repeats: [usize; 4],
    kind: Kind,
) -> Result<NodeId> {
    let block = options.block()?;
    let x = data_norm(b, x, options)?;
    // The first convolution is no k×k place: the papers that replace blocks leave it alone.
    let x = conv_norm_act(b, "stem", x, Conv2d::standard(64, 7).stride(2).same(), block.style())?;
    let mut x = b.node("stem.pool", MaxPool::new(3, 2).padding(1), &[x])?;
    for (i, (channels, repeats)) in STAGES.into_iter().zip(repeats).enumerate() {
        for j in 0..repeats {
            let stride = if i > 0 && j == 0 { 2 } else { 1 };
            x = b.scope(&format!("stage{}.block{}", i + 1, j + 1), |b| match kind {
                Kind::Basic => residual(b, x, Place::new(channels, 3).stride(stride), &Residual { block }),
                Kind::Bottleneck { share } => {
                    let out = 4 * channels;
                    let parts = Bottleneck { block, mid: out / share };
                    bottleneck(b, x, Place::new(out, 3).stride(stride), &parts)
                }
            })?;
        }
    }
    classify(b, x, options, classes)
}
