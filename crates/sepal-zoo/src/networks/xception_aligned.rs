//! Aligned Xception: pools replaced by strided separable convolutions, norms after every depthwise
//! convolution. Chen et al. 2018, arXiv:1802.02611, figure 4.

use sepal_graph::{Builder, Conv2d, NodeId, Task};

use super::parts::{Atrous, classify, conv_norm_act};
use super::xception::{SKIP, middle};
use crate::options::{self, ACTIVATION, BRANCHES, DOMAINS, DROPOUT, GROUPS, HFF, P};
use crate::{Between, Block, Defaults, NetworkRow, OptionRow, Options, Place, Result, Style, Variant};

/// Entry flow of the 41- and 65-layer forms: channels and stride of each block.
const ENTRY: &[(usize, usize)] = &[(128, 2), (256, 2), (728, 2)];

/// Entry flow of the 71-layer form (Chen et al. 2018, arXiv:1809.04184).
const ENTRY_71: &[(usize, usize)] = &[(128, 2), (256, 1), (256, 2), (728, 1), (728, 2)];

/// The registry rows.
pub const ROWS: &[NetworkRow] = &[
    NetworkRow {
        name: "xception41",
        title: "Aligned Xception-41",
        options: &options(8),
        build: |b, x, options, classes| build(b, x, options, classes, ENTRY),
        variants: &[Variant::new("xception41", 299, 1000, 26_969_560, 9_204_134_312)],
        ..BASE
    },
    NetworkRow {
        name: "xception65",
        title: "Aligned Xception-65",
        options: &options(16),
        build: |b, x, options, classes| build(b, x, options, classes, ENTRY),
        variants: &[Variant::new("xception65", 299, 1000, 39_916_312, 13_852_682_216)],
        ..BASE
    },
    NetworkRow {
        name: "xception71",
        title: "Aligned Xception-71",
        options: &options(16),
        build: |b, x, options, classes| build(b, x, options, classes, ENTRY_71),
        variants: &[Variant::new("xception71", 299, 1000, 42_338_736, 17_946_553_928)],
        ..BASE
    },
];

/// What the rows have in common.
const BASE: NetworkRow = NetworkRow {
    name: "",
    title: "",
    paper: "Chen et al. 2018, arXiv:1802.02611",
    options: &[],
    task: Task::Classify,
    defaults: |_| Ok(Defaults::square(299, 1000)),
    build: |b, x, options, classes| build(b, x, options, classes, ENTRY),
    variants: &[],
};

const fn options(blocks: usize) -> [OptionRow; 11] {
    [
        SKIP,
        options::block("dsc"),
        middle(blocks),
        GROUPS,
        P,
        options::bsconv_norm("none"),
        BRANCHES,
        DOMAINS,
        HFF,
        ACTIVATION,
        DROPOUT,
    ]
}

fn build(b: &mut Builder, x: NodeId, options: &Options, classes: usize, entry: &[(usize, usize)]) -> Result<NodeId> {
    let style = options.style()?;
    let forms = |style: Style| options.block_in(style);
    let (skip, blocks) = (options.is_on(SKIP.name)?, options.integer("middle")?);
    let (x, _) = features(b, x, style, &forms, skip, blocks, entry, STRIDE)?;
    classify(b, x, options, classes)
}

/// The network's stride from its input to its end.
const STRIDE: usize = 32;

/// Aligned Xception-41 for a segmenter: its last value and that of its first block, at a quarter of the size.
pub(super) fn encoder(b: &mut Builder, x: NodeId, style: Style, output_stride: usize) -> Result<(NodeId, NodeId)> {
    features(b, x, style, &|style| Ok(Block::separable(style)), true, 8, ENTRY, output_stride)
}

/// All flows: the last value, and that of the first block. Strides beyond `output_stride` in all become dilations.
fn features(
    b: &mut Builder,
    x: NodeId,
    style: Style,
    block: &dyn Fn(Style) -> Result<Block>,
    skip: bool,
    blocks: usize,
    entry: &[(usize, usize)],
    output_stride: usize,
) -> Result<(NodeId, NodeId)> {
    // The activation stands before the depthwise convolution, only norms after: but in the last
    // block it follows every norm.
    let style = Style { between: Between::Bn, eps: 1e-3, ..style };
    let last = block(Style { between: Between::BnRelu, ..style })?;
    let block = block(style)?;
    let mut atrous = Atrous { left: output_stride / 2, dilation: 1 };

    let (x, low) = b.scope("entry", |b| {
        let x = conv_norm_act(b, "conv1", x, Conv2d::standard(32, 3).stride(2).same(), &style)?;
        let mut x = conv_norm_act(b, "conv2", x, Conv2d::standard(64, 3).same(), &style)?;
        let mut low = x;
        for (i, &(channels, stride)) in entry.iter().enumerate() {
            x = flow(b, &format!("block{}", i + 1), x, [channels; 3], (stride, &mut atrous), block, skip)?;
            if i == 0 {
                low = x;
            }
        }
        Ok::<_, crate::Error>((x, low))
    })?;
    let x = b.scope("middle", |b| {
        let mut x = x;
        for i in 0..blocks {
            x = flow(b, &format!("block{}", i + 1), x, [728; 3], (1, &mut atrous), block, skip)?;
        }
        Ok::<_, crate::Error>(x)
    })?;
    let x = b.scope("exit", |b| {
        let mut x = flow(b, "block1", x, [728, 1024, 1024], (2, &mut atrous), block, skip)?;
        for (i, channels) in [1536, 1536, 2048].into_iter().enumerate() {
            x = b.scope(&format!("sep{}", i + 1), |b| {
                let x = last.build(b, x, Place::new(channels, 3).dilation(atrous.dilation))?;
                style.norm_act(b, x)
            })?;
        }
        Ok::<_, crate::Error>(x)
    })?;
    Ok((x, low))
}

/// Three separable convolutions `sep1` to `sep3`, an activation before each and a norm after each,
/// the stride at the third; and the skip connection: the identity, or a strided pointwise
/// convolution with norm where the shape changes.
fn flow(
    b: &mut Builder,
    name: &str,
    x: NodeId,
    channels: [usize; 3],
    (stride, atrous): (usize, &mut Atrous),
    block: Block,
    skip: bool,
) -> Result<NodeId> {
    let style = block.style();
    let flow = b.scope(name, |b| {
        let (mut y, mut strided) = (x, 1);
        for (i, channels) in channels.into_iter().enumerate() {
            let place = atrous.place(Place::new(channels, 3), if i == 2 { stride } else { 1 });
            strided = place.stride;
            y = b.scope(&format!("sep{}", i + 1), |b| {
                let y = b.activation("act", y, style.activation)?;
                let y = block.build(b, y, place)?;
                style.norm(b, "bn", y)
            })?;
        }
        if !skip {
            return Ok(y);
        }
        let x = if b.channels(x)? == channels[2] && strided == 1 {
            x
        } else {
            b.scope("skip", |b| {
                let x = b.conv("pointwise", x, Conv2d::pointwise(channels[2]).stride(strided))?;
                style.norm(b, "bn", x)
            })?
        };
        b.add("add", y, x)
    })?;
    Ok(flow)
}
