//! MobileNet V4. Qin et al. 2024, arXiv:2404.10518.

use sepal_graph::{Builder, Conv2d, Linear, NodeId, Task};

use super::parts::{classify_features, conv_norm_act};
use crate::blocks::{Inverted, inverted_residual};
use crate::options::{self, ACTIVATION, BRANCHES, DEPTHWISE_BLOCK, DOMAINS, DROPOUT, GROUPS, HFF, P, WIDTH};
use crate::{Defaults, NetworkRow, Options, Place, Result, Variant, round_channels};

/// The registry row.
pub const ROW: NetworkRow = NetworkRow {
    name: "mobilenet_v4_conv_small",
    title: "MobileNet V4 Conv-Small",
    paper: "Qin et al. 2024, arXiv:2404.10518",
    options: &[
        WIDTH,
        DEPTHWISE_BLOCK,
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
    defaults: |_| Ok(Defaults::IMAGENET),
    build,
    variants: &[Variant::new("mobilenet_v4_conv_small", 224, 1000, 3_774_024, 186_005_568)],
};

/// Table 11, the convolutions at the start: channels, kernel, stride.
const START: [(usize, usize, usize); 4] = [(32, 3, 2), (32, 1, 1), (96, 3, 2), (64, 1, 1)];

/// Table 11, the universal inverted bottlenecks: kernel of the depthwise convolution before the
/// expansion and of that after it (0: there is none), expansion, channels, stride.
const BODY: [(usize, usize, usize, usize, usize); 12] = [
    (5, 5, 3, 96, 2),
    (0, 3, 2, 96, 1),
    (0, 3, 2, 96, 1),
    (0, 3, 2, 96, 1),
    (0, 3, 2, 96, 1),
    (3, 0, 4, 96, 1),
    (3, 3, 6, 128, 2),
    (5, 5, 4, 128, 1),
    (0, 5, 4, 128, 1),
    (0, 5, 3, 128, 1),
    (0, 3, 4, 128, 1),
    (0, 3, 4, 128, 1),
];

fn build(b: &mut Builder, x: NodeId, options: &Options, classes: usize) -> Result<NodeId> {
    let width = options.number(WIDTH.name)?;
    let block = options.block()?;
    let style = block.style();

    // Narrow forms keep the first convolution as it is.
    let stem = Conv2d::standard(round_channels(32, width.max(1.0)), 3);
    let mut x = conv_norm_act(b, "stem", x, stem.stride(2).same(), style)?;
    for (i, (channels, kernel, stride)) in START.into_iter().enumerate() {
        let conv = Conv2d::standard(round_channels(channels, width), kernel).stride(stride).same();
        x = conv_norm_act(b, &format!("conv{}", i + 1), x, conv, style)?;
    }
    for (i, (start, middle, expansion, channels, stride)) in BODY.into_iter().enumerate() {
        let place = Place { out_channels: round_channels(channels, width), kernel: middle, stride, dilation: 1 };
        let mid = b.channels(x)? * expansion;
        let start = (start > 0).then_some(start);
        let parts = Inverted { start, middle: middle > 0, ..Inverted::new(mid, block) };
        x = b.scope(&format!("block{}", i + 1), |b| inverted_residual(b, x, place, &parts))?;
    }
    x = conv_norm_act(b, "last", x, Conv2d::pointwise(round_channels(960, width)), style)?;
    x = b.global_avg_pool("pool", x)?;
    x = b.scope("head", |b| {
        let x = b.node("linear", Linear { out_features: 1280, bias: false }, &[x])?;
        style.norm_act(b, x)
    })?;
    classify_features(b, x, options, classes)
}
