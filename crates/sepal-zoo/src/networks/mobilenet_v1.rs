//! MobileNet V1. Howard et al. 2017, arXiv:1704.04861.

use sepal_graph::{Builder, Conv2d, NodeId, Task};

use super::parts::{classify, conv_norm_act, data_norm};
use crate::options::{self, ACTIVATION, BRANCHES, DATA_NORM, DOMAINS, DROPOUT, GROUPS, HFF, P, STEM, WIDTH};
use crate::{Defaults, NetworkRow, Options, Place, Result, Variant, round_channels};

/// The registry row.
pub const ROW: NetworkRow = NetworkRow {
    name: "mobilenet_v1",
    title: "MobileNet V1",
    paper: "Howard et al. 2017, arXiv:1704.04861",
    options: &[
        WIDTH,
        STEM,
        options::block("dsc"),
        options::between("bn_relu"),
        GROUPS,
        P,
        options::bsconv_norm("none"),
        BRANCHES,
        DOMAINS,
        HFF,
        ACTIVATION,
        DROPOUT,
        DATA_NORM,
    ],
    task: Task::Classify,
    defaults,
    build,
    variants: &[
        Variant::new("mobilenet_v1", 224, 1000, 4_231_976, 568_740_352),
        Variant::new("mobilenet_v1:width=1.25", 224, 1000, 6_270_840, 879_516_800),
        Variant::new("mobilenet_v1:block=bsconv_u", 224, 1000, 4_230_984, 884_021_248),
        Variant::new("mobilenet_v1:stem=cifar", 32, 10, 3_217_226, 175_556_608),
        Variant::new("mobilenet_v1:stem=cifar,block=bsconv_u", 32, 10, 3_216_234, 252_454_912),
        Variant::new("mobilenet_v1:stem=cifar,width=0.5", 32, 10, 823_722, 45_310_976),
        Variant::new("mobilenet_v1:stem=cifar,width=0.5,block=bsconv_u", 32, 10, 823_226, 64_885_760),
    ],
};

/// Table 1: output channels and stride of each separable convolution, and the stride it has with
/// the stem for small images (Haase & Amthor 2020, arXiv:2003.13549, §5.1), whose size is first
/// halved where ImageNet's is an eighth.
const BODY: [(usize, usize, usize); 13] = [
    (64, 1, 1),
    (128, 2, 1),
    (128, 1, 1),
    (256, 2, 2),
    (256, 1, 1),
    (512, 2, 2),
    (512, 1, 1),
    (512, 1, 1),
    (512, 1, 1),
    (512, 1, 1),
    (512, 1, 1),
    (1024, 2, 2),
    (1024, 1, 1),
];

fn defaults(options: &Options) -> Result<Defaults> {
    Ok(if options.is_small()? { Defaults::CIFAR } else { Defaults::IMAGENET })
}

fn build(b: &mut Builder, x: NodeId, options: &Options, classes: usize) -> Result<NodeId> {
    let width = options.number(WIDTH.name)?;
    let block = options.block()?;
    let style = block.style();
    let small = options.is_small()?;

    let x = data_norm(b, x, options)?;
    let stem = Conv2d::standard(round_channels(32, width), 3);
    let mut x = conv_norm_act(b, "stem", x, stem.stride(if small { 1 } else { 2 }).same(), style)?;
    for (i, (channels, stride, small_stride)) in BODY.into_iter().enumerate() {
        let place = Place::new(round_channels(channels, width), 3);
        let place = place.stride(if small { small_stride } else { stride });
        x = b.scope(&format!("block{}", i + 1), |b| {
            let x = block.build(b, x, place)?;
            style.norm_act(b, x)
        })?;
    }
    classify(b, x, options, classes)
}
