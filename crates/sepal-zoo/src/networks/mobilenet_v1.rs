//! MobileNet V1. Howard et al. 2017, arXiv:1704.04861.

use sepal_graph::{Builder, Conv2d, NodeId};

use crate::options::{self, ACTIVATION, DROPOUT, GROUPS, STEM, WIDTH};
use crate::{Defaults, NetworkRow, Options, Place, Result, Variant, round_channels};

/// The registry row.
pub const ROW: NetworkRow = NetworkRow {
    name: "mobilenet_v1",
    title: "MobileNet V1",
    paper: "Howard et al. 2017, arXiv:1704.04861",
    options: &[WIDTH, STEM, options::block("dsc"), options::between("bn_relu"), GROUPS, ACTIVATION, DROPOUT],
    defaults,
    build,
    variants: &[
        variant("mobilenet_v1", 224, 1000, 4_231_976, 568_740_352),
        variant("mobilenet_v1:width=1.25", 224, 1000, 6_270_840, 879_516_800),
        variant("mobilenet_v1:stem=cifar", 32, 10, 3_217_226, 175_556_608),
        variant("mobilenet_v1:width=0.5,stem=cifar", 32, 10, 823_722, 45_310_976),
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

const fn variant(spec: &'static str, size: usize, classes: usize, params: u64, macs: u64) -> Variant {
    Variant { spec, size: [size, size], classes, params, macs }
}

fn is_small(options: &Options) -> Result<bool> {
    Ok(options.word(STEM.name)? == "cifar")
}

fn defaults(options: &Options) -> Result<Defaults> {
    let (size, classes) = if is_small(options)? { (32, 10) } else { (224, 1000) };
    Ok(Defaults { size: [size, size], classes })
}

fn build(b: &mut Builder, x: NodeId, options: &Options, classes: usize) -> Result<NodeId> {
    let width = options.number(WIDTH.name)?;
    let activation = options.activation()?;
    let block = options.block()?;
    let small = is_small(options)?;

    let mut x = b.scope("stem", |b| {
        let stem = Conv2d::standard(round_channels(32, width), 3);
        let x = b.conv("conv", x, stem.stride(if small { 1 } else { 2 }).same())?;
        let x = b.batch_norm("bn", x)?;
        b.activation("act", x, activation)
    })?;
    for (i, (channels, stride, small_stride)) in BODY.into_iter().enumerate() {
        let place = Place::new(round_channels(channels, width), 3);
        let place = place.stride(if small { small_stride } else { stride });
        x = b.scope(&format!("block{}", i + 1), |b| {
            let x = block.build(b, x, place)?;
            let x = b.batch_norm("bn", x)?;
            b.activation("act", x, activation)
        })?;
    }
    x = b.global_avg_pool("pool", x)?;
    let dropout = options.number(DROPOUT.name)?;
    if dropout > 0.0 {
        x = b.dropout("dropout", x, dropout as f32)?;
    }
    Ok(b.linear("classifier", x, classes)?)
}
