//! What several tests need.

use std::collections::BTreeMap;

use sepal_graph::{
    Activation, Builder, ColorOrder, Conv2d, Filter, Meta, Model, Preprocessing, Resize, Shape, Task, Weights,
};

/// A small separable classifier with every kind of metadata.
#[allow(dead_code, reason = "each test is a program of its own and needs a part")]
pub(crate) fn model() -> Model {
    let mut b = Builder::new("tiny");
    let x = b.input("input", Shape::chw(3, 8, 8).unwrap()).unwrap();
    let x = b.conv("stem.conv", x, Conv2d::standard(4, 3).stride(2).same()).unwrap();
    let x = b.batch_norm("stem.bn", x).unwrap();
    let x = b.activation("stem.act", x, Activation::Relu).unwrap();
    let x = b.conv("sep.pointwise", x, Conv2d::standard(6, 1)).unwrap();
    let x = b.global_avg_pool("pool", x).unwrap();
    let x = b.linear("classifier", x, 3).unwrap();
    let graph = b.finish(&[x]).unwrap();
    let weights = Weights::formula(&graph).unwrap();
    let meta = Meta {
        task: Task::Classify,
        classes: vec!["cat".into(), "dog \"×\"\n".into(), "鸟".into()],
        colors: vec![[1, 2, 3], [0, 255, 0], [9, 8, 7]],
        preprocessing: Some(Preprocessing {
            size: [8, 8],
            mean: [0.1, 0.485, 1.0 / 3.0],
            std: [0.2, 0.229, 1e-3],
            resize: Resize::ShortSide { crop_pct: 0.875 },
            filter: Filter::Bicubic,
            color_order: ColorOrder::Rgb,
        }),
        provenance: BTreeMap::from([("dataset".into(), "made up".into())]),
    };
    Model::new(graph, weights, meta).unwrap()
}

/// A container from a header text and data, correct or not.
#[allow(dead_code, reason = "each test is a program of its own and needs a part")]
pub(crate) fn container(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}
