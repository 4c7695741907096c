//! An encoder that keeps its map large, atrous spatial pyramid pooling, and a decoder that meets the encoder's early map: DeepLabV3+
//! (Chen et al. 2018, arXiv:1802.02611, figure 2) with separable convolutions throughout.

use sepal_graph::{Activation, Builder, Conv2d, GlobalAvgPool, Interpolate, Interpolation, NodeId, ResizeTo, Task};

use super::parts::conv_norm_act;
use super::{mobilenet_v2, xception_aligned};
use crate::options::{ACTIVATION, DROPOUT, WIDTH};
use crate::{Block, Defaults, Kind, NetworkRow, OptionRow, Options, Place, Result, Style, Value, Variant};

/// The registry row.
pub const ROW: NetworkRow = NetworkRow {
    name: "deeplab",
    title: "Light DeepLabV3+",
    paper: "Chen et al. 2018, arXiv:1802.02611",
    options: &[ENCODER, OUTPUT_STRIDE, CHANNELS, WIDTH, ACTIVATION, DROPOUT],
    task: Task::Segment,
    defaults: |_| Ok(Defaults::square(512, 21)),
    build,
    variants: &VARIANTS,
};

/// Counted by PyTorch: torchvision's MobileNet V2 up to its head with strides made dilations, timm's Xception-41 up to its pool (24,920,560
/// parameters), and the layers below; but for the last row's MACs, which are our own count.
const VARIANTS: [Variant; 3] = [
    Variant::new("deeplab", 512, 21, 2_120_421, 3_082_002_432),
    Variant::new("deeplab:os=8", 512, 21, 2_120_421, 9_103_319_040),
    Variant::new("deeplab:encoder=xception41,channels=256", 512, 21, 27_954_965, 36_819_148_800),
];

const ENCODER: OptionRow = OptionRow {
    name: "encoder",
    help: "the network before its classifier: MobileNet V2, whose `width` counts, or aligned Xception-41",
    kind: Kind::Choice(&["mobilenet_v2", "xception41"]),
    default: Value::Word("mobilenet_v2"),
};

const OUTPUT_STRIDE: OptionRow = OptionRow {
    name: "os",
    help: "the output stride: by how much the encoder's last map is smaller than the picture; what it would shrink beyond, it is \
           dilated by",
    kind: Kind::Choice(&["16", "8", "32"]),
    default: Value::Word("16"),
};

const CHANNELS: OptionRow = OptionRow {
    name: "channels",
    help: "channels of the pyramid and the decoder; the paper has 256",
    kind: Kind::Integer(8, 1024),
    default: Value::Integer(128),
};

/// Dilations of the pyramid at an output stride of 16 (§4.1 of the paper); at others those that see as far.
const RATES: [usize; 3] = [6, 12, 18];
/// Channels of the early map as the decoder sees it (table 1).
const LOW: usize = 48;

fn build(b: &mut Builder, x: NodeId, options: &Options, classes: usize) -> Result<NodeId> {
    let style = Style { activation: options.activation()?, ..Style::default() };
    let stride = match options.word(OUTPUT_STRIDE.name)? {
        "8" => 8,
        "32" => 32,
        _ => 16,
    };
    let (high, low) = b.scope("encoder", |b| match options.word(ENCODER.name)? {
        "xception41" => xception_aligned::encoder(b, x, style, stride),
        _ => {
            let style = Style { activation: Activation::Relu6, ..style };
            mobilenet_v2::features(b, x, options.number(WIDTH.name)?, Block::separable(style), false, stride)
        }
    })?;
    let channels = options.integer(CHANNELS.name)?;
    let block = Block::separable(style);
    let y = b.scope("aspp", |b| pyramid(b, high, channels, stride, block))?;
    let y = match options.number(DROPOUT.name)? {
        p if p > 0.0 => b.dropout("dropout", y, p as f32)?,
        _ => y,
    };
    let y = b.scope("decoder", |b| {
        let y = grow(b, "grow", y, low)?;
        let low = conv_norm_act(b, "low", low, Conv2d::pointwise(LOW), &style)?;
        let y = b.concat("concat", &[y, low])?;
        b.scope("fuse", |b| {
            let y = block.build(b, y, Place::new(channels, 3))?;
            Ok::<_, crate::Error>(style.norm_act(b, y)?)
        })
    })?;
    let y = b.conv("classifier", y, Conv2d::pointwise(classes).bias(true))?;
    grow(b, "grow", y, x)
}

/// A pointwise and three separable atrous convolutions side by side, projected together. What the whole picture says scales the
/// result, as a gate of its means, rather than being one more map: that is MobileNet V3's form (Howard et al. 2019,
/// arXiv:1905.02244, §6.4), which works for every size of picture.
fn pyramid(b: &mut Builder, x: NodeId, channels: usize, stride: usize, block: Block) -> Result<NodeId> {
    let style = block.style();
    let mut parts = vec![conv_norm_act(b, "pointwise", x, Conv2d::pointwise(channels), style)?];
    for rate in RATES {
        let place = Place::new(channels, 3).dilation((rate * 16 / stride).max(1));
        parts.push(b.scope(&format!("atrous{rate}"), |b| {
            let y = block.build(b, x, place)?;
            style.norm_act(b, y)
        })?);
    }
    let y = b.concat("concat", &parts)?;
    let y = conv_norm_act(b, "project", y, Conv2d::pointwise(channels), style)?;
    let gate = b.scope("image", |b| {
        let mean = b.node("pool", GlobalAvgPool { keep_dims: true }, &[x])?;
        let gate = b.conv("conv", mean, Conv2d::pointwise(channels).bias(true))?;
        b.activation("gate", gate, Activation::HardSigmoid)
    })?;
    Ok(b.multiply("scale", y, gate)?)
}

/// A map at the size of `like`, which is a whole number of times larger unless sizes were odd.
fn grow(b: &mut Builder, name: &str, x: NodeId, like: NodeId) -> Result<NodeId> {
    let ([h, w], [height, width]) = (b.shape(x)?.size(), b.shape(like)?.size());
    if [h, w] == [height, width] {
        return Ok(x);
    }
    let scale = height / h.max(1);
    let bilinear = match [h * scale, w * scale] == [height, width] {
        true => Interpolate::bilinear(scale as f32),
        false => Interpolate {
            to: ResizeTo::Size([height, width]),
            mode: Interpolation::Bilinear,
            ..Interpolate::bilinear(1.0)
        },
    };
    Ok(b.node(name, bilinear, &[x])?)
}
