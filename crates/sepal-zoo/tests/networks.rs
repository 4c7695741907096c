//! Every registry row: exact figures, every option, odd sizes.

use std::collections::HashSet;

use proptest::prelude::*;
use sepal_graph::{Graph, Op, Task, Weights};
use sepal_zoo::{Error, Kind, Spec, Value, build, networks};

fn spec(text: &str) -> Spec {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn graph(text: &str, size: [usize; 2], classes: usize) -> Graph {
    build(&spec(text), Some(size), classes).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn published_figures_are_met_exactly() {
    let mut rows = 0;
    for network in networks() {
        assert!(!network.variants.is_empty(), "{}", network.name);
        for variant in network.variants {
            let graph = graph(variant.spec, variant.size, variant.classes);
            let cost = graph.cost().unwrap();
            let got = (cost.params, cost.macs);
            assert_eq!(got, (variant.params, variant.macs), "{}", variant.spec);
            // Tables order options freely and say defaults; the canonical form is the same network.
            assert_eq!(spec(&spec(variant.spec).to_string()), spec(variant.spec));
            assert_eq!(spec(variant.spec).network(), network);
            rows += 1;
        }
    }
    assert!(rows >= 53);
    let names: HashSet<_> = networks().iter().map(|network| network.name).collect();
    assert_eq!(names.len(), networks().len(), "names are unique");
}

/// Some values of an option, the ends of its range among them.
fn values(kind: Kind) -> Vec<String> {
    let words = kind.words().into_iter().map(str::to_owned);
    let numbers = match kind {
        Kind::Above(min, max) => vec![min + (max - min) / 64.0, max / 4.0],
        Kind::Below(min, max) => vec![min, min + (max - min) * 0.75],
        Kind::Integer(min, _) => vec![min as f64],
        Kind::Choice(_) | Kind::Block => vec![],
    };
    words.chain(numbers.iter().map(f64::to_string)).collect()
}

/// Networks with convolutions or pools that are not padded, and the sizes at which they have pixels enough.
fn sizes(network: &str) -> [[usize; 2]; 2] {
    match network {
        "inception_v3" => [[75, 96], [99, 103]],
        "xception" | "densenet121" => [[33, 47], [97, 64]],
        _ => [[1, 1], [33, 47]],
    }
}

/// The output's shape.
fn output(network: &str, [h, w]: [usize; 2], classes: usize) -> Vec<usize> {
    match network {
        "espnet" | "deeplab" => vec![classes, h, w],
        "espnet_c" => vec![classes, h.div_ceil(8), w.div_ceil(8)],
        _ => vec![classes],
    }
}

#[test]
fn every_option_builds_at_default_and_odd_sizes() {
    for network in networks() {
        let mut specs = vec![network.name.to_owned()];
        for option in network.options {
            let options = values(option.kind).into_iter();
            specs.extend(options.map(|value| format!("{}:{}={value}", network.name, option.name)));
            assert!(!option.help.is_empty());
        }
        for text in specs {
            let parsed = spec(&text);
            let defaults = parsed.defaults().unwrap();
            let default = build(&parsed, None, defaults.classes).unwrap();
            let shapes = default.shapes().unwrap();
            assert_eq!(shapes[0].size(), defaults.size);
            assert_eq!(default.name, parsed.to_string());
            let is_map = default.output_shape().unwrap().as_chw().is_some();
            assert_eq!(network.task == Task::Segment, is_map, "{text}");
            for (size, classes) in sizes(network.name).into_iter().zip([2, 7]) {
                let graph = graph(&text, size, classes);
                assert_eq!(graph.output_shape().unwrap().dims(), output(network.name, size, classes), "{text}");
                let cost = graph.cost().unwrap();
                assert!(cost.params > 0 && cost.macs > 0);
                // Another size changes no parameter but the classifier's. The smallest size tells nothing about
                // resizing: padding kept from a larger one may not do. Decoders meet maps again at their own size.
                if size != [1, 1] && !matches!(network.name, "espnet" | "deeplab") {
                    let resized = default.with_input_shape(graph.shapes().unwrap()[0].clone());
                    assert_eq!(resized.unwrap().params(), default.params());
                }
            }
        }
    }
}

#[test]
fn initial_weights_fit_every_network() {
    for network in networks() {
        let parsed = Spec::from(network);
        let graph = build(&parsed, None, 10).unwrap();
        // Drawing the largest networks' weights takes seconds and tells no more.
        if graph.cost().unwrap().params > 6_000_000 {
            continue;
        }
        let weights = Weights::init(&graph, 3).unwrap();
        weights.check(&graph).unwrap();
        weights.check_finite().unwrap();
    }
}

#[test]
fn mobilenet_v1_follows_its_table() {
    let graph = graph("mobilenet_v1", [224, 224], 1000);
    let paths: Vec<_> = graph.nodes.iter().map(|node| node.path.as_str()).collect();
    let start = [
        "input",
        "stem.conv",
        "stem.bn",
        "stem.act",
        "block1.depthwise",
        "block1.depthwise_bn",
        "block1.depthwise_act",
        "block1.pointwise",
        "block1.bn",
        "block1.act",
        "block2.depthwise",
    ];
    assert_eq!(paths[..start.len()], start);
    assert_eq!(paths[paths.len() - 3..], ["block13.act", "pool", "classifier"]);
    let convs = graph.nodes.iter().filter(|node| matches!(node.op, Op::Conv2d(_)));
    assert_eq!(convs.count(), 27);
    let shapes = graph.shapes().unwrap();
    let (last, _) = graph.find("block13.act").unwrap();
    assert_eq!(shapes[last.index()].to_string(), "1024×7×7");
    let params = graph.params().unwrap();
    assert_eq!(params[5].path, "block1.depthwise.weight");
    assert_eq!(params[5].shape, [32, 1, 3, 3]);
}

#[test]
fn options_change_what_they_say() {
    let count = |text: &str, wanted: &dyn Fn(&Op) -> bool| {
        let graph = graph(text, [32, 32], 10);
        graph.nodes.iter().filter(|node| wanted(&node.op)).count()
    };
    let norms = |text: &str| count(text, &|op| matches!(op, Op::BatchNorm(_)));
    let acts = |text: &str| count(text, &|op| matches!(op, Op::Activation(_)));
    let cases = [("bn_relu", 27, 27), ("bn", 27, 14), ("none", 14, 14), ("relu", 14, 27), ("elu", 14, 27)];
    for (between, want_norms, want_acts) in cases {
        let text = format!("mobilenet_v1:between={between}");
        assert_eq!((norms(&text), acts(&text)), (want_norms, want_acts), "{text}");
    }
    let dropout = |text: &str| count(text, &|op| matches!(op, Op::Dropout(_)));
    assert_eq!(dropout("mobilenet_v1"), 0);
    assert_eq!(dropout("mobilenet_v1:dropout=0.2"), 1);
    let relu6 = |op: &Op| matches!(op, Op::Activation(sepal_graph::Activation::Relu6));
    assert_eq!(count("mobilenet_v1:activation=relu6", &relu6), 27);

    let macs = |text: &str| graph(text, [64, 64], 10).cost().unwrap().macs;
    let full = macs("mobilenet_v1:block=standard");
    assert!(macs("mobilenet_v1:block=grouped,groups=8") < full / 7);
    assert_eq!(macs("mobilenet_v1:block=grouped,groups=1"), full);
    assert!(macs("mobilenet_v1") < full / 8);
}

#[test]
fn what_cannot_be_is_said_clearly() {
    let cases: [(&str, &[&str]); 18] = [
        ("mobilenetv1", &["unknown network `mobilenetv1`", "did you mean `mobilenet_v1`"]),
        ("vgg", &["unknown network `vgg`", "there are: ", "mobilenet_v1"]),
        ("", &["cannot read ``"]),
        (":", &["cannot read ``"]),
        ("mobilenet_v1:", &["cannot read ``"]),
        ("mobilenet_v1:width", &["cannot read `width`"]),
        ("mobilenet_v1:width=", &["cannot read `width=`"]),
        ("mobilenet_v1,width=2", &["cannot read"]),
        ("mobilenet_v1:widht=2", &["no option `widht`", "did you mean `width`?", "between"]),
        ("mobilenet_v1:x=2", &["its options are: width, stem, block"]),
        ("mobilenet_v1:width=1,width=2", &["`width` is given twice"]),
        ("mobilenet_v1:width=0", &["width=0 is not possible", "above 0, at most 16"]),
        ("mobilenet_v1:width=-1", &["width=-1 is not possible"]),
        ("mobilenet_v1:width=nan", &["width=nan is not possible"]),
        ("mobilenet_v1:width=1e30", &["width=1e30 is not possible"]),
        ("mobilenet_v1:between=bnrelu", &["did you mean `bn_relu` or", "none, bn, bn_relu"]),
        (
            "mobilenet_v1:block=depthwise",
            &["one of standard, grouped, dsc, bsconv_u, bsconv_s, pyramid_add, pyramid_concat"],
        ),
        ("mobilenet_v1:dropout=1", &["from 0 to below 1"]),
    ];
    for (text, parts) in cases {
        let error = text.parse::<Spec>().expect_err(text).to_string();
        for part in parts {
            assert!(error.contains(part), "{text}: {error}");
        }
    }
    for classes in [0, 1] {
        let error = build(&spec("mobilenet_v1"), None, classes).unwrap_err();
        assert_eq!(error, Error::Classes { classes });
        assert!(error.to_string().contains("at least 2 classes"));
    }
    let built = |text: &str, size| build(&spec(text), Some(size), 10).unwrap_err().to_string();
    assert!(built("mobilenet_v1", [0, 9]).contains("0×9 pixels: dimension 0"));
    assert!(built("mobilenet_v1", [usize::MAX, 9]).contains("dimension"));
    let small = built("xception", [2, 2]);
    assert!(small.contains("2×2 pixels") && small.contains("node `entry.conv1.conv`"), "{small}");
    let groups = built("mobilenet_v1:block=grouped,groups=7", [32, 32]);
    assert!(groups.contains("node `block1.conv`") && groups.contains("divisor"), "{groups}");
    let classes = build(&spec("mobilenet_v1"), None, usize::MAX).unwrap_err();
    assert!(classes.to_string().contains("node `classifier`"), "{classes}");
}

#[test]
fn paths_read_like_the_papers() {
    let cases: [(&str, usize, &[&str]); 19] = [
        (
            "xception",
            299,
            &[
                "entry.block1.sep2.depthwise",
                "middle.block8.sep3.pointwise",
                "exit.block1.skip.pointwise",
                "exit.sep2.bn",
            ],
        ),
        ("xception65", 299, &["entry.block1.sep2.depthwise_bn", "middle.block16.add", "exit.sep3.depthwise_act"]),
        ("mobilenet_v2", 224, &["stem.conv", "block2.expand", "block3.add", "block17.project_bn", "head.conv"]),
        ("mobilenet_v4_conv_small", 224, &["block1.start_bn", "block12.depthwise", "head.linear", "classifier"]),
        ("efficientnet_lite0", 224, &["block1.depthwise", "block16.project"]),
        ("resnet50", 224, &["stem.pool", "stage1.block1.shortcut.bn", "stage4.block3.layer.conv", "stage2.block4.add"]),
        ("resnet20:block=bsconv_s", 32, &["stem.pointwise1", "stage3.block3.layer2.pointwise2"]),
        ("wrn16_4:block=bsconv_u", 32, &["stage2.block1.layer1.depthwise", "stage2.block2.layer2.act", "last.bn"]),
        ("resnet18:block=pyramid_add", 224, &["stage1.block1.layer1.depthwise7", "stage1.block1.layer1.pointwise"]),
        ("pydmobilenet:depth=56", 32, &["data_bn", "stage3.block6.pyramid.add7", "stage2.block1.shortcut.pointwise"]),
        ("pydmobilenet:merge=concat", 32, &["stage1.block1.pyramid.concat", "stage1.block1.expand.pointwise"]),
        ("mobilenet_v3_large", 224, &["block1.depthwise_act", "block4.se.reduce", "block15.se.scale", "head.linear"]),
        ("mobilenet_v3_small:stem=cifar", 32, &["block1.expand", "block1.se.gate", "last.se.expand", "classifier"]),
        ("mobilenet_v2:block=pyramid_concat", 224, &["block2.layer.concat", "block2.layer.bn", "block2.project"]),
        ("mobilenet_v4_conv_small:block=standard", 224, &["block1.start.conv", "block1.layer.act"]),
        (
            "inception_v3",
            299,
            &[
                "stem.conv5.bn",
                "stage1.block1.branch2.layer2.conv",
                "reduction1.branch3.pool",
                "stage2.block4.branch3.layer5.act",
                "stage3.block2.branch3.column.layer1.conv",
            ],
        ),
        ("densenet121", 224, &["stem.pool", "stage1.layer6.layer.conv", "stage3.transition.pool", "last.act"]),
        (
            "resdsc26:block=soft_sharing",
            72,
            &["stem.depthwise2", "stage1.block1.shortcut.pad", "stage3.block4.layer2.gate.softmax"],
        ),
        (
            "espnet",
            64,
            &[
                "level1.conv",
                "join1.act",
                "level2.down.reduce",
                "level3.block8.sum16",
                "level3.classifier",
                "decoder2.layer.dilated16",
                "classifier",
            ],
        ),
    ];
    for (text, size, paths) in cases {
        let graph = graph(text, [size, size], 10);
        for path in paths {
            assert!(graph.find(path).is_some(), "{text}: no {path}");
        }
    }
}

#[test]
fn networks_have_the_layers_of_their_names() {
    let layers = |text: &str| {
        let defaults = spec(text).defaults().unwrap();
        let graph = graph(text, defaults.size, 10);
        let counted = |path: &str| !path.contains("shortcut") && !path.contains("skip") && !path.contains("depthwise");
        let layer = |op: &Op| matches!(op, Op::Conv2d(_) | Op::Linear(_));
        graph.nodes.iter().filter(|node| layer(&node.op) && counted(&node.path)).count()
    };
    // A separable convolution counts once. The Xceptions do not count the classifier, wide networks
    // count shortcuts.
    let cases = [
        ("resnet18", 18),
        ("resnet26", 26),
        ("resnet34", 34),
        ("resnet50", 50),
        ("resnext50_32x4d", 50),
        ("resnet20", 20),
        ("resnet56", 56),
        ("resnet110", 110),
        ("wrn16_1", 16 - 2),
        ("wrn40_10", 40 - 2),
        ("xception", 36 + 1),
        ("xception:middle=4", 24 + 1),
        ("xception41", 41 + 1),
        ("xception65", 65 + 1),
        ("xception71", 71 + 1),
        ("densenet121", 121),
        ("resdsc26", 26),
    ];
    for (text, want) in cases {
        assert_eq!(layers(text), want, "{text}");
    }
}

#[test]
fn norms_inside_blueprint_convolutions_are_chosen_by_kind() {
    let params = |text: &str| graph(text, [32, 32], 10).cost().unwrap().params;
    for (kind, other) in [("u", "s"), ("s", "u")] {
        let with = |norm: &str| params(&format!("resnet20:block=bsconv_{kind},bsconv_norm={norm}"));
        assert_eq!((with("none"), with("both")), (with(other), with(kind)));
        assert!(with("both") > with("none"));
    }
    // The authors' networks have them in BSConv-S alone.
    assert_eq!(params("resnet20:block=bsconv_s"), params("resnet20:block=bsconv_s,bsconv_norm=s"));
    assert_eq!(params("resnet20:block=bsconv_u"), params("resnet20:block=bsconv_u,bsconv_norm=none"));
}

#[test]
fn skip_connections_can_be_left_out() {
    for text in ["xception", "xception41"] {
        let adds = |text: &str| {
            let graph = graph(text, [96, 96], 10);
            graph.nodes.iter().filter(|node| matches!(node.op, Op::Add(_))).count()
        };
        assert_eq!(adds(text), 12, "{text}");
        assert_eq!(adds(&format!("{text}:skip=no")), 0, "{text}");
        assert_eq!(adds(&format!("{text}:middle=2")), 6, "{text}");
    }
}

#[test]
fn a_norm_on_the_pixels_has_six_parameters() {
    for network in ["mobilenet_v1", "mobilenet_v2", "resnet18", "resnet20", "wrn16_1"] {
        let params = |text: &str| graph(text, [32, 32], 10).cost().unwrap().params;
        assert_eq!(params(&format!("{network}:data_norm=yes")), params(network) + 6, "{network}");
    }
}

#[test]
fn canonical_form_orders_options_and_drops_defaults() {
    let cases = [
        ("mobilenet_v1", "mobilenet_v1"),
        (" mobilenet_v1 : between = none , width = 0.50 ", "mobilenet_v1:width=0.5,between=none"),
        ("mobilenet_v1:width=1,stem=imagenet", "mobilenet_v1"),
        ("mobilenet_v1:stem=cifar,width=.5", "mobilenet_v1:width=0.5,stem=cifar"),
    ];
    for (text, want) in cases {
        assert_eq!(spec(text).to_string(), want);
        assert_eq!(spec(want), spec(text));
    }
    assert_eq!(spec("mobilenet_v1").options().get("width"), Ok(Value::Number(1.0)));
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "(mobilenet_v1)?[:=,a-z0-9._ é-]{0,40}") {
        if let Ok(parsed) = text.parse::<Spec>() {
            prop_assert_eq!(spec(&parsed.to_string()), parsed);
        }
    }

    #[test]
    fn any_width_builds(width in 0.001..4.0_f64, h in 1..80_usize, w in 1..80_usize) {
        let graph = graph(&format!("mobilenet_v1:width={width}"), [h, w], 5);
        prop_assert_eq!(graph.output_shape().unwrap().channels(), 5);
    }
}
