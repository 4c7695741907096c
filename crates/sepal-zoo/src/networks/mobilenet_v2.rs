//! MobileNet V2. Sandler et al. 2018, arXiv:1801.04381.

use sepal_graph::{Builder, Conv2d, NodeId, Task};

use super::parts::{Atrous, classify, conv_norm_act, data_norm};
use crate::blocks::{Inverted, inverted_residual};
use crate::options::{self, BRANCHES, DATA_NORM, DEPTHWISE_BLOCK, DOMAINS, DROPOUT, GROUPS, HFF, P, STEM, WIDTH};
use crate::{Block, Defaults, NetworkRow, Options, Place, Result, Variant, round_channels};

/// The registry row.
pub const ROW: NetworkRow = NetworkRow {
    name: "mobilenet_v2",
    title: "MobileNet V2",
    paper: "Sandler et al. 2018, arXiv:1801.04381",
    options: &[
        WIDTH,
        STEM,
        DEPTHWISE_BLOCK,
        GROUPS,
        P,
        options::bsconv_norm("none"),
        BRANCHES,
        DOMAINS,
        HFF,
        options::activation("relu6"),
        DROPOUT,
        DATA_NORM,
    ],
    task: Task::Classify,
    defaults,
    build,
    variants: &[
        Variant::new("mobilenet_v2", 224, 1000, 3_504_872, 300_774_272),
        Variant::new("mobilenet_v2:width=1.4", 224, 1000, 6_108_776, 582_195_824),
        Variant::new("mobilenet_v2:stem=cifar", 32, 10, 2_237_770, 89_025_024),
    ],
};

/// Table 2: expansion t, channels c, repeats n, stride s of the first, and the stride it has with
/// the stem for small images (Haase & Amthor 2020, arXiv:2003.13549, §5.1).
const BODY: [(usize, usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1, 1),
    (6, 24, 2, 2, 1),
    (6, 32, 3, 2, 2),
    (6, 64, 4, 2, 2),
    (6, 96, 3, 1, 1),
    (6, 160, 3, 2, 2),
    (6, 320, 1, 1, 1),
];

/// Channels before the pool; they never shrink with the width (§6.1).
const LAST: usize = 1280;

fn defaults(options: &Options) -> Result<Defaults> {
    Ok(if options.is_small()? { Defaults::CIFAR } else { Defaults::IMAGENET })
}

fn build(b: &mut Builder, x: NodeId, options: &Options, classes: usize) -> Result<NodeId> {
    let width = options.number(WIDTH.name)?;
    let block = options.block()?;
    let style = block.style();
    let small = options.is_small()?;

    let x = data_norm(b, x, options)?;
    let (x, _) = features(b, x, width, block, small, STRIDE)?;
    let last = round_channels(LAST, width).max(LAST);
    let x = conv_norm_act(b, "head", x, Conv2d::pointwise(last), style)?;
    classify(b, x, options, classes)
}

/// The network's stride from its input to its last block.
const STRIDE: usize = 32;

/// Stem and blocks, and the last value at a quarter of the size (half of it, with the stem for small images). Strides beyond
/// `output_stride` in all become dilations of what follows (Chen et al. 2017, arXiv:1706.05587, §3.1).
pub(super) fn features(
    b: &mut Builder,
    x: NodeId,
    width: f64,
    block: Block,
    small: bool,
    output_stride: usize,
) -> Result<(NodeId, NodeId)> {
    let stem = Conv2d::standard(round_channels(32, width), 3);
    let mut x = conv_norm_act(b, "stem", x, stem.stride(if small { 1 } else { 2 }).same(), block.style())?;
    let (mut index, mut low) = (0, x);
    let mut atrous = Atrous { left: output_stride / 2, dilation: 1 };
    for (expansion, channels, repeats, stride, small_stride) in BODY {
        for repeat in 0..repeats {
            index += 1;
            let stride = if small { small_stride } else { stride };
            let place = Place::new(round_channels(channels, width), 3);
            let place = atrous.place(place, if repeat == 0 { stride } else { 1 });
            let mut parts = Inverted::new(b.channels(x)? * expansion, block);
            // The network for small images has a pointwise convolution even where it expands by 1.
            if expansion == 1 && !small {
                parts.mid = None;
            }
            x = b.scope(&format!("block{index}"), |b| inverted_residual(b, x, place, &parts))?;
        }
        if channels == LOW {
            low = x;
        }
    }
    Ok((x, low))
}

/// Channels, at the full width, of the last blocks at a quarter of the size.
const LOW: usize = 24;
