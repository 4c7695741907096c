//! EfficientNet-Lite. Tan & Le 2019, arXiv:1905.11946; the Lite form, without squeeze-and-excite
//! and with ReLU6, is TensorFlow's: github.com/tensorflow/tpu, `efficientnet/lite`.

use sepal_graph::{Builder, Conv2d, NodeId, Task};

use super::parts::{classify, conv_norm_act};
use crate::blocks::{Inverted, inverted_residual, tensorflow_same};
use crate::options::{self, BRANCHES, DEPTHWISE_BLOCK, DOMAINS, DROPOUT, GROUPS, HFF, P, WIDTH};
use crate::{Defaults, NetworkRow, Options, Place, Result, Style, Variant, round_channels};

/// The registry row.
pub const ROW: NetworkRow = NetworkRow {
    name: "efficientnet_lite0",
    title: "EfficientNet-Lite0",
    paper: "Tan & Le 2019, arXiv:1905.11946",
    options: &[
        WIDTH,
        DEPTHWISE_BLOCK,
        GROUPS,
        P,
        options::bsconv_norm("none"),
        BRANCHES,
        DOMAINS,
        HFF,
        options::activation("relu6"),
        DROPOUT,
    ],
    task: Task::Classify,
    defaults: |_| Ok(Defaults::IMAGENET),
    build,
    variants: &[Variant::new("efficientnet_lite0", 224, 1000, 4_652_008, 385_187_552)],
};

/// Table 1: expansion, kernel, channels, repeats, stride of the first.
const BODY: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
];

fn build(b: &mut Builder, x: NodeId, options: &Options, classes: usize) -> Result<NodeId> {
    let width = options.number(WIDTH.name)?;
    let block = options.block_in(Style { eps: 1e-3, ..options.style()? })?;
    let style = block.style();

    // The Lite form scales neither stem nor head.
    let stem = tensorflow_same(b, x, Conv2d::standard(32, 3).stride(2))?;
    let mut x = conv_norm_act(b, "stem", x, stem, style)?;
    let mut index = 0;
    for (expansion, kernel, channels, repeats, stride) in BODY {
        for repeat in 0..repeats {
            index += 1;
            let place = Place::new(round_channels(channels, width), kernel);
            let place = place.stride(if repeat == 0 { stride } else { 1 });
            let mid = (expansion > 1).then_some(b.channels(x)? * expansion);
            let parts = Inverted { mid, tensorflow: true, ..Inverted::new(0, block) };
            x = b.scope(&format!("block{index}"), |b| inverted_residual(b, x, place, &parts))?;
        }
    }
    let x = conv_norm_act(b, "head", x, Conv2d::pointwise(1280), style)?;
    classify(b, x, options, classes)
}
