//! Several batches an update, groups of parameters, the end before the last epoch.

mod common;

use std::sync::atomic::AtomicBool;

use common::{Colours, SIDE, data, model, options, recipe};
use sepal_graph::{Activation, Builder, Conv2d, Meta, Model, Shape, Weights};
use sepal_train::{
    BatchReport, CheckpointEvery, EarlyStopping, Error, FindLr, Observer, ParamGroup, Recipe, RunFolder, Schedule,
    State, StopMetric, TrainOptions, Trainer,
};

/// A network without norms, for which several batches are as good as a large one.
fn plain(recipe: &Recipe) -> Model {
    let mut b = Builder::new("plain");
    let x = b.input("input", Shape::chw(3, SIDE, SIDE).unwrap()).unwrap();
    let x = b.conv("stem", x, Conv2d::standard(12, 3).stride(2).same()).unwrap();
    let x = b.activation("act", x, Activation::Relu).unwrap();
    let x = b.global_avg_pool("pool", x).unwrap();
    let x = b.linear("classifier", x, 3).unwrap();
    let graph = b.finish(&[x]).unwrap();
    let weights = Weights::init(&graph, recipe.seed).unwrap();
    Model::new(graph, weights, Meta::default()).unwrap()
}

/// Which batches had an update with a norm to report.
#[derive(Default)]
struct Norms(Vec<bool>);

impl Observer for Norms {
    fn batch(&mut self, batch: &BatchReport<'_>) {
        self.0.push(batch.grad_norm.is_some());
    }
}

#[test]
fn three_batches_an_update_are_one_of_three_times_the_size() {
    // 45 pictures: 24 and 21, or 8, 8, 8 and 8, 8, 5.
    let data = data(Colours::new(45), None, None);
    let base = Recipe {
        schedule: Schedule::Constant {},
        warmup_epochs: 0.0,
        clip_grad: Some(0.5),
        ema_decay: 0.0,
        ..recipe()
    };
    let train = |recipe: &Recipe| {
        let mut norms = Norms::default();
        let mut trainer = Trainer::with_options(plain(recipe), &data, recipe, TrainOptions::default()).unwrap();
        let memory = trainer.memory();
        trainer.run(&mut norms, &AtomicBool::new(false)).unwrap();
        (trainer.model().unwrap().weights, norms.0, memory.gradients)
    };
    let (large, every, gradients) = train(&Recipe { batch: 24, ..base.clone() });
    assert_eq!(every, [true; 6]);
    let (small, third, twice) = train(&Recipe { batch: 8, accumulate: 3, ..base.clone() });
    assert_eq!(third, [false, false, true].repeat(6));
    assert_eq!(twice, 2 * gradients);
    let (alone, _, _) = train(&Recipe { batch: 8, ..base });
    let mut apart = 0.0_f32;
    for (path, large) in large.iter() {
        for (at, value) in large.data().iter().enumerate() {
            let near = small.get(path).unwrap().data()[at];
            assert!((near - value).abs() < 1e-5, "{path}[{at}]: {near} for {value}");
            apart = apart.max((alone.get(path).unwrap().data()[at] - value).abs());
        }
    }
    assert!(apart > 1e-3, "updates after every batch come to the same: {apart}");
}

#[test]
fn the_last_update_of_an_epoch_takes_what_is_there() {
    // Six batches an epoch.
    let data = data(Colours::new(45), None, None);
    let recipe = Recipe { accumulate: 4, clip_grad: Some(1.0), epochs: 2, ..recipe() };
    let mut norms = Norms::default();
    let mut trainer = Trainer::with_options(model(&recipe), &data, &recipe, TrainOptions::default()).unwrap();
    trainer.run(&mut norms, &AtomicBool::new(false)).unwrap();
    assert_eq!(norms.0, [false, false, false, true, false, true].repeat(2));
}

#[test]
fn the_rate_finder_passes_a_rate_that_learns_and_one_that_does_not() {
    let data = data(Colours::new(45), None, None);
    let recipe = Recipe { accumulate: 2, ..recipe() };
    let find = FindLr { from: 1e-5, to: 1e4, steps: 90 };
    let test = |threads| {
        let options = options(None, threads, CheckpointEvery::Epoch);
        let trainer = Trainer::with_options(model(&recipe), &data, &recipe, options).unwrap();
        let mut done = 0;
        let curve = trainer.find_lr(&find, &mut |step| done = step, &AtomicBool::new(false)).unwrap();
        assert_eq!(curve.points.len(), done);
        curve
    };
    let curve = test(1);
    assert!(curve.diverged && curve.points.len() < 90, "{} points", curve.points.len());
    let lr = curve.suggestion.unwrap();
    assert!((1e-3..10.0).contains(&lr), "{lr}");
    assert!(curve.points.is_sorted_by(|a, b| a.lr < b.lr) && curve.points[0].lr == 1e-5);
    assert_eq!(curve, test(3));
    for (find, words) in [
        (FindLr { from: 0.0, ..find }, "find_lr.from is 0"),
        (FindLr { to: 1e-6, ..find }, "find_lr.to is"),
        (FindLr { steps: 1, ..find }, "find_lr.steps is 1"),
    ] {
        let trainer = Trainer::with_options(model(&recipe), &data, &recipe, TrainOptions::default()).unwrap();
        let error = trainer.find_lr(&find, &mut |_| {}, &AtomicBool::new(false)).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_group_learns_at_a_rate_of_its_own() {
    let data = data(Colours::new(24), None, None);
    let group = ParamGroup { paths: vec!["pointwise.*".into()], lr_factor: 1e-9, weight_decay: None };
    let recipe = Recipe { groups: vec![group], ema_decay: 0.0, ..recipe() };
    let before = model(&recipe);
    let mut trainer = Trainer::with_options(before.clone(), &data, &recipe, TrainOptions::default()).unwrap();
    trainer.run(&mut (), &AtomicBool::new(false)).unwrap();
    let after = trainer.model().unwrap();
    let moved = |path: &str| {
        let pairs = before.weights.get(path).unwrap().data().iter().zip(after.weights.get(path).unwrap().data());
        pairs.fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()))
    };
    assert!(moved("pointwise.weight") < 1e-7 && moved("stem.weight") > 1e-3);
}

#[test]
fn a_run_that_no_longer_improves_ends_and_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    let stop = EarlyStopping { patience: 2, metric: StopMetric::Loss, min_delta: 0.5 };
    let recipe = Recipe { epochs: 9, lr: Some(1e-9), early_stopping: Some(stop), ..recipe() };
    let sets = || data(Colours::new(45), Some(9), Some(9));
    let run = RunFolder::create(&folder, &recipe).unwrap();
    let mut trainer =
        Trainer::with_options(model(&recipe), &sets(), &recipe, options(Some(run), 1, CheckpointEvery::Epoch)).unwrap();
    let outcome = trainer.run(&mut (), &AtomicBool::new(false)).unwrap();
    drop(trainer);
    // The first is the best so far, the two after it are no better.
    assert_eq!((outcome.epochs, outcome.stopped, outcome.set), (3, false, Some("test")));
    let state = State::read(&folder).unwrap();
    let error = Trainer::resume(state, &sets(), options(None, 1, CheckpointEvery::Epoch)).err().unwrap();
    assert!(matches!(error, Error::Finished { epochs: 3, .. }), "{error}");

    let without = data(Colours::new(45), None, Some(9));
    let error = Trainer::with_options(model(&recipe), &without, &recipe, TrainOptions::default()).err().unwrap();
    assert!(error.to_string().contains("val_split"), "{error}");
}
