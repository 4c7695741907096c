//! The names of other people's state dicts (`fixtures/names/make.py` lists them) and the networks here, one to one.

use std::collections::BTreeMap;

use sepal_formats::FormatError;
use sepal_formats::names::{LoadOptions, Naming, Report, export, load, namings};
use sepal_formats::state::{Named, StateDict};
use sepal_graph::{Error, Graph, Meta, Model, Tensor, Weights};
use sepal_zoo::Spec;

/// Spec, classes, list, whose names.
const CASES: &[(&str, usize, &str, Naming)] = &[
    ("mobilenet_v1", 1000, "timm_mobilenetv1_100", Naming::Timm),
    ("mobilenet_v1:width=1.25", 1000, "timm_mobilenetv1_125", Naming::Timm),
    ("mobilenet_v2", 1000, "timm_mobilenetv2_100", Naming::Timm),
    ("mobilenet_v2:width=1.4", 1000, "timm_mobilenetv2_140", Naming::Timm),
    ("efficientnet_lite0", 1000, "timm_tf_efficientnet_lite0", Naming::Timm),
    ("mobilenet_v4_conv_small", 1000, "timm_mobilenetv4_conv_small", Naming::Timm),
    ("resnet18", 1000, "timm_resnet18", Naming::Timm),
    ("resnet26", 1000, "timm_resnet26", Naming::Timm),
    ("resnet50", 1000, "timm_resnet50", Naming::Timm),
    ("resnext50_32x4d", 1000, "timm_resnext50_32x4d", Naming::Timm),
    ("xception", 1000, "timm_legacy_xception", Naming::Timm),
    ("xception41", 1000, "timm_xception41", Naming::Timm),
    ("xception65", 1000, "timm_xception65", Naming::Timm),
    ("xception71", 1000, "timm_xception71", Naming::Timm),
    ("mobilenet_v3_large", 1000, "timm_mobilenetv3_large_100", Naming::Timm),
    ("mobilenet_v3_small", 1000, "timm_mobilenetv3_small_100", Naming::Timm),
    ("densenet121", 1000, "timm_densenet121", Naming::Timm),
    ("inception_v3", 1000, "timm_inception_v3", Naming::Timm),
    ("mobilenet_v2", 1000, "torchvision_mobilenet_v2", Naming::Torchvision),
    ("mobilenet_v3_large", 1000, "torchvision_mobilenet_v3_large", Naming::Torchvision),
    ("mobilenet_v3_small", 1000, "torchvision_mobilenet_v3_small", Naming::Torchvision),
    ("densenet121", 1000, "torchvision_densenet121", Naming::Torchvision),
    ("resnet34", 1000, "torchvision_resnet34", Naming::Torchvision),
    ("resnet50", 1000, "torchvision_resnet50", Naming::Torchvision),
    ("mobilenet_v1:stem=cifar,data_norm=yes", 10, "bsconv_cifar_mobilenetv1_w1", Naming::Bsconv),
    ("mobilenet_v1:stem=cifar,block=bsconv_u,data_norm=yes", 10, "bsconv_cifar_mobilenetv1_w1_bsconvu", Naming::Bsconv),
    ("mobilenet_v1:data_norm=yes", 1000, "bsconv_mobilenetv1_w1", Naming::Bsconv),
    ("mobilenet_v2:stem=cifar,data_norm=yes", 10, "bsconv_cifar_mobilenetv2_w1", Naming::Bsconv),
    ("mobilenet_v3_large:stem=cifar,data_norm=yes", 10, "bsconv_cifar_mobilenetv3_large_w1", Naming::Bsconv),
    ("mobilenet_v3_small:stem=cifar,data_norm=yes", 10, "bsconv_cifar_mobilenetv3_small_w1", Naming::Bsconv),
    ("resnet20:data_norm=yes", 10, "bsconv_cifar_resnet20", Naming::Bsconv),
    ("resnet20:block=bsconv_u,data_norm=yes", 10, "bsconv_cifar_resnet20_bsconvu", Naming::Bsconv),
    ("resnet20:block=bsconv_s,data_norm=yes", 10, "bsconv_cifar_resnet20_bsconvs_p1d4", Naming::Bsconv),
    ("resnet18:block=bsconv_u,data_norm=yes", 1000, "bsconv_resnet18_bsconvu", Naming::Bsconv),
    ("wrn16_1:data_norm=yes", 10, "bsconv_cifar_wrn16_1", Naming::Bsconv),
    ("wrn16_4:block=bsconv_s,data_norm=yes", 10, "bsconv_cifar_wrn16_4_bsconvs_p1d4", Naming::Bsconv),
    ("espnet_c:p=2,q=3", 20, "espnet_c_p2_q3", Naming::Espnet),
    ("espnet:p=2,q=3,level1=16", 20, "espnet_p2_q3_cityscapes", Naming::Espnet),
    ("espnet:p=2,q=8", 12, "espnet_p2_q8_camvid", Naming::Espnet),
    ("efficientnet_lite0", 1000, "efficientnet_pytorch_lite0", Naming::EfficientnetPytorch),
    ("mobilenet_v1", 1000, "keras_mobilenet", Naming::Keras),
    ("mobilenet_v1", 1000, "keras3_mobilenet", Naming::KerasClasses),
    ("mobilenet_v2", 1000, "keras_mobilenetv2", Naming::Keras),
    ("xception", 1000, "keras_xception", Naming::Keras),
    ("xception", 1000, "keras3_xception", Naming::KerasClasses),
];

fn graph(spec: &str, classes: usize) -> Graph {
    let spec: Spec = spec.parse().unwrap();
    sepal_zoo::build(&spec, None, classes).unwrap()
}

/// A list as names and shapes, a norm's line being its five tensors.
fn list(name: &str) -> Vec<(String, Vec<usize>)> {
    let path = format!("{}/tests/fixtures/names/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let dims = |shape: &str| shape.split('x').filter(|d| !d.is_empty()).map(|d| d.parse().unwrap()).collect();
    let mut list = Vec::new();
    for line in text.lines() {
        if let [name, "norm", channels] = *line.split(' ').collect::<Vec<_>>() {
            for part in ["weight", "bias", "running_mean", "running_var"] {
                list.push((format!("{name}.{part}"), dims(channels)));
            }
            list.push((format!("{name}.num_batches_tracked"), Vec::new()));
        } else {
            let (name, shape) = line.split_once(' ').unwrap();
            list.push((name.to_owned(), dims(shape)));
        }
    }
    list
}

/// Tensors that tell their place in the list.
fn state(list: &[(String, Vec<usize>)], ordered: bool) -> StateDict {
    let named = list.iter().enumerate().map(|(i, (name, shape))| Named {
        name: name.clone(),
        tensor: Tensor::full(shape.clone(), i as f32).unwrap(),
        dtype: "F32",
    });
    StateDict { file: "m.pth".into(), tensors: named.collect(), ordered, ..StateDict::default() }
}

/// The same, as a file that names layers by class if the names are such.
fn state_of(list: &[(String, Vec<usize>)], naming: Naming) -> StateDict {
    StateDict { by_class: naming == Naming::KerasClasses, ..state(list, false) }
}

#[test]
fn every_list_fits_its_network_one_to_one() {
    for &(spec, classes, name, naming) in CASES {
        let graph = graph(spec, classes);
        let mut list = list(name);
        // The names decide and not the order.
        list.reverse();
        let (weights, report) =
            load(&graph, state_of(&list, naming), &LoadOptions::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        // Of the same names for both, timm's are said.
        let shared = naming == Naming::Torchvision && (spec.starts_with("resnet") || spec == "densenet121");
        assert_eq!(report.naming, Some(if shared { Naming::Timm } else { naming }), "{name}");
        assert!(report.reset.is_empty() && report.constant.is_empty(), "{name}: {report:?}");
        assert!(report.ignored.iter().all(|name| name.ends_with("num_batches_tracked")), "{name}");
        weights.check(&graph).unwrap();
        let mut places: Vec<u32> = weights.iter().map(|(_, tensor)| tensor.data()[0] as u32).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len() + report.ignored.len(), list.len(), "{name}: a tensor was used twice or not at all");
    }
}

#[test]
fn what_is_exported_has_the_names_and_shapes_of_the_list_and_comes_back() {
    for &(spec, classes, name, naming) in CASES {
        if matches!(naming, Naming::Keras | Naming::KerasClasses) {
            continue;
        }
        let graph = graph(spec, classes);
        assert!(namings(&graph).unwrap().contains(&naming), "{name}");
        let weights = Weights::formula(&graph).unwrap();
        let model = Model::new(graph, weights, Meta::default()).unwrap();
        let state = export(&model, naming).unwrap();
        let ours: BTreeMap<&str, &[usize]> =
            state.tensors.iter().map(|named| (named.name.as_str(), named.tensor.shape())).collect();
        let list = list(name);
        let tracked = list.iter().any(|(name, _)| name.ends_with("tracked"));
        let theirs: BTreeMap<&str, &[usize]> = list.iter().map(|(n, shape)| (n.as_str(), shape.as_slice())).collect();
        let ours: BTreeMap<_, _> =
            ours.into_iter().filter(|(name, _)| tracked || !name.ends_with("num_batches_tracked")).collect();
        assert_eq!(ours, theirs, "{name}");
        let (back, _) = load(&model.graph, state, &LoadOptions::default()).unwrap();
        assert_eq!(back, model.weights, "{name}");
    }
}

#[test]
fn names_that_nobody_knows_are_taken_in_order_only_if_all_agrees() {
    let graph = graph("mobilenet_v1:width=0.25", 10);
    let list: Vec<(String, Vec<usize>)> = graph
        .params()
        .unwrap()
        .into_iter()
        .enumerate()
        .map(|(i, spec)| (format!("layers.{i}.{}", spec.path.rsplit('.').next().unwrap()), spec.shape))
        .collect();
    let (weights, report) = load(&graph, state(&list, true), &LoadOptions::default()).unwrap();
    assert_eq!(report, Report::default());
    assert_eq!(weights.get("stem.conv.weight").unwrap().data()[0], 0.0);
    assert_eq!(weights.get("classifier.bias").unwrap().data()[0], (list.len() - 1) as f32);
    load(&graph, state(&list, false), &LoadOptions::default()).unwrap_err();
    load(&graph, state(&list[1..], true), &LoadOptions::default()).unwrap_err();
    let mut swapped = list.clone();
    swapped.swap(1, 2);
    load(&graph, state(&swapped, true), &LoadOptions::default()).unwrap_err();
}

#[test]
fn a_mismatch_lists_everything_with_the_nearest_name() {
    let graph = graph("mobilenet_v1", 1000);
    let mut list = list("timm_mobilenetv1_100");
    list[0].0 = "conv_steam.weight".into();
    let at = list.iter().position(|(name, _)| name == "blocks.1.0.conv_pw.weight").unwrap();
    list[at].1 = vec![128, 64, 3, 3];
    list.push(("extra.weight".into(), vec![1]));
    let error = load(&graph, state(&list, true), &LoadOptions::default()).unwrap_err();
    let text = error.to_string();
    for part in [
        "m.pth: the weights do not fit the network `mobilenet_v1 by the names of timm`",
        "missing: `conv_stem.weight` (nearest: `conv_steam.weight`)",
        "unexpected: `conv_steam.weight` (nearest: `conv_stem.weight`)",
        "unexpected: `extra.weight`",
        "`blocks.1.0.conv_pw.weight` should be 128×64×1×1, is 128×64×3×3",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let FormatError::Model { source: Error::Mismatch { missing, unexpected, misshapen, .. }, .. } = error else {
        panic!("{text}")
    };
    assert_eq!((missing.len(), unexpected.len(), misshapen.len()), (1, 2, 1));
}

#[test]
fn a_classifier_for_other_classes_is_reset_on_request_only() {
    let graph = graph("resnet18", 10);
    let list = list("timm_resnet18");
    let error = load(&graph, state(&list, true), &LoadOptions::default()).unwrap_err();
    assert!(error.to_string().contains("`fc.weight` should be 10×512, is 1000×512"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("classifier")));
    let reset = LoadOptions { reset_classifier: true, seed: 7 };
    let (weights, report) = load(&graph, state(&list, true), &reset).unwrap();
    assert_eq!(report.reset, ["classifier.weight", "classifier.bias"]);
    let initial = Weights::init(&graph, 7).unwrap();
    assert_eq!(weights.get("classifier.weight").unwrap(), initial.get("classifier.weight").unwrap());
    assert_eq!(weights.get("stem.conv.weight").unwrap().data()[0], 0.0);

    // Without a classifier at all, as feature extractors are stored.
    let features: Vec<_> = list.iter().filter(|(name, _)| !name.starts_with("fc.")).cloned().collect();
    load(&graph, state(&features, true), &LoadOptions::default()).unwrap_err();
    let (_, report) = load(&graph, state(&features, true), &reset).unwrap();
    assert_eq!(report.reset.len(), 2);

    // Nothing else is forgiven.
    let damaged: Vec<_> = list.iter().skip(1).cloned().collect();
    load(&graph, state(&damaged, true), &reset).unwrap_err();
}

#[test]
fn auxiliary_heads_are_ignored_and_norms_of_keras_may_have_no_scale() {
    let graph = graph("inception_v3", 1000);
    let torchvision = list("torchvision_inception_v3");
    let (weights, report) = load(&graph, state(&torchvision, true), &LoadOptions::default()).unwrap();
    weights.check(&graph).unwrap();
    assert!(report.ignored.iter().any(|name| name == "AuxLogits.fc.weight"));
    for (name, naming) in [("keras_inceptionv3", Naming::Keras), ("keras3_inceptionv3", Naming::KerasClasses)] {
        let state = state_of(&list(name), naming);
        let (weights, report) = load(&graph, state, &LoadOptions::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        weights.check(&graph).unwrap();
        assert_eq!(report.naming, Some(naming), "{name}");
        assert_eq!(report.constant.len(), 94, "{name}: every norm");
    }
}

#[test]
fn both_ways_in_which_keras_counts_lead_to_the_same_layers() {
    // The two lists of a network name the same tensors line by line.
    for (spec, name) in [("mobilenet_v1", "mobilenet"), ("xception", "xception"), ("inception_v3", "inceptionv3")] {
        let graph = graph(spec, 1000);
        let weights = |prefix: &str, naming| {
            let state = state_of(&list(&format!("{prefix}_{name}")), naming);
            load(&graph, state, &LoadOptions::default()).unwrap().0
        };
        assert_eq!(weights("keras", Naming::Keras), weights("keras3", Naming::KerasClasses), "{name}");
    }
}

#[test]
fn sessions_of_keras_count_on_and_norms_may_have_no_scale() {
    let graph = graph("xception", 1000);
    let list: Vec<_> = list("keras_xception")
        .into_iter()
        .filter(|(name, _)| name != "block2_sepconv1_bn.weight")
        .map(|(name, shape)| match name.split_once('.') {
            Some(("conv2d", part)) => (format!("convolution2d_7.{part}"), shape),
            Some((layer, part)) if layer.starts_with("conv2d_") => {
                let n: usize = layer["conv2d_".len()..].parse().unwrap();
                (format!("convolution2d_{}.{part}", n + 95), shape)
            }
            _ => (name, shape),
        })
        .collect();
    let (weights, report) = load(&graph, state(&list, true), &LoadOptions::default()).unwrap();
    assert_eq!(report.constant, ["entry.block1.sep1.bn.weight"]);
    assert_eq!(weights.get("entry.block1.sep1.bn.weight").unwrap().data()[0], 1.0);
    let place = |path: &str| weights.get(path).unwrap().data()[0];
    assert!(place("entry.block1.skip.pointwise.weight") < place("entry.block2.skip.pointwise.weight"));
    assert!(place("entry.block2.skip.pointwise.weight") < place("entry.block3.skip.pointwise.weight"));
}

#[test]
fn a_network_without_names_there_says_which_there_are() {
    let graph = graph("resnet20", 10);
    let weights = Weights::init(&graph, 0).unwrap();
    let model = Model::new(graph, weights, Meta::default()).unwrap();
    let error = export(&model, Naming::Timm).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, FormatError::Naming { .. }) && text.contains("sepal, bsconv"), "{text}");
    for naming in Naming::ALL {
        assert_eq!(Naming::find(naming.name()), Some(naming));
    }
    assert_eq!(Naming::find("tim"), None);
}
