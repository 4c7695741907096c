//! ESPNet for semantic segmentation. Mehta et al. 2018, arXiv:1803.06815.

use sepal_graph::{AvgPool, Builder, Conv2d, ConvTranspose2d, NodeId, Task};

use super::parts::conv_norm_act;
use crate::options::{self, BRANCHES, DOMAINS, HFF};
use crate::{Block, Defaults, Kind, NetworkRow, OptionRow, Options, Place, Result, Style, Value, Variant};

/// The registry rows.
pub const ROWS: &[NetworkRow] = &[
    NetworkRow {
        name: "espnet_c",
        title: "ESPNet-C, the encoder: scores at an eighth of the size",
        options: &OPTIONS,
        build: |b, x, options, classes| Ok(encode(b, x, options, classes)?.scores),
        variants: &[
            variant("espnet_c:p=2,q=3", 187_529, 2_159_435_776),
            variant("espnet_c:p=2,q=5", 252_297, 2_683_723_776),
            variant("espnet_c:p=2,q=8", 349_449, 3_470_155_776),
        ],
        ..BASE
    },
    NetworkRow {
        name: "espnet",
        title: "ESPNet",
        options: &{
            let [p, q, hff, block, between, groups, bsconv_norm, branches, domains, activation] = OPTIONS;
            [p, q, hff, LEVEL1, block, between, groups, bsconv_norm, branches, domains, activation]
        },
        build: |b, x, options, classes| {
            let levels = encode(b, x, options, classes)?;
            decode(b, x, &levels, options, classes)
        },
        variants: &[
            variant("espnet:p=2,q=3", 203_189, 3_469_500_416),
            variant("espnet:p=2,q=5", 267_957, 3_993_788_416),
            variant("espnet:p=2,q=8", 365_109, 4_780_220_416),
            variant("espnet:p=2,q=3,level1=16", 202_649, 3_398_721_536),
            variant("espnet:p=2,q=5,level1=16", 267_417, 3_923_009_536),
            // Three input channels of a 3×3 convolution fewer at 256×512: 3·20·9·256·512 multiply-adds.
            variant("espnet:p=2,q=8,level1=16", 364_569, 4_709_441_536),
        ],
        ..BASE
    },
];

/// What the rows have in common.
const BASE: NetworkRow = NetworkRow {
    name: "",
    title: "",
    paper: "Mehta et al. 2018, arXiv:1803.06815",
    options: &[],
    task: Task::Segment,
    defaults: |_| Ok(Defaults { size: SIZE, classes: CLASSES }),
    build: |b, x, options, classes| Ok(encode(b, x, options, classes)?.scores),
    variants: &[],
};

/// Height and width of Cityscapes' pictures, halved.
const SIZE: [usize; 2] = [512, 1024];

/// Cityscapes' 19 classes, and what is none of them.
const CLASSES: usize = 20;

const fn variant(spec: &'static str, params: u64, macs: u64) -> Variant {
    Variant { spec, size: SIZE, classes: CLASSES, params, macs }
}

const OPTIONS: [OptionRow; 10] = [
    repeats("p", "ESP blocks at a quarter of the size", 2),
    repeats("q", "ESP blocks at an eighth of the size", 8),
    HFF,
    OptionRow {
        name: "block",
        help: "what stands where an ESP module stands; bsconv_s has its share p of ¼",
        kind: Kind::Block,
        default: Value::Word("esp"),
    },
    options::between("none"),
    // No other number divides 19 and 131 channels.
    options::groups(1),
    options::bsconv_norm("none"),
    BRANCHES,
    DOMAINS,
    options::activation("prelu"),
];

/// `level1`: what the decoder sees of the first level.
const LEVEL1: OptionRow = OptionRow {
    name: "level1",
    help: "channels that the decoder sees at half the size: 19 with the picture itself, as the authors train, \
           or the 16 of the first convolution, as they test Cityscapes",
    kind: Kind::Choice(&["19", "16"]),
    default: Value::Word("19"),
};

/// `p` and `q`.
const fn repeats(name: &'static str, help: &'static str, default: usize) -> OptionRow {
    OptionRow { name, help, kind: Kind::Integer(1, 64), default: Value::Integer(default) }
}

/// What the encoder hands on.
struct Levels {
    /// The first convolution, at half the size.
    first: NodeId,
    /// The same with the picture, normed and activated.
    level1: NodeId,
    /// A quarter of the size.
    level2: NodeId,
    /// One score per class, at an eighth of the size.
    scores: NodeId,
}

fn block(options: &Options) -> Result<Block> {
    options.block_in(Style { eps: 1e-3, ..options.style()? })
}

/// Figure 4, the left half.
fn encode(b: &mut Builder, x: NodeId, options: &Options, classes: usize) -> Result<Levels> {
    let block = block(options)?;
    let style = block.style();
    let pool = |b: &mut Builder, name: &str, x| b.node(name, AvgPool::new(3, 2).padding(1), &[x]);

    let first = conv_norm_act(b, "level1", x, Conv2d::standard(16, 3).stride(2).same(), style)?;
    let half = pool(b, "picture1", x)?;
    let quarter = pool(b, "picture2", half)?;
    let level1 = join(b, "join1", &[first, half], style)?;
    let (start, end) = level(b, "level2", level1, 64, options.integer("p")?, block)?;
    let level2 = join(b, "join2", &[end, start, quarter], style)?;
    let (start, end) = level(b, "level3", level2, 128, options.integer("q")?, block)?;
    let level3 = join(b, "join3", &[start, end], style)?;
    let scores = b.conv("level3.classifier", level3, Conv2d::pointwise(classes))?;
    Ok(Levels { first, level1, level2, scores })
}

/// A level of the encoder: the strided module `down` and blocks with a residual sum; the values of the first
/// and of the last.
fn level(
    b: &mut Builder,
    name: &str,
    x: NodeId,
    channels: usize,
    repeats: usize,
    block: Block,
) -> Result<(NodeId, NodeId)> {
    let style = block.style();
    let levels = b.scope(name, |b| {
        let start = b.scope("down", |b| {
            let y = block.build(b, x, Place::new(channels, 3).stride(2))?;
            style.norm_act(b, y)
        })?;
        let mut x = start;
        for i in 0..repeats {
            x = b.scope(&format!("block{}", i + 1), |b| {
                let y = block.build(b, x, Place::new(channels, 3))?;
                let y = b.add("add", x, y)?;
                style.norm_act(b, y)
            })?;
        }
        Ok::<_, sepal_graph::Error>((start, x))
    })?;
    Ok(levels)
}

/// Maps side by side, normed and activated.
fn join(b: &mut Builder, name: &str, maps: &[NodeId], style: &Style) -> Result<NodeId> {
    Ok(b.scope(name, |b| {
        let x = b.concat("concat", maps)?;
        style.norm_act(b, x)
    })?)
}

/// Figure 4, the right half: scores are doubled in size and met by what the encoder knows there, three times.
fn decode(b: &mut Builder, x: NodeId, levels: &Levels, options: &Options, classes: usize) -> Result<NodeId> {
    let block = block(options)?;
    let style = block.style();

    let y = style.norm(b, "level3.classifier_bn", levels.scores)?;
    let y = double(b, "level3.up", y, levels.level2)?;
    let level2 = b.conv("level2.classifier", levels.level2, Conv2d::pointwise(classes))?;
    let y = join(b, "decoder2", &[level2, y], style)?;
    let y = b.scope("decoder2.layer", |b| {
        let y = block.build(b, y, Place::new(classes, 3))?;
        style.norm_act(b, y)
    })?;
    let y = double(b, "decoder2.up.conv", y, levels.level1)?;
    let y = b.scope("decoder2.up", |b| style.norm_act(b, y))?;
    let level1 = if options.word(LEVEL1.name)? == "16" { levels.first } else { levels.level1 };
    let y = b.concat("decoder1.concat", &[y, level1])?;
    let y = conv_norm_act(b, "decoder1", y, Conv2d::standard(classes, 3).same(), style)?;
    double(b, "classifier", y, x)
}

/// A transposed convolution that doubles a map, to the size of `like`: where that is odd, the last row or
/// column is cut off, which the graph then keeps.
fn double(b: &mut Builder, name: &str, x: NodeId, like: NodeId) -> Result<NodeId> {
    let conv = ConvTranspose2d::new(b.channels(x)?, 2, 2);
    let (size, target) = (b.shape(x)?.dims(), b.shape(like)?.dims());
    let cut = |i: usize| Some((2 * size.get(i)?).saturating_sub(*target.get(i)?));
    let padding = [0, 0, cut(1).unwrap_or(0), cut(2).unwrap_or(0)];
    Ok(b.node(name, ConvTranspose2d { padding, ..conv }, &[x])?)
}
