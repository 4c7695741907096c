//! A tiny network and tiny pictures that it can learn.

use std::sync::Arc;

use sepal_data::{Augment, DataError, Dataset, Picture, Splits};
use sepal_graph::{Activation, Builder, Conv2d, Graph, Meta, Model, Shape, Weights};
use sepal_kernels::pool::ThreadPool;
use sepal_train::{CheckpointEvery, Recipe, RunFolder, TrainOptions};

/// Side of the pictures.
pub(crate) const SIDE: usize = 8;

/// Pictures of one colour each with some noise; the colour is the class.
pub(crate) struct Colours {
    pub(crate) pictures: usize,
    pub(crate) classes: Vec<String>,
    /// Pictures whose index is a multiple of this cannot be read.
    pub(crate) bad: Option<usize>,
}

impl Colours {
    pub(crate) fn new(pictures: usize) -> Self {
        let classes = ["red", "green", "blue"].map(String::from).to_vec();
        Self { pictures, classes, bad: None }
    }
}

impl Dataset for Colours {
    fn len(&self) -> usize {
        self.pictures
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> u32 {
        (index % 3) as u32
    }

    fn describe(&self, index: usize) -> String {
        format!("colours/{index}.png")
    }

    fn decode_into(&self, index: usize, picture: &mut Picture) -> sepal_data::Result<()> {
        if self.bad.is_some_and(|bad| index.is_multiple_of(bad)) {
            return Err(DataError::Picture { path: self.describe(index), cause: "truncated".into() });
        }
        let pixel = |at: usize| {
            let noise = (at.wrapping_mul(2_654_435_761) ^ index.wrapping_mul(40_503)) % 97;
            (noise + if at % 3 == index % 3 { 110 } else { 20 }) as u8
        };
        let pixels = (0..SIDE * SIDE * 3).map(pixel).collect();
        *picture = Picture { width: SIDE as u32, height: SIDE as u32, pixels };
        Ok(())
    }
}

pub(crate) fn data(train: Colours, val: Option<usize>, test: Option<usize>) -> Splits {
    let held = |pictures: usize| Arc::new(Colours::new(pictures)) as Arc<dyn Dataset>;
    Splits {
        kind: "colours",
        classes: train.classes.clone(),
        train: Arc::new(train),
        val: val.map(held),
        test: test.map(held),
        notes: Vec::new(),
    }
}

/// A separable network with norms, an odd number of channels and dropout.
pub(crate) fn graph() -> Graph {
    let mut b = Builder::new("tiny");
    let x = b.input("input", Shape::chw(3, SIDE, SIDE).unwrap()).unwrap();
    let layer = |b: &mut Builder, name: &str, x, conv: Conv2d| {
        let x = b.conv(name, x, conv).unwrap();
        let x = b.batch_norm(&format!("{name}_bn"), x).unwrap();
        b.activation(&format!("{name}_act"), x, Activation::Relu).unwrap()
    };
    let x = layer(&mut b, "stem", x, Conv2d::standard(12, 3).stride(2).same());
    let x = layer(&mut b, "depthwise", x, Conv2d::depthwise(12, 3).same());
    let x = layer(&mut b, "pointwise", x, Conv2d::pointwise(19));
    let x = b.global_avg_pool("pool", x).unwrap();
    let x = b.dropout("dropout", x, 0.2).unwrap();
    let x = b.linear("classifier", x, 3).unwrap();
    b.finish(&[x]).unwrap()
}

pub(crate) fn model(recipe: &Recipe) -> Model {
    let graph = graph();
    let weights = Weights::init(&graph, recipe.seed).unwrap();
    Model::new(graph, weights, Meta::default()).unwrap()
}

pub(crate) fn recipe() -> Recipe {
    Recipe {
        model: "tiny".into(),
        size: SIDE,
        epochs: 3,
        batch: 8,
        seed: 5,
        augment: Augment { crop_padding: Some(1), hflip: 0.5, ..Augment::default() },
        ..Recipe::default()
    }
}

pub(crate) fn options(run: Option<RunFolder>, threads: usize, checkpoint: CheckpointEvery) -> TrainOptions {
    TrainOptions { pool: Arc::new(ThreadPool::new(threads).unwrap()), run, checkpoint, ..TrainOptions::default() }
}
