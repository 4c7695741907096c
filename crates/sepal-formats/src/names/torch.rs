//! Names of timm, torchvision, the `bsconv` package, `efficientnet_pytorch` and ESPNet's authors.

use sepal_graph::Graph;

use super::map::{Map, blocks, stages};
use super::{Naming, Table};

pub(super) const TABLES: &[Table] = &[
    Table { naming: Naming::Timm, families: &["mobilenet_v1"], fill: |m, _, _| mobilenet_v1(m) },
    Table { naming: Naming::Bsconv, families: &["mobilenet_v1"], fill: |m, _, _| bsconv_mobilenet_v1(m, false) },
    Table { naming: Naming::Bsconv, families: &["mobilenet_v1"], fill: |m, _, _| bsconv_mobilenet_v1(m, true) },
    Table {
        naming: Naming::Timm,
        families: &["mobilenet_v2", "efficientnet_lite0", "mobilenet_v3_large", "mobilenet_v3_small"],
        fill: |m, family, _| inverted(m, family),
    },
    Table { naming: Naming::Torchvision, families: &["mobilenet_v2"], fill: |m, _, _| torchvision_mobilenet_v2(m) },
    Table {
        naming: Naming::Torchvision,
        families: &["mobilenet_v3_large", "mobilenet_v3_small"],
        fill: |m, _, graph| torchvision_mobilenet_v3(m, graph),
    },
    Table {
        naming: Naming::Bsconv,
        families: &["mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"],
        fill: |m, family, _| bsconv_inverted(m, family),
    },
    Table {
        naming: Naming::EfficientnetPytorch,
        families: &["efficientnet_lite0"],
        fill: |m, _, _| efficientnet_pytorch(m),
    },
    Table { naming: Naming::Timm, families: &["mobilenet_v4_conv_small"], fill: |m, _, _| mobilenet_v4(m) },
    Table { naming: Naming::Timm, families: RESNETS, fill: |m, _, _| resnet(m) },
    Table { naming: Naming::Torchvision, families: RESNETS, fill: |m, _, _| resnet(m) },
    Table {
        naming: Naming::Bsconv,
        families: &["resnet18", "resnet34", "resnet20", "resnet56", "resnet110", "wrn16_1", "wrn16_4", "wrn40_10"],
        fill: |m, family, _| bsconv_resnet(m, family.starts_with("wrn")),
    },
    Table { naming: Naming::Timm, families: &["densenet121"], fill: |m, _, _| densenet(m) },
    Table { naming: Naming::Torchvision, families: &["densenet121"], fill: |m, _, _| densenet(m) },
    Table { naming: Naming::Timm, families: &["inception_v3"], fill: |m, _, _| inception(m) },
    Table { naming: Naming::Torchvision, families: &["inception_v3"], fill: |m, _, _| inception(m) },
    Table { naming: Naming::Timm, families: &["xception"], fill: |m, _, graph| xception(m, graph) },
    Table {
        naming: Naming::Timm,
        families: &["xception41", "xception65", "xception71"],
        fill: |m, _, graph| xception_aligned(m, graph),
    },
    Table { naming: Naming::Espnet, families: &["espnet_c"], fill: |m, _, _| espnet_encoder(m, "", "classifier.conv") },
    Table { naming: Naming::Espnet, families: &["espnet"], fill: |m, _, _| espnet(m) },
];

const RESNETS: &[&str] = &["resnet18", "resnet26", "resnet34", "resnet50", "resnext50_32x4d"];

/// Blocks of the stages of MobileNet V1.
const MOBILENET_V1: [usize; 5] = [1, 2, 2, 6, 2];

fn mobilenet_v1(m: &mut Map) {
    m.list(&[("stem.conv", "conv_stem"), ("stem.bn", "bn1"), ("classifier", "classifier")]);
    m.list(&[("depthwise", "conv_dw"), ("depthwise_bn", "bn1"), ("pointwise", "conv_pw"), ("bn", "bn2")]);
    for (n, stage, i) in stages(&MOBILENET_V1) {
        m.add(format!("block{n}"), format!("blocks.{stage}.{i}"));
    }
}

fn bsconv_head(m: &mut Map) {
    m.add("data_bn", "backbone.data_bn");
    m.conv("classifier", "classifier.conv");
}

fn bsconv_mobilenet_v1(m: &mut Map, unit_u: bool) {
    bsconv_head(m);
    m.list(&[("stem.conv", "backbone.init_conv.conv"), ("stem.bn", "backbone.init_conv.bn")]);
    m.list(if unit_u {
        &[("pointwise", "0.pw"), ("depthwise", "0.dw"), ("bn", "1")]
    } else {
        &[
            ("depthwise", "conv_dw.conv"),
            ("depthwise_bn", "conv_dw.bn"),
            ("pointwise", "conv_pw.conv"),
            ("bn", "conv_pw.bn"),
        ]
    });
    for (n, stage, i) in stages(&MOBILENET_V1) {
        m.add(format!("block{n}"), format!("backbone.stage{}.unit{}", stage + 1, i + 1));
    }
}

/// Networks of inverted residual blocks: MobileNet V2, V3, EfficientNet.
fn inverted(m: &mut Map, family: &str) {
    let repeats: &[usize] = match family {
        "mobilenet_v2" => &[1, 2, 3, 4, 3, 3, 1],
        "efficientnet_lite0" => &[1, 2, 2, 3, 3, 4, 1],
        "mobilenet_v3_large" => &[1, 2, 3, 4, 2, 3],
        _ => &[1, 2, 3, 2, 3],
    };
    m.list(&[("stem.conv", "conv_stem"), ("stem.bn", "bn1"), ("classifier", "classifier")]);
    m.list(&[("expand", "conv_pw"), ("expand_bn", "bn1"), ("depthwise", "conv_dw"), ("depthwise_bn", "bn2")]);
    m.list(&[("se.reduce", "se.conv_reduce"), ("se.expand", "se.conv_expand")]);
    m.list(&[("project", "conv_pwl"), ("project_bn", "bn3")]);
    // The first block expands by 1, and so has no pointwise convolution there.
    m.list(&[
        ("block1.depthwise_bn", "blocks.0.0.bn1"),
        ("block1.project", "blocks.0.0.conv_pw"),
        ("block1.project_bn", "blocks.0.0.bn2"),
    ]);
    for (n, stage, i) in stages(repeats) {
        m.add(format!("block{n}"), format!("blocks.{stage}.{i}"));
    }
    if family.starts_with("mobilenet_v3") {
        let last = repeats.len();
        m.add("last.conv", format!("blocks.{last}.0.conv"));
        m.add("last.bn", format!("blocks.{last}.0.bn1"));
        m.conv("head.linear", "conv_head");
    } else {
        m.list(&[("head.conv", "conv_head"), ("head.bn", "bn2")]);
    }
}

fn torchvision_mobilenet_v2(m: &mut Map) {
    m.list(&[("stem.conv", "features.0.0"), ("stem.bn", "features.0.1")]);
    m.list(&[("head.conv", "features.18.0"), ("head.bn", "features.18.1"), ("classifier", "classifier.1")]);
    m.list(&[("expand", "0.0"), ("expand_bn", "0.1"), ("depthwise", "1.0"), ("depthwise_bn", "1.1")]);
    m.list(&[("project", "2"), ("project_bn", "3")]);
    m.list(&[
        ("block1.depthwise", "features.1.conv.0.0"),
        ("block1.depthwise_bn", "features.1.conv.0.1"),
        ("block1.project", "features.1.conv.1"),
        ("block1.project_bn", "features.1.conv.2"),
    ]);
    for n in 1..=17 {
        m.add(format!("block{n}"), format!("features.{n}.conv"));
    }
}

/// The parts of a block are numbered in their order, those it lacks being left out.
fn torchvision_mobilenet_v3(m: &mut Map, graph: &Graph) {
    let n = blocks(graph, "block");
    m.list(&[("stem.conv", "features.0.0"), ("stem.bn", "features.0.1")]);
    m.add("last.conv", format!("features.{}.0", n + 1));
    m.add("last.bn", format!("features.{}.1", n + 1));
    m.list(&[("head.linear", "classifier.0"), ("classifier", "classifier.3")]);
    for n in 1..=n {
        let block = format!("block{n}");
        let mut place = 0;
        for part in ["expand", "depthwise", "se", "project"] {
            let path = format!("{block}.{part}");
            if !graph.nodes.iter().any(|node| node.path == path || node.path.starts_with(&format!("{path}."))) {
                continue;
            }
            let name = format!("features.{n}.block.{place}");
            if part == "se" {
                m.add(format!("{path}.reduce"), format!("{name}.fc1"));
                m.add(format!("{path}.expand"), format!("{name}.fc2"));
            } else {
                m.add(path.clone(), format!("{name}.0"));
                m.add(format!("{path}_bn"), format!("{name}.1"));
            }
            place += 1;
        }
    }
}

fn bsconv_inverted(m: &mut Map, family: &str) {
    let repeats: &[usize] = match family {
        "mobilenet_v2" => &[1, 2, 3, 7, 4],
        "mobilenet_v3_large" => &[1, 2, 3, 6, 3],
        _ => &[1, 2, 5, 3],
    };
    bsconv_head(m);
    m.list(&[("stem.conv", "backbone.init_conv.conv"), ("stem.bn", "backbone.init_conv.bn")]);
    for (place, part) in ["expand", "depthwise", "project"].into_iter().enumerate() {
        m.add(part, format!("conv{}.conv", place + 1));
        m.add(format!("{part}_bn"), format!("conv{}.bn", place + 1));
    }
    m.list(&[("se.reduce", "se_unit.conv1"), ("se.expand", "se_unit.conv2")]);
    for (n, stage, i) in stages(repeats) {
        m.add(format!("block{n}"), format!("backbone.stage{}.unit{}", stage + 1, i + 1));
    }
    m.list(&[("head.conv", "backbone.final_conv.conv"), ("head.bn", "backbone.final_conv.bn")]);
    m.list(&[("last.conv", "backbone.final_conv1.conv"), ("last.bn", "backbone.final_conv1.bn")]);
    m.list(&[("last.se.reduce", "backbone.final_se.conv1"), ("last.se.expand", "backbone.final_se.conv2")]);
}

fn efficientnet_pytorch(m: &mut Map) {
    m.list(&[("stem.conv", "_conv_stem"), ("stem.bn", "_bn0"), ("head.conv", "_conv_head"), ("head.bn", "_bn1")]);
    m.list(&[("classifier", "_fc"), ("expand", "_expand_conv"), ("expand_bn", "_bn0")]);
    m.list(&[("depthwise", "_depthwise_conv"), ("depthwise_bn", "_bn1")]);
    m.list(&[("project", "_project_conv"), ("project_bn", "_bn2")]);
    for n in 1..=16 {
        m.add(format!("block{n}"), format!("_blocks.{}", n - 1));
    }
}

fn mobilenet_v4(m: &mut Map) {
    m.list(&[("stem.conv", "conv_stem"), ("stem.bn", "bn1"), ("conv", "conv"), ("bn", "bn1")]);
    m.list(&[("conv1", "blocks.0.0"), ("conv2", "blocks.0.1"), ("conv3", "blocks.1.0"), ("conv4", "blocks.1.1")]);
    for (part, name) in [("start", "dw_start"), ("expand", "pw_exp"), ("depthwise", "dw_mid"), ("project", "pw_proj")] {
        m.add(part, format!("{name}.conv"));
        m.add(format!("{part}_bn"), format!("{name}.bn"));
    }
    for (n, stage, i) in stages(&[6, 6]) {
        m.add(format!("block{n}"), format!("blocks.{}.{i}", stage + 2));
    }
    m.add("last", "blocks.4.0");
    m.conv("head.linear", "conv_head");
    m.list(&[("head.bn", "norm_head"), ("classifier", "classifier")]);
}

fn resnet(m: &mut Map) {
    m.list(&[("stem.conv", "conv1"), ("stem.bn", "bn1"), ("classifier", "fc")]);
    for (i, part) in ["layer1", "layer2"].into_iter().enumerate() {
        m.add(format!("{part}.conv"), format!("conv{}", i + 1));
        m.add(format!("{part}.bn"), format!("bn{}", i + 1));
    }
    m.list(&[("reduce.pointwise", "conv1"), ("reduce.bn", "bn1"), ("layer.conv", "conv2"), ("layer.bn", "bn2")]);
    m.list(&[("layer.grouped", "conv2"), ("expand.pointwise", "conv3"), ("expand.bn", "bn3")]);
    m.list(&[("shortcut.pointwise", "downsample.0"), ("shortcut.bn", "downsample.1")]);
    for stage in 1..=4 {
        for block in 1..=6 {
            m.add(format!("stage{stage}.block{block}"), format!("layer{stage}.{}", block - 1));
        }
    }
}

/// The package's residual networks: those with norms after the convolutions, and wide ones with norms before.
fn bsconv_resnet(m: &mut Map, before: bool) {
    bsconv_head(m);
    m.list(&[("stem.bn", "backbone.init_unit.conv.bn"), ("last.bn", "backbone.final_activation.bn")]);
    m.list(&[("layer1.bn", if before { "bn" } else { "conv1.bn" })]);
    m.list(&[("layer2.bn", if before { "conv1.bn" } else { "conv2.bn" })]);
    for (part, name) in [("stem", "backbone.init_unit.conv"), ("layer1", "conv1"), ("layer2", "conv2")] {
        for (of_block, there) in [
            ("conv", ""),
            ("pointwise", ".pw"),
            ("pointwise1", ".pw1"),
            ("pointwise1_bn", ".bn1"),
            ("pointwise2", ".pw2"),
            ("pointwise2_bn", ".bn2"),
            ("depthwise", ".dw"),
        ] {
            m.add(format!("{part}.{of_block}"), format!("{name}.conv{there}"));
        }
    }
    m.list(&[("shortcut.pointwise", "projection.conv"), ("shortcut.bn", "projection.bn")]);
    for stage in 1..=4 {
        for block in 1..=18 {
            m.add(format!("stage{stage}.block{block}"), format!("backbone.stage{stage}.unit{block}"));
        }
    }
}

fn densenet(m: &mut Map) {
    m.list(&[("stem.conv", "features.conv0"), ("stem.bn", "features.norm0"), ("last.bn", "features.norm5")]);
    m.list(&[("reduce.bn", "norm1"), ("reduce.pointwise", "conv1"), ("layer.bn", "norm2"), ("layer.conv", "conv2")]);
    m.add("classifier", "classifier");
    for stage in 1..=4 {
        m.add(format!("stage{stage}"), format!("features.denseblock{stage}"));
        m.add(format!("stage{stage}.transition.bn"), format!("features.transition{stage}.norm"));
        m.add(format!("stage{stage}.transition.pointwise"), format!("features.transition{stage}.conv"));
    }
    for layer in 1..=24 {
        m.add(format!("layer{layer}"), format!("denselayer{layer}"));
    }
}

fn inception(m: &mut Map) {
    m.list(&[("conv", "conv"), ("bn", "bn"), ("classifier", "fc")]);
    for (path, name) in inception_units() {
        m.add(path, name);
    }
}

/// The convolutions of Inception-V3 in the order in which both torchvision and Keras make them: path here, name there.
pub(super) fn inception_units() -> Vec<(String, String)> {
    let mut units = Vec::new();
    for (i, name) in ["1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3"].into_iter().enumerate() {
        units.push((format!("stem.conv{}", i + 1), format!("Conv2d_{name}")));
    }
    let mut module = |path: &str, name: &str, parts: &[(&str, &str)]| {
        for (part, there) in parts {
            units.push((format!("{path}.{part}"), format!("Mixed_{name}.{there}")));
        }
    };
    let pointwise = ("branch1.layer1", "branch1x1");
    let pool = ("branch4.layer1", "branch_pool");
    for (i, name) in ["5b", "5c", "5d"].into_iter().enumerate() {
        let parts = [
            pointwise,
            ("branch2.layer1", "branch5x5_1"),
            ("branch2.layer2", "branch5x5_2"),
            ("branch3.layer1", "branch3x3dbl_1"),
            ("branch3.layer2", "branch3x3dbl_2"),
            ("branch3.layer3", "branch3x3dbl_3"),
            pool,
        ];
        module(&format!("stage1.block{}", i + 1), name, &parts);
    }
    let parts = [
        ("branch1.layer1", "branch3x3"),
        ("branch2.layer1", "branch3x3dbl_1"),
        ("branch2.layer2", "branch3x3dbl_2"),
        ("branch2.layer3", "branch3x3dbl_3"),
    ];
    module("reduction1", "6a", &parts);
    for (i, name) in ["6b", "6c", "6d", "6e"].into_iter().enumerate() {
        let parts = [
            pointwise,
            ("branch2.layer1", "branch7x7_1"),
            ("branch2.layer2", "branch7x7_2"),
            ("branch2.layer3", "branch7x7_3"),
            ("branch3.layer1", "branch7x7dbl_1"),
            ("branch3.layer2", "branch7x7dbl_2"),
            ("branch3.layer3", "branch7x7dbl_3"),
            ("branch3.layer4", "branch7x7dbl_4"),
            ("branch3.layer5", "branch7x7dbl_5"),
            pool,
        ];
        module(&format!("stage2.block{}", i + 1), name, &parts);
    }
    let parts = [
        ("branch1.layer1", "branch3x3_1"),
        ("branch1.layer2", "branch3x3_2"),
        ("branch2.layer1", "branch7x7x3_1"),
        ("branch2.layer2", "branch7x7x3_2"),
        ("branch2.layer3", "branch7x7x3_3"),
        ("branch2.layer4", "branch7x7x3_4"),
    ];
    module("reduction2", "7a", &parts);
    for (i, name) in ["7b", "7c"].into_iter().enumerate() {
        let parts = [
            pointwise,
            ("branch2.layer1", "branch3x3_1"),
            ("branch2.row.layer1", "branch3x3_2a"),
            ("branch2.column.layer1", "branch3x3_2b"),
            ("branch3.layer1", "branch3x3dbl_1"),
            ("branch3.layer2", "branch3x3dbl_2"),
            ("branch3.row.layer1", "branch3x3dbl_3a"),
            ("branch3.column.layer1", "branch3x3dbl_3b"),
            pool,
        ];
        module(&format!("stage3.block{}", i + 1), name, &parts);
    }
    units
}

fn xception(m: &mut Map, graph: &Graph) {
    let middle = blocks(graph, "middle.block");
    m.list(&[("entry.conv1.conv", "conv1"), ("entry.conv1.bn", "bn1"), ("classifier", "fc")]);
    m.list(&[("entry.conv2.conv", "conv2"), ("entry.conv2.bn", "bn2")]);
    m.list(&[("skip.pointwise", "skip"), ("skip.bn", "skipbn")]);
    // Within a block ReLU, convolution and norm are numbered; the first block has no ReLU in front.
    for (block, first) in [("", 1), ("entry.block1.", 0)] {
        let name = if block.is_empty() { "" } else { "block1." };
        for sep in 0..3 {
            let at = first + 3 * sep;
            let path = format!("{block}sep{}", sep + 1);
            m.add(format!("{path}.depthwise"), format!("{name}rep.{at}.conv1"));
            m.add(format!("{path}.pointwise"), format!("{name}rep.{at}.pointwise"));
            m.add(format!("{path}.bn"), format!("{name}rep.{}", at + 1));
        }
    }
    let inner = (1..=3).map(|n| format!("entry.block{n}")).chain((1..=middle).map(|n| format!("middle.block{n}")));
    for (i, path) in inner.chain(["exit.block1".to_owned()]).enumerate() {
        m.add(path, format!("block{}", i + 1));
    }
    for sep in 1..=2 {
        m.add(format!("exit.sep{sep}.depthwise"), format!("conv{}.conv1", sep + 2));
        m.add(format!("exit.sep{sep}.pointwise"), format!("conv{}.pointwise", sep + 2));
        m.add(format!("exit.sep{sep}.bn"), format!("bn{}", sep + 2));
    }
}

fn xception_aligned(m: &mut Map, graph: &Graph) {
    let (entry, middle) = (blocks(graph, "entry.block"), blocks(graph, "middle.block"));
    m.list(&[("entry.conv1", "stem.0"), ("entry.conv2", "stem.1"), ("conv", "conv"), ("bn", "bn")]);
    m.list(&[("skip.pointwise", "shortcut.conv"), ("skip.bn", "shortcut.bn"), ("classifier", "head.fc")]);
    for sep in 1..=3 {
        for (part, name) in
            [("depthwise", "conv_dw"), ("depthwise_bn", "bn_dw"), ("pointwise", "conv_pw"), ("bn", "bn_pw")]
        {
            m.add(format!("sep{sep}.{part}"), format!("stack.conv{sep}.{name}"));
        }
    }
    let inner = (1..=entry).map(|n| format!("entry.block{n}")).chain((1..=middle).map(|n| format!("middle.block{n}")));
    for (i, path) in inner.chain(["exit.block1".to_owned(), "exit".to_owned()]).enumerate() {
        m.add(path, format!("blocks.{i}"));
    }
}

/// The encoder under a prefix; alone it is ESPNet-C.
fn espnet_encoder(m: &mut Map, prefix: &str, classifier: &str) {
    m.list(&[("reduce", "c1.conv"), ("conv", "conv"), ("bn", "bn"), ("act", "act")]);
    for dilation in [1, 2, 4, 8, 16] {
        m.add(format!("dilated{dilation}"), format!("d{dilation}.conv"));
    }
    m.add("level1", format!("{prefix}level1"));
    for join in 1..=3 {
        m.add(format!("join{join}"), format!("{prefix}b{join}"));
    }
    for level in 2..=3 {
        m.add(format!("level{level}.down"), format!("{prefix}level{level}_0"));
        for block in 1..=64 {
            let (path, name) = (format!("level{level}.block{block}"), format!("{prefix}level{level}.{}", block - 1));
            m.add(format!("{path}.bn"), format!("{name}.bn.bn"));
            m.add(format!("{path}.act"), format!("{name}.bn.act"));
            m.add(path, name);
        }
    }
    m.add("level3.classifier", classifier);
}

fn espnet(m: &mut Map) {
    espnet_encoder(m, "encoder.", "encoder.classifier.conv");
    m.list(&[("level3.classifier_bn", "br"), ("level3.up", "up_l3.0"), ("level2.classifier", "level3_C.conv")]);
    m.list(&[("decoder2", "combine_l2_l3.0"), ("decoder2.layer", "combine_l2_l3.1")]);
    m.list(&[("decoder2.layer.bn", "combine_l2_l3.1.bn.bn"), ("decoder2.layer.act", "combine_l2_l3.1.bn.act")]);
    m.list(&[("decoder2.up.conv", "up_l2.0"), ("decoder2.up.bn", "up_l2.1.bn"), ("decoder2.up.act", "up_l2.1.act")]);
    m.list(&[("decoder1", "conv"), ("classifier", "classifier")]);
}
