//! PydMobileNet. Hoang & Jo 2019, arXiv:1811.07083.

use sepal_graph::{BatchNorm, Builder, Conv2d, NodeId, Task};

use super::parts::classify;
use crate::blocks::{PydMobile, pydmobile};
use crate::options::{self, ACTIVATION, BRANCHES, DOMAINS, DROPOUT, GROUPS, HFF, P};
use crate::{Block, Defaults, Error, Kind, NetworkRow, OptionRow, Options, Place, Result, Value, Variant};

/// The registry row.
pub const ROW: NetworkRow = NetworkRow {
    name: "pydmobilenet",
    title: "PydMobileNet",
    paper: "Hoang & Jo 2019, arXiv:1811.07083",
    options: &[
        MERGE,
        DEPTH,
        MULTIPLIER,
        BLOCK,
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
    defaults: |_| Ok(Defaults::CIFAR),
    build,
    variants: &[
        Variant::new("pydmobilenet:merge=add,depth=29,multiplier=0.5", 32, 10, 103_898, 19_559_680),
        Variant::new("pydmobilenet:merge=add,depth=56,multiplier=1", 32, 10, 382_698, 70_337_792),
        Variant::new("pydmobilenet:merge=concat,depth=29,multiplier=0.5", 32, 10, 169_754, 28_996_864),
        Variant::new("pydmobilenet:merge=concat,depth=56,multiplier=0.75", 32, 10, 489_082, 81_548_544),
    ],
};

/// `merge`: how the pyramid's branches become one.
const MERGE: OptionRow = OptionRow {
    name: "merge",
    help: "how the branches of the pyramid become one",
    kind: Kind::Choice(&["add", "concat"]),
    default: Value::Word("add"),
};

/// `block`: what stands in the place of the pyramid. The paper compares with `dsc` (MobileNet) and `standard`
/// (ResNet) there.
const BLOCK: OptionRow = OptionRow {
    name: "block",
    help: "what stands where the pyramid of depthwise convolutions stands, on as many channels; of separable \
           blocks their depthwise half, the pointwise one being the network's own",
    kind: Kind::Block,
    default: Value::Word("pyramid_add"),
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
    let block = block(options)?;
    let multiplier = options.number(MULTIPLIER.name)?;
    let repeats = if options.word(DEPTH.name)? == "56" { 6 } else { 3 };

    let x = b.node("data_bn", BatchNorm { affine: false, ..BatchNorm::default() }, &[x])?;
    let mut x = b.conv("stem.conv", x, Conv2d::standard(32, 3).same())?;
    for (i, channels) in [32, 64, 128].into_iter().enumerate() {
        for j in 0..repeats {
            let place = Place::new(channels, 3).stride(if i > 0 && j == 0 { 2 } else { 1 });
            let mid = ((channels as f64 * multiplier) as usize).max(1);
            let name = format!("stage{}.block{}", i + 1, j + 1);
            x = b.scope(&name, |b| pydmobile(b, x, place, &PydMobile { block, mid }))?;
        }
    }
    classify(b, x, options, classes)
}

/// What stands in the place of the pyramid: `block`, merged as `merge` says.
fn block(options: &Options) -> Result<Block> {
    let name = options.word(BLOCK.name)?;
    if options.word(MERGE.name)? == "add" || name == "pyramid_concat" {
        return options.block();
    }
    let concat = Block::named("pyramid_concat", options.style()?).filter(|_| name == "pyramid_add");
    concat.ok_or_else(|| Error::BadValue {
        network: ROW.name,
        option: MERGE.name,
        value: "concat".into(),
        nearest: Vec::new(),
        expected: format!("add with block={name}, which has no branches of a pyramid to concatenate"),
    })
}
