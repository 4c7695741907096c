//! PydMobileNet. Hoang & Jo 2019, arXiv:1811.07083.

use sepal_graph::{BatchNorm, Builder, Conv2d, NodeId};

use super::parts::classify;
use crate::blocks::{pointwise, pyramid_depthwise};
use crate::options::{ACTIVATION, DROPOUT};
use crate::{Defaults, Kind, NetworkRow, OptionRow, Options, Place, Result, Style, Value, Variant};

/// The registry row.
pub const ROW: NetworkRow = NetworkRow {
    name: "pydmobilenet",
    title: "PydMobileNet",
    paper: "Hoang & Jo 2019, arXiv:1811.07083",
    options: &[MERGE, DEPTH, MULTIPLIER, ACTIVATION, DROPOUT],
    defaults: |_| Ok(Defaults::CIFAR),
    build,
    variants: &[
        Variant::new("pydmobilenet:merge=add,depth=29,multiplier=0.5", 32, 10, 103_898, 19_559_680),
        Variant::new("pydmobilenet:merge=add,depth=56,multiplier=1", 32, 10, 382_698, 70_337_792),
    ],
};

/// `merge`: how the pyramid's branches become one.
const MERGE: OptionRow = OptionRow {
    name: "merge",
    help: "how the branches of the pyramid become one",
    kind: Kind::Choice(&["add"]),
    default: Value::Word("add"),
};

/// `depth`: layers of the network, 9 more for every block that each stage has: 9n + 2.
const DEPTH: OptionRow = OptionRow {
    name: "depth",
    help: "layers: 3 blocks a stage have 29, 6 have 56",
    kind: Kind::Choice(&["29", "56"]),
    default: Value::Word("29"),
};

/// `multiplier`: width of the bottleneck.
const MULTIPLIER: OptionRow = OptionRow {
    name: "multiplier",
    help: "channels of the pyramid, as a factor on those of its block",
    kind: Kind::Above(0.0, 4.0),
    default: Value::Number(1.0),
};

fn build(b: &mut Builder, x: NodeId, options: &Options, classes: usize) -> Result<NodeId> {
    let style = options.style()?;
    let multiplier = options.number(MULTIPLIER.name)?;
    let repeats = if options.word(DEPTH.name)? == "56" { 6 } else { 3 };

    let x = b.node("data_bn", BatchNorm { affine: false, ..BatchNorm::default() }, &[x])?;
    let mut x = b.conv("stem.conv", x, Conv2d::standard(32, 3).same())?;
    for (i, channels) in [32, 64, 128].into_iter().enumerate() {
        for j in 0..repeats {
            let place = Place::new(channels, 3).stride(if i > 0 && j == 0 { 2 } else { 1 });
            let mid = ((channels as f64 * multiplier) as usize).max(1);
            x = b.scope(&format!("stage{}.block{}", i + 1, j + 1), |b| block(b, x, place, mid, &style))?;
        }
    }
    classify(b, x, options, classes)
}

/// PydMobileBlock: norm and activation before pointwise convolutions `reduce` and `expand` and before
/// the `pyramid` between them, a norm at the end; `shortcut` is the identity, or a strided pointwise
/// convolution of the raw input with norm. Figure 2.
fn block(b: &mut Builder, x: NodeId, place: Place, mid: usize, style: &Style) -> sepal_graph::Result<NodeId> {
    let y = b.scope("reduce", |b| {
        let y = style.norm_act(b, x)?;
        pointwise(b, y, Place::new(mid, 1), style)
    })?;
    let y = b.scope("pyramid", |b| {
        let y = style.norm_act(b, y)?;
        pyramid_depthwise(b, y, place.stride)
    })?;
    let y = b.scope("expand", |b| {
        let y = style.norm_act(b, y)?;
        pointwise(b, y, place.stride(1), style)
    })?;
    let y = style.norm(b, "bn", y)?;
    let skip = if place.stride == 1 && b.channels(x)? == place.out_channels {
        x
    } else {
        b.scope("shortcut", |b| {
            let x = pointwise(b, x, place, style)?;
            style.norm(b, "bn", x)
        })?
    };
    b.add("add", y, skip)
}
