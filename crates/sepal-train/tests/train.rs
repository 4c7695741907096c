//! Training learns, reports what it does, and refuses what cannot be trained.

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use common::{Colours, data, model, options, recipe};
use sepal_data::Skipped;
use sepal_graph::{Protocol, Sharing};
use sepal_train::{
    BatchReport, Callbacks, CheckpointEvery, EpochReport, Error, EvalOptions, Observer, Ortho, Outcome, Recipe,
    RunFolder, Start, TrainOptions, Trainer, evaluate,
};

#[derive(Default)]
struct Log {
    start: Option<Start>,
    steps: Vec<u64>,
    rates: Vec<f64>,
    losses: Vec<f64>,
    skipped: Vec<String>,
    epochs: Vec<(usize, Option<&'static str>, bool)>,
    measured: usize,
}

impl Observer for Log {
    fn start(&mut self, start: &Start) {
        self.start = Some(*start);
    }

    fn batch(&mut self, batch: &BatchReport<'_>) {
        self.steps.push(batch.step);
        self.rates.push(batch.lr);
        self.losses.push(batch.loss);
        assert!(batch.batch <= batch.batches && batch.images > 0 && batch.epoch <= batch.epochs);
    }

    fn skipped(&mut self, skipped: &Skipped) {
        self.skipped.push(format!("{}: {}", skipped.path, skipped.cause));
    }

    fn measured(&mut self, done: usize, total: usize) {
        assert!(done <= total);
        self.measured += 1;
    }

    fn epoch(&mut self, epoch: &EpochReport<'_>) {
        assert_eq!(epoch.history.len(), epoch.row.epoch);
        self.epochs.push((epoch.row.epoch, epoch.set, epoch.best));
    }
}

fn run(recipe: &Recipe, data: &sepal_data::Splits, observer: &mut dyn Observer) -> sepal_train::Result<Outcome> {
    Trainer::with_options(model(recipe), data, recipe, TrainOptions::default())?.run(observer, &AtomicBool::new(false))
}

#[test]
fn closures_watch_and_stop_a_run() {
    let recipe = Recipe { epochs: 3, ..recipe() };
    let data = data(Colours::new(24), Some(6), None);
    let (mut batches, mut epochs) = (0, Vec::new());
    let mut trainer = Trainer::new(model(&recipe), &data, &recipe).unwrap();
    let mut callbacks = Callbacks::new()
        .on_batch(|_| {
            batches += 1;
            ControlFlow::Continue(())
        })
        .on_epoch(|epoch| {
            epochs.push(epoch.row.epoch);
            if epoch.row.epoch == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    let outcome = trainer.fit(&mut callbacks).unwrap();
    drop(callbacks);
    assert_eq!((outcome.stopped, outcome.epochs, epochs.as_slice()), (true, 2, &[1, 2][..]));
    let per_epoch = batches / 2;
    // In the middle of an epoch, and on to the end, which leaves the weights of a run that was never stopped.
    let mut whole = Trainer::new(model(&recipe), &data, &recipe).unwrap();
    assert!(!whole.fit(&mut ()).unwrap().stopped);
    let mut parts = Trainer::new(model(&recipe), &data, &recipe).unwrap();
    let mut first = Callbacks::new().on_batch(|_| ControlFlow::Break(()));
    assert_eq!(parts.fit(&mut first).unwrap().epochs, 0);
    let outcome = parts.fit(&mut ()).unwrap();
    assert!(!outcome.stopped && per_epoch > 1 && (0.0..=1.0).contains(&outcome.waited));
    assert!(outcome.history.iter().all(|row| row.images_per_second > 0.0 && (0.0..=1.0).contains(&row.waited)));
    assert!(parts.model().unwrap().weights == whole.model().unwrap().weights);
    assert!(parts.best_model().unwrap().weights == whole.best_model().unwrap().weights);
}

#[test]
fn what_is_measured_and_kept_is_the_moving_average() {
    let recipe = Recipe { epochs: 2, ema_decay: 0.9, ..recipe() };
    let sets = data(Colours::new(24), Some(9), None);
    let mut trainer = Trainer::new(model(&recipe), &sets, &recipe).unwrap();
    let outcome = trainer.fit(&mut ()).unwrap();
    let averaged = trainer.model().unwrap();
    let bare = Recipe { ema_decay: 0.0, ..recipe.clone() };
    let mut without = Trainer::new(model(&bare), &sets, &bare).unwrap();
    without.fit(&mut ()).unwrap();
    assert!(averaged.weights != without.model().unwrap().weights);
    let pool: Arc<dyn sepal_kernels::pool::Pool> = Arc::new(sepal_kernels::pool::Serial);
    let options = EvalOptions { batch: recipe.batch, ..EvalOptions::default() };
    let metrics = evaluate(&averaged, sets.val.as_ref().unwrap(), &pool, &options, &mut ()).unwrap();
    let last = outcome.history.last().unwrap();
    assert_eq!((Some(metrics.loss), Some(metrics.top1)), (last.loss, last.top1));
}

#[test]
fn the_regulariser_falls_and_is_written_down() {
    let ortho = Some(Ortho { alpha: 0.1, paths: Some(vec!["pointwise.weight".into()]) });
    let recipe = Recipe { epochs: 4, ortho, ..recipe() };
    let data = data(Colours::new(48), Some(6), None);
    let dir = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(&dir.path().join("run"), &recipe).unwrap();
    let run = options(Some(folder), 2, CheckpointEvery::Epoch);
    let mut trainer = Trainer::with_options(model(&recipe), &data, &recipe, run).unwrap();
    let history = trainer.run(&mut (), &AtomicBool::new(false)).unwrap().history;
    let values: Vec<f64> = history.iter().map(|row| row.ortho.unwrap()).collect();
    // 19 rows of 12 values cannot all be orthonormal: ‖WWᵀ − I‖² is at least the 7 directions that are missing.
    let least = 0.1 * 7.0_f64.sqrt();
    assert!(values.is_sorted_by(|a, b| a > b) && values[3] >= least && values[3] < 2.0 * least, "{values:?}");
    let table = std::fs::read_to_string(dir.path().join("run/results.csv")).unwrap();
    assert!(table.lines().next().unwrap().contains(",train/ortho,"));
    assert!(table.lines().nth(4).unwrap().contains(&format!(",{:.6},", values[3])), "{table}");
    let none = Recipe { ortho: Some(Ortho::default()), ..recipe };
    let error = Trainer::with_options(model(&none), &data, &none, TrainOptions::default()).err().unwrap();
    assert!(error.to_string().contains("ortho.paths"), "{error}");
}

#[test]
fn what_is_easy_is_learnt_completely() {
    let recipe = Recipe { epochs: 12, ..recipe() };
    let data = data(Colours::new(96), Some(15), Some(30));
    let mut log = Log::default();
    let mut trainer = Trainer::with_options(model(&recipe), &data, &recipe, TrainOptions::default()).unwrap();
    let outcome = trainer.run(&mut log, &AtomicBool::new(false)).unwrap();
    let metrics = outcome.metrics.unwrap();
    assert_eq!((metrics.top1, metrics.top5, metrics.images), (1.0, 1.0, 30));
    assert_eq!(outcome.set, Some("test"));
    assert_eq!((outcome.epochs, outcome.stopped, outcome.skipped), (12, false, 0));
    assert_eq!(outcome.best.unwrap().top1, 1.0);
    assert!(outcome.images_per_second > 0.0 && outcome.seconds > 0.0);
    assert_eq!(log.start.unwrap(), Start { epoch: 0, batch: 0, epochs: 12, batches: 12, pictures: 96 });
    assert_eq!(log.steps, (1..=144).collect::<Vec<_>>());
    assert_eq!(log.epochs.len(), 12);
    assert!(log.epochs.iter().all(|epoch| epoch.1 == Some("val")) && log.epochs[0].2 && log.measured > 0);
    assert!((log.rates[0] - 0.05 / 6.0).abs() < 1e-12 && (log.rates[5] - 0.05).abs() < 1e-12);
    assert!(log.losses[140] < log.losses[0]);

    let model = trainer.model().unwrap();
    assert_eq!(model.meta.classes, ["red", "green", "blue"]);
    assert_eq!(model.meta.preprocessing.as_ref().unwrap().size, [8, 8]);
    let again = evaluate(
        &model,
        data.test.as_ref().unwrap(),
        &(std::sync::Arc::new(sepal_kernels::pool::Serial) as std::sync::Arc<dyn sepal_kernels::pool::Pool>),
        &EvalOptions { batch: 7, ..EvalOptions::default() },
        &mut (),
    )
    .unwrap();
    assert_eq!(again.top1, 1.0);
    assert!(again.classes.iter().all(|class| class.accuracy() == 1.0 && class.images == 10));

    let memory = trainer.memory();
    assert!(memory.optimizer == memory.gradients && memory.ema == memory.parameters && memory.activations > 0);
    assert!(memory.total() > memory.activations);
}

#[test]
fn without_a_validation_set_the_test_set_is_watched_and_the_last_weights_count() {
    let mut log = Log::default();
    let outcome = run(&recipe(), &data(Colours::new(24), None, Some(6)), &mut log).unwrap();
    assert_eq!(outcome.set, Some("test"));
    assert!(outcome.best.is_none());
    assert!(log.epochs.iter().all(|epoch| epoch.1 == Some("test") && !epoch.2));
    assert_eq!(outcome.metrics.unwrap().top1, outcome.history[2].top1.unwrap());
    let outcome = run(&recipe(), &data(Colours::new(24), None, None), &mut log).unwrap();
    assert!(outcome.metrics.is_none() && outcome.set.is_none() && outcome.history[0].top1.is_none());
    let outcome = run(&recipe(), &data(Colours::new(24), Some(6), None), &mut log).unwrap();
    assert_eq!(outcome.set, Some("val"));
    assert_eq!(outcome.metrics.unwrap().top1, outcome.best.unwrap().top1);
}

#[test]
fn pictures_that_cannot_be_read_are_said_once_and_counted_every_epoch() {
    let bad = Colours { bad: Some(7), ..Colours::new(30) };
    let mut log = Log::default();
    let outcome = run(&recipe(), &data(bad, None, Some(6)), &mut log).unwrap();
    assert_eq!(log.skipped.len(), 5);
    assert!(log.skipped.contains(&"colours/14.png: truncated".to_owned()), "{:?}", log.skipped);
    assert_eq!(outcome.skipped, 5);
    assert!(outcome.history.iter().all(|row| row.skipped == 5));

    let bad = Colours { bad: Some(7), ..Colours::new(30) };
    let strict = Recipe { strict: true, ..recipe() };
    let text = run(&strict, &data(bad, None, Some(6)), &mut ()).unwrap_err().to_string();
    assert!(text.contains("colours/") && text.contains("truncated"), "{text}");

    let given = sepal_train::Preprocessing { mean: Some([0.5; 3]), std: Some([0.25; 3]), ..Default::default() };
    let all_bad = Colours { bad: Some(1), ..Colours::new(30) };
    let recipe = Recipe { preprocessing: given, ..recipe() };
    let error = run(&recipe, &data(all_bad, None, None), &mut ()).unwrap_err();
    assert!(matches!(error, Error::NoPictures { pictures: 30, .. }), "{error}");
}

#[test]
fn what_diverges_says_so() {
    let recipe = Recipe { lr: Some(1e30), warmup_epochs: 0.0, epochs: 6, ..recipe() };
    let error = run(&recipe, &data(Colours::new(48), None, Some(6)), &mut ()).unwrap_err();
    assert!(matches!(error, Error::Diverged { .. }), "{error}");
    assert!(error.to_string().contains("learning rate"), "{error}");
}

#[test]
fn network_recipe_and_data_must_fit() {
    let mut two = Colours::new(24);
    two.classes.pop();
    let text = run(&recipe(), &data(two, None, None), &mut ()).unwrap_err().to_string();
    assert!(text.contains("3 outputs") && text.contains("2 classes"), "{text}");
    let larger = Recipe { size: 16, ..recipe() };
    let text = run(&larger, &data(Colours::new(24), None, None), &mut ()).unwrap_err().to_string();
    assert!(text.contains("3×8×8") && text.contains("3×16×16"), "{text}");
    let text = run(&recipe(), &data(Colours::new(1), None, None), &mut ()).unwrap_err().to_string();
    assert!(text.contains("one picture"), "{text}");
    let text = run(&Recipe { batch: 0, ..recipe() }, &data(Colours::new(9), None, None), &mut ()).unwrap_err();
    assert!(text.to_string().contains("batch is 0"), "{text}");
}

#[test]
fn the_last_batch_is_never_of_one() {
    // 17 pictures in eights: 8 and 9.
    let mut log = Log::default();
    run(&recipe(), &data(Colours::new(17), None, None), &mut log).unwrap();
    assert_eq!(log.steps, (1..=6).collect::<Vec<_>>());
}

#[test]
fn frozen_weights_stay_and_the_others_learn() {
    let recipe = Recipe { freeze: vec!["depthwise.*".into()], ema_decay: 0.0, ..recipe() };
    let before = model(&recipe);
    let mut trainer =
        Trainer::with_options(before.clone(), &data(Colours::new(24), None, None), &recipe, TrainOptions::default())
            .unwrap();
    trainer.run(&mut (), &AtomicBool::new(false)).unwrap();
    let after = trainer.model().unwrap();
    let changed = |path: &str| before.weights.get(path).unwrap() != after.weights.get(path).unwrap();
    assert!(!changed("depthwise.weight"));
    assert!(changed("pointwise.weight") && changed("stem.weight") && changed("classifier.bias"));
}

#[test]
fn what_a_protocol_shares_stays_bit_for_bit() {
    for protocol in Protocol::ALL.into_iter().filter(|protocol| *protocol != Protocol::Soft) {
        // The average must not round what stays either.
        let recipe = Recipe { protocol: Some(protocol), ema_decay: 0.9, ..recipe() };
        let before = model(&recipe);
        let sharing = Sharing::new(protocol, &before.graph).unwrap();
        let mut trainer = Trainer::new(before.clone(), &data(Colours::new(24), Some(6), None), &recipe).unwrap();
        trainer.fit(&mut ()).unwrap();
        for after in [trainer.model().unwrap(), trainer.best_model().unwrap()] {
            let changed = |path: &str| before.weights.get(path).unwrap() != after.weights.get(path).unwrap();
            assert!(sharing.shared.iter().all(|spec| !changed(&spec.path)), "{protocol}");
            assert!(sharing.private.iter().all(|spec| changed(&spec.path)), "{protocol}");
        }
    }
    let recipe = Recipe { protocol: Some(Protocol::Soft), ..recipe() };
    let refused = Trainer::new(model(&recipe), &data(Colours::new(24), None, None), &recipe).err().unwrap();
    assert!(refused.to_string().contains("gates"), "{refused}");
}

#[test]
fn threads_and_workers_do_not_change_a_bit() {
    let data = data(Colours::new(45), Some(9), None);
    let mut models = Vec::new();
    for (threads, workers) in [(1, 1), (2, 3), (4, 2)] {
        let recipe = Recipe { workers, ..recipe() };
        let options = options(None, threads, CheckpointEvery::Epoch);
        let mut trainer = Trainer::with_options(model(&recipe), &data, &recipe, options).unwrap();
        trainer.run(&mut (), &AtomicBool::new(false)).unwrap();
        models.push(trainer.model().unwrap());
    }
    assert!(models[0] == models[1] && models[1] == models[2]);
}
