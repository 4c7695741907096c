//! MobileNet V3. Howard et al. 2019, arXiv:1905.02244.

use sepal_graph::{Activation, Builder, Conv2d, Linear, NodeId, Task};

use super::parts::{classify, classify_features, conv_norm_act, data_norm};
use crate::blocks::{Inverted, inverted_residual, squeeze_excite};
use crate::options::{self, BRANCHES, DATA_NORM, DEPTHWISE_BLOCK, DOMAINS, DROPOUT, GROUPS, HFF, P, STEM, WIDTH};
use crate::{Defaults, NetworkRow, Options, Place, Result, Style, Variant, round_channels};

/// The registry rows.
pub const ROWS: &[NetworkRow] = &[
    NetworkRow {
        name: "mobilenet_v3_large",
        title: "MobileNet V3-Large",
        build: |b, x, options, classes| build(b, x, options, classes, &LARGE),
        variants: &[
            Variant::new("mobilenet_v3_large", 224, 1000, 5_483_032, 216_589_760),
            Variant::new("mobilenet_v3_large:stem=cifar", 32, 10, 2_980_016, 65_487_328),
        ],
        ..BASE
    },
    NetworkRow {
        name: "mobilenet_v3_small",
        title: "MobileNet V3-Small",
        build: |b, x, options, classes| build(b, x, options, classes, &SMALL),
        variants: &[
            Variant::new("mobilenet_v3_small", 224, 1000, 2_542_856, 56_510_400),
            Variant::new("mobilenet_v3_small:stem=cifar", 32, 10, 1_094_056, 17_335_456),
        ],
        ..BASE
    },
];

/// What the rows have in common.
const BASE: NetworkRow = NetworkRow {
    name: "",
    title: "",
    paper: "Howard et al. 2019, arXiv:1905.02244",
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
        options::activation("hard_swish"),
        DROPOUT,
        DATA_NORM,
    ],
    task: Task::Classify,
    defaults: |options| Ok(if options.is_small()? { Defaults::CIFAR } else { Defaults::IMAGENET }),
    build: |b, x, options, classes| build(b, x, options, classes, &LARGE),
    variants: &[],
};

/// A line of table 1 or 2.
struct Row {
    kernel: usize,
    /// Expanded channels, as a factor on the input's.
    expansion: f64,
    channels: usize,
    /// Whether there is a squeeze-and-excite gate.
    squeeze: bool,
    /// Whether the network's activation is used, ReLU if not.
    swish: bool,
    /// Stride of the first block, and the one it has with the stem for small images (Haase & Amthor 2020,
    /// arXiv:2003.13549, §5.1).
    strides: [usize; 2],
    repeats: usize,
}

/// Tables 1 and 2.
struct Table {
    body: &'static [Row],
    /// Channels of the last convolution, and of the layer after the pool.
    last: [usize; 2],
    /// Whether the network for small images has a gate after the last convolution.
    small_squeeze: bool,
}

const fn row(
    kernel: usize,
    expansion: f64,
    channels: usize,
    [squeeze, swish]: [bool; 2],
    strides: [usize; 2],
    repeats: usize,
) -> Row {
    Row { kernel, expansion, channels, squeeze, swish, strides, repeats }
}

const LARGE: Table = Table {
    body: &[
        row(3, 1.0, 16, [false, false], [1, 1], 1),
        row(3, 4.0, 24, [false, false], [2, 1], 1),
        row(3, 3.0, 24, [false, false], [1, 1], 1),
        row(5, 3.0, 40, [true, false], [2, 2], 3),
        row(3, 6.0, 80, [false, true], [2, 2], 1),
        row(3, 2.5, 80, [false, true], [1, 1], 1),
        row(3, 2.3, 80, [false, true], [1, 1], 2),
        row(3, 6.0, 112, [true, true], [1, 1], 2),
        row(5, 6.0, 160, [true, true], [2, 2], 3),
    ],
    last: [960, 1280],
    small_squeeze: false,
};

const SMALL: Table = Table {
    body: &[
        row(3, 1.0, 16, [true, false], [2, 1], 1),
        row(3, 4.5, 24, [false, false], [2, 2], 1),
        row(3, 3.67, 24, [false, false], [1, 1], 1),
        row(5, 4.0, 40, [true, true], [2, 2], 1),
        row(5, 6.0, 40, [true, true], [1, 1], 2),
        row(5, 3.0, 48, [true, true], [1, 1], 2),
        row(5, 6.0, 96, [true, true], [2, 2], 3),
    ],
    last: [576, 1024],
    small_squeeze: true,
};

/// Share of its channels that a gate reduces to.
const SQUEEZE: f64 = 0.25;

fn build(b: &mut Builder, x: NodeId, options: &Options, classes: usize, table: &Table) -> Result<NodeId> {
    let width = options.number(WIDTH.name)?;
    let style = options.style()?;
    let swish = options.block()?;
    let relu = options.block_in(Style { activation: Activation::Relu, ..style })?;
    let small = options.is_small()?;

    let x = data_norm(b, x, options)?;
    // Narrow forms keep the first convolution as it is.
    let stem = Conv2d::standard(if width < 0.75 { 16 } else { round_channels(16, width) }, 3);
    let mut x = conv_norm_act(b, "stem", x, stem.stride(if small { 1 } else { 2 }).same(), &style)?;
    let mut index = 0;
    for row in table.body {
        for repeat in 0..row.repeats {
            index += 1;
            let stride = if repeat == 0 { row.strides[usize::from(small)] } else { 1 };
            let place = Place::new(round_channels(row.channels, width), row.kernel).stride(stride);
            let mid = round_channels(b.channels(x)?, row.expansion);
            // The authors round the gate's channels, those of the network for small images do not.
            let reduced = if small { (mid / 4).max(1) } else { round_channels(mid, SQUEEZE) };
            let mut parts = Inverted::new(mid, if row.swish { swish } else { relu });
            parts.squeeze = row.squeeze.then_some(reduced);
            // The network for small images has a pointwise convolution even where it expands by 1.
            if row.expansion == 1.0 && !small {
                parts.mid = None;
            }
            x = b.scope(&format!("block{index}"), |b| inverted_residual(b, x, place, &parts))?;
        }
    }
    let [last, features] = table.last;
    // For small images the authors of the network for them never narrow the last convolution, and leave out what
    // follows the pool.
    let last = round_channels(last, if small { width.max(1.0) } else { width });
    x = conv_norm_act(b, "last", x, Conv2d::pointwise(last), &style)?;
    if small {
        if table.small_squeeze {
            x = b.scope("last", |b| squeeze_excite(b, x, (last / 4).max(1)))?;
        }
        return classify(b, x, options, classes);
    }
    let x = b.global_avg_pool("pool", x)?;
    let x = b.node("head.linear", Linear::new(features), &[x])?;
    let x = b.activation("head.act", x, style.activation)?;
    classify_features(b, x, options, classes)
}
