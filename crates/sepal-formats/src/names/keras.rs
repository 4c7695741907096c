//! Names of `keras.applications`, by the layers' names (`.h5`) and by their classes (Keras 3's `.weights.h5`).

use sepal_graph::{Graph, Op};

use super::map::{Map, blocks};
use super::torch::inception_units;
use super::{Naming, Table};

/// Layers that Keras names by class and number: the class, and what older versions called it.
const NUMBERED: [(&str, &[&str]); 5] = [
    ("conv2d", &["conv2d", "convolution2d"]),
    ("depthwise_conv2d", &["depthwise_conv2d"]),
    ("separable_conv2d", &["separable_conv2d"]),
    ("batch_normalization", &["batch_normalization", "batch_normalization_v1", "batchnormalization"]),
    ("dense", &["dense"]),
];

pub(super) const TABLES: &[Table] = &[
    Table { naming: Naming::Keras, families: &["mobilenet_v1"], fill: |m, _, _| mobilenet_v1(m) },
    Table { naming: Naming::Keras, families: &["mobilenet_v2"], fill: |m, _, _| mobilenet_v2(m) },
    Table { naming: Naming::Keras, families: &["xception"], fill: |m, _, graph| xception(m, graph) },
    Table { naming: Naming::Keras, families: &["inception_v3"], fill: |m, _, _| inception(m) },
    Table { naming: Naming::KerasClasses, families: &[], fill: by_class },
];

fn mobilenet_v1(m: &mut Map) {
    m.list(&[("stem.conv", "conv1"), ("stem.bn", "conv1_bn")]);
    m.conv("classifier", "conv_preds");
    for n in 1..=13 {
        for (part, name) in [
            ("depthwise", "conv_dw_{}"),
            ("depthwise_bn", "conv_dw_{}_bn"),
            ("pointwise", "conv_pw_{}"),
            ("bn", "conv_pw_{}_bn"),
        ] {
            m.add(format!("block{n}.{part}"), name.replace("{}", &n.to_string()));
        }
    }
}

fn mobilenet_v2(m: &mut Map) {
    m.list(&[("stem.conv", "Conv1"), ("stem.bn", "bn_Conv1"), ("head.conv", "Conv_1"), ("head.bn", "Conv_1_bn")]);
    m.add("classifier", "predictions");
    for n in 1..=17 {
        let name = if n == 1 { "expanded_conv".to_owned() } else { format!("block_{}", n - 1) };
        for part in ["expand", "depthwise", "project"] {
            m.add(format!("block{n}.{part}"), format!("{name}_{part}"));
            m.add(format!("block{n}.{part}_bn"), format!("{name}_{part}_BN"));
        }
    }
}

fn xception(m: &mut Map, graph: &Graph) {
    let middle = blocks(graph, "middle.block");
    for conv in 1..=2 {
        m.add(format!("entry.conv{conv}.conv"), format!("block1_conv{conv}"));
        m.add(format!("entry.conv{conv}.bn"), format!("block1_conv{conv}_bn"));
    }
    let mut block = |path: &str, number: usize| {
        for sep in 1..=3 {
            let name = format!("block{number}_sepconv{sep}");
            m.add(format!("{path}.sep{sep}.depthwise"), format!("{name}.depthwise"));
            m.add(format!("{path}.sep{sep}.pointwise"), format!("{name}.pointwise"));
            m.add(format!("{path}.sep{sep}.bn"), format!("{name}_bn"));
        }
    };
    for n in 1..=3 {
        block(&format!("entry.block{n}"), n + 1);
    }
    for n in 1..=middle {
        block(&format!("middle.block{n}"), n + 4);
    }
    block("exit.block1", middle + 5);
    block("exit", middle + 6);
    // The skip connections have no names of their own.
    for (i, path) in ["entry.block1", "entry.block2", "entry.block3", "exit.block1"].into_iter().enumerate() {
        m.add(format!("{path}.skip.pointwise"), format!("conv2d.{i}"));
        m.add(format!("{path}.skip.bn"), format!("batch_normalization.{i}"));
    }
    m.add("classifier", "predictions");
}

fn inception(m: &mut Map) {
    for (i, (path, _)) in inception_units().into_iter().enumerate() {
        m.add(format!("{path}.conv"), format!("conv2d.{i}"));
        m.add(format!("{path}.bn"), format!("batch_normalization.{i}"));
    }
    m.add("classifier", "predictions");
}

/// Every layer by its class and its place among those of its class. Keras lists layers by their distance to the output,
/// the farthest first, and those of equal distance as they were made.
fn by_class(m: &mut Map, family: &str, graph: &Graph) {
    let mut depth = vec![0usize; graph.nodes.len()];
    for (id, node) in graph.iter().collect::<Vec<_>>().into_iter().rev() {
        let here = depth.get(id.index()).copied().unwrap_or(0);
        for input in &node.inputs {
            if let Some(input) = depth.get_mut(input.index()) {
                *input = (*input).max(here + 1);
            }
        }
    }
    let mut order: Vec<usize> = (0..depth.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(depth.get(i).copied().unwrap_or(0)));
    let mut counts = [0usize; NUMBERED.len()];
    let mut next = |class: &str| {
        let at = NUMBERED.iter().position(|(name, _)| *name == class).unwrap_or(0);
        let count = counts.get_mut(at).map_or(0, |n| std::mem::replace(n, *n + 1));
        format!("{class}.{count}")
    };
    // Keras has one layer for a depthwise convolution and the pointwise one after it where nothing stands between.
    let separable = family == "xception";
    for node in order.into_iter().filter_map(|i| graph.nodes.get(i)) {
        let scope = |name: &str| node.path.strip_suffix(name).and_then(|s| s.strip_suffix('.'));
        match &node.op {
            Op::Conv2d(conv) if conv.groups > 1 => match scope("depthwise") {
                Some(scope) if separable => {
                    let name = next("separable_conv2d");
                    m.add(format!("{scope}.depthwise"), format!("{name}.depthwise"));
                    m.add(format!("{scope}.pointwise"), format!("{name}.pointwise"));
                }
                _ => m.add(node.path.clone(), next("depthwise_conv2d")),
            },
            Op::Conv2d(_) if separable && scope("pointwise").is_some_and(|scope| !scope.ends_with("skip")) => {}
            Op::Conv2d(_) => m.add(node.path.clone(), next("conv2d")),
            Op::BatchNorm(_) => m.add(node.path.clone(), next("batch_normalization")),
            // MobileNet's classifier is a convolution there.
            Op::Linear(_) if family == "mobilenet_v1" => {
                let name = next("conv2d");
                m.conv(&node.path, &name);
            }
            Op::Linear(_) => m.add(node.path.clone(), next("dense")),
            _ => {}
        }
    }
}

/// For every name whose layer Keras numbered, the name with the layer's class and its rank among those numbers: sessions
/// count on, so that `conv2d_95` may be a network's first.
pub(super) fn ranked<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<Option<String>> {
    let split = |name: &'a str| {
        let (layer, rest) = name.split_once('.')?;
        let numbered = layer.rsplit_once('_').and_then(|(base, n)| Some((base, n.parse::<u64>().ok()?)));
        let class = |base: &str| NUMBERED.iter().position(|(_, names)| names.contains(&base));
        let (class, number) = match (class(layer), numbered) {
            (Some(class), _) => (class, 0),
            (None, Some((base, number))) => (class(base)?, number),
            (None, None) => return None,
        };
        Some((class, number, rest))
    };
    let mut numbers = vec![std::collections::BTreeMap::new(); NUMBERED.len()];
    for (class, number, _) in names.clone().filter_map(split) {
        if let Some(numbers) = numbers.get_mut(class) {
            numbers.insert(number, 0);
        }
    }
    for numbers in &mut numbers {
        numbers.values_mut().enumerate().for_each(|(i, rank)| *rank = i);
    }
    names
        .map(|name| {
            let (class, number, rest) = split(name)?;
            let rank = numbers.get(class)?.get(&number)?;
            Some(format!("{}.{rank}.{rest}", NUMBERED.get(class)?.0))
        })
        .collect()
}
