//! An interrupted run comes to the same weights, bit for bit.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Colours, data, model, options, recipe};
use sepal_data::{Augment, ColorJitter, ErasingFill, Mix, Policy, RandomErasing, Sampling, Splits};
use sepal_train::{
    BatchReport, CheckpointEvery, EpochReport, Error, Observer, Optimizer, Ortho, Outcome, ParamGroup, Recipe,
    RunFolder, State, Trainer,
};

/// Dies after a step, or after an epoch's checkpoint.
struct Killer {
    step: u64,
}

impl Observer for Killer {
    fn batch(&mut self, batch: &BatchReport<'_>) {
        assert!(batch.step != self.step, "killed");
    }
}

/// Sets the flag that asks a run to stop.
struct Stopper<'a> {
    step: u64,
    stop: &'a AtomicBool,
}

impl Observer for Stopper<'_> {
    fn batch(&mut self, batch: &BatchReport<'_>) {
        if batch.step == self.step {
            self.stop.store(true, Ordering::SeqCst);
        }
    }
}

/// A trainer of a new run in `folder`.
fn start(folder: &Path, recipe: &Recipe, data: &Splits, threads: usize, checkpoint: CheckpointEvery) -> Trainer {
    let run = RunFolder::create(folder, recipe).unwrap();
    Trainer::with_options(model(recipe), data, recipe, options(Some(run), threads, checkpoint)).unwrap()
}

/// The bytes of a file.
fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sets() -> Splits {
    data(Colours::new(45), Some(9), Some(9))
}

fn run_whole(folder: &Path, recipe: &Recipe, data: &Splits, threads: usize) -> Outcome {
    start(folder, recipe, data, threads, CheckpointEvery::Epoch).run(&mut (), &AtomicBool::new(false)).unwrap()
}

fn resume(
    folder: &Path,
    data: &Splits,
    threads: usize,
    every: CheckpointEvery,
    observer: &mut dyn Observer,
) -> Outcome {
    let run = RunFolder::open(folder).unwrap();
    let state = State::read(folder).unwrap();
    let mut trainer = Trainer::resume(state, data, options(Some(run), threads, every)).unwrap();
    trainer.run(observer, &AtomicBool::new(false)).unwrap()
}

/// What must be equal: the models, and the table but for its times.
fn assert_same(whole: &Path, cut: &Path, context: &str) {
    for file in ["weights/last.safetensors", "weights/best.safetensors"] {
        assert!(bytes(&whole.join(file)) == bytes(&cut.join(file)), "{context}: {file} differs");
    }
    let table = |run: &Path| -> Vec<String> {
        let text = String::from_utf8(bytes(&run.join("results.csv"))).unwrap();
        // The time since the start, the speed, and the share of waiting.
        let is_clock = |column: usize| matches!(column, 1 | 9 | 10);
        let cells = |line: &str| -> Vec<String> {
            line.split(',')
                .enumerate()
                .filter(|(column, _)| !is_clock(*column))
                .map(|(_, cell)| cell.to_owned())
                .collect()
        };
        text.lines().flat_map(cells).collect()
    };
    assert_eq!(table(whole), table(cut), "{context}");
}

/// Kills a run at a step, resumes it on another number of threads (and kills that one too), and compares.
fn check_kills(recipe: &Recipe, data: &Splits, every: CheckpointEvery, kills: &[&[u64]]) {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    run_whole(&whole, recipe, data, 2);
    for (number, steps) in kills.iter().enumerate() {
        let cut = dir.path().join(format!("cut{number}"));
        let mut trainer = Some(start(&cut, recipe, data, 1, every));
        for (&step, threads) in steps.iter().zip([3, 1, 2]) {
            let mut trainer = trainer.take().unwrap_or_else(|| {
                let run = RunFolder::open(&cut).unwrap();
                Trainer::resume(State::read(&cut).unwrap(), data, options(Some(run), threads, every)).unwrap()
            });
            let died = catch_unwind(AssertUnwindSafe(|| {
                trainer.run(&mut Killer { step }, &AtomicBool::new(false)).map(|outcome| outcome.epochs)
            }));
            assert!(died.is_err(), "not killed at {step}");
        }
        resume(&cut, data, 3, every, &mut ());
        assert_same(&whole, &cut, &format!("killed at {steps:?}"));
    }
}

#[test]
fn killed_at_any_step_with_states_at_epochs_or_between() {
    // Six batches an epoch: 45 pictures in eights, the last of five.
    let kills: [&[u64]; 6] = [&[1], &[6], &[7], &[9, 14], &[3, 4, 5], &[18]];
    check_kills(&recipe(), &sets(), CheckpointEvery::Epoch, &kills);
    let kills: [&[u64]; 4] = [&[1], &[5, 8, 17], &[6, 13], &[12, 18]];
    check_kills(&recipe(), &sets(), CheckpointEvery::Steps(1), &kills);
    check_kills(&recipe(), &sets(), CheckpointEvery::Steps(4), &[&[6, 11], &[10]]);
}

#[test]
fn every_optimizer_and_no_average() {
    for name in ["adam", "adamw", "rmsprop"] {
        let optimizer = Optimizer::named(name).unwrap();
        let ortho = Some(Ortho { alpha: 0.2, paths: Some(vec!["pointwise.weight".into()]) });
        let recipe = Recipe { optimizer, ema_decay: 0.0, clip_grad: Some(1.0), workers: 3, ortho, ..recipe() };
        check_kills(&recipe, &sets(), CheckpointEvery::Steps(2), &[&[9], &[3, 17]]);
    }
}

#[test]
fn with_everything_that_varies_pictures() {
    let augment = Augment {
        policy: Policy::named("rand"),
        color_jitter: Some(ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }),
        random_erasing: Some(RandomErasing { fill: ErasingFill::Noise, ..RandomErasing::default() }),
        mix: Some(Mix { mixup: 0.4, cutmix: 1.0, p: 0.75, ..Mix::default() }),
        ..recipe().augment
    };
    let sampling = Sampling { balanced: true, repeats: 2 };
    let recipe = Recipe { augment, sampling, accumulate: 2, ..recipe() };
    check_kills(&recipe, &sets(), CheckpointEvery::Steps(1), &[&[2, 9, 17]]);
    let data = data(Colours { bad: Some(4), ..Colours::new(41) }, Some(9), None);
    check_kills(&recipe, &data, CheckpointEvery::Epoch, &[&[9]]);
}

#[test]
fn between_the_batches_of_an_update() {
    let group = ParamGroup { paths: vec!["stem.*".into()], lr_factor: 0.5, weight_decay: Some(0.1) };
    let recipe = Recipe { accumulate: 4, groups: vec![group], clip_grad: Some(1.0), ..recipe() };
    // Updates after 4 and 6 of six batches.
    check_kills(&recipe, &sets(), CheckpointEvery::Steps(1), &[&[2, 4, 9], &[5, 6, 13], &[3, 10]]);
    let data = data(Colours { bad: Some(4), ..Colours::new(41) }, Some(9), None);
    check_kills(&recipe, &data, CheckpointEvery::Steps(1), &[&[3, 9]]);
}

#[test]
fn with_pictures_that_cannot_be_read_and_no_validation_set() {
    let bad = Colours { bad: Some(4), ..Colours::new(41) };
    let data = data(bad, None, Some(9));
    check_kills(&recipe(), &data, CheckpointEvery::Steps(1), &[&[4], &[8, 13]]);
}

#[test]
fn a_stop_finishes_the_batch_and_leaves_a_model_and_a_state() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    run_whole(&whole, &recipe(), &sets(), 1);
    let stop = AtomicBool::new(false);
    let mut trainer = start(&cut, &recipe(), &sets(), 2, CheckpointEvery::Epoch);
    let outcome = trainer.run(&mut Stopper { step: 3, stop: &stop }, &stop).unwrap();
    drop(trainer);
    assert!(outcome.stopped && outcome.epochs == 0 && outcome.metrics.is_none());
    sepal_formats::native::read(cut.join("weights/last.safetensors")).unwrap();
    // At the end of an epoch.
    let stop = AtomicBool::new(false);
    let run = RunFolder::open(&cut).unwrap();
    let mut trainer =
        Trainer::resume(State::read(&cut).unwrap(), &sets(), options(Some(run), 1, CheckpointEvery::Epoch)).unwrap();
    let outcome = trainer.run(&mut Stopper { step: 12, stop: &stop }, &stop).unwrap();
    drop(trainer);
    assert!(outcome.stopped && outcome.epochs == 2);
    let outcome = resume(&cut, &sets(), 2, CheckpointEvery::Epoch, &mut ());
    assert!(!outcome.stopped && outcome.epochs == 3);
    assert_same(&whole, &cut, "stopped twice");
}

#[test]
fn what_cannot_be_resumed_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    run_whole(&run, &recipe(), &sets(), 1);
    let state = State::read(&run).unwrap();
    state.check_recipe(&Recipe { workers: 9, strict: true, ..recipe() }).unwrap();
    let other = Recipe { epochs: 9, lr: Some(0.5), ..recipe() };
    let text = state.check_recipe(&other).unwrap_err().to_string();
    for words in ["another recipe", "epochs: 3 in the run, 9 now", "lr: 0.05 in the run, 0.5 now"] {
        assert!(text.contains(words), "{text}");
    }
    let refused = |state, data: &Splits| Trainer::resume(state, data, options(None, 1, CheckpointEvery::Epoch)).err();
    let text = refused(state, &sets()).unwrap().to_string();
    assert!(text.contains("is finished") && text.contains("--init"), "{text}");

    let text = State::read(dir.path()).unwrap_err().to_string();
    assert!(text.contains("no training state"), "{text}");

    let cut = dir.path().join("cut");
    let died = catch_unwind(AssertUnwindSafe(|| {
        let mut trainer = start(&cut, &recipe(), &sets(), 1, CheckpointEvery::Steps(1));
        trainer.run(&mut Killer { step: 8 }, &AtomicBool::new(false)).map(drop)
    }));
    assert!(died.is_err());
    let text = refused(State::read(&cut).unwrap(), &data(Colours::new(46), Some(9), Some(9))).unwrap().to_string();
    assert!(text.contains("training pictures was 45, is 46"), "{text}");
    let mut renamed = Colours::new(45);
    renamed.classes[2] = "violet".into();
    let text = refused(State::read(&cut).unwrap(), &data(renamed, Some(9), Some(9))).unwrap().to_string();
    assert!(text.contains("classes") && text.contains("violet"), "{text}");
}

#[test]
fn a_damaged_state_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let stop = AtomicBool::new(false);
    let mut trainer = start(&run, &recipe(), &sets(), 1, CheckpointEvery::Epoch);
    trainer.run(&mut Stopper { step: 8, stop: &stop }, &stop).unwrap();
    let file = run.join("state.safetensors");
    let good = bytes(&file);
    for length in [0, 7, 100, good.len() / 2, good.len() - 1] {
        std::fs::write(&file, &good[..length]).unwrap();
        let text = State::read(&run).unwrap_err().to_string();
        assert!(text.contains("state.safetensors"), "{text}");
    }
    // Changes that keep every length.
    for (from, to, words) in [
        ("\"sepal.state\":\"1\"", "\"sepal.state\":\"7\"", "version '7'"),
        ("\"sepal.progress\"", "\"sepal.progless\"", "'sepal.progress' is missing"),
        ("\\\"epoch\\\":1", "\\\"epoch\\\":2", "2 epochs are done and 1 recorded"),
        ("velocity:classifier.bias", "velocity:classifier.bios", "'velocity:classifier.bias' is missing"),
        ("ema:stem.weight", "emu:stem.weight", "'ema:stem.weight' is missing"),
        ("epochs = 3", "epochs = 0", "epochs is 0"),
    ] {
        let mut text = good.clone();
        let at = text.windows(from.len()).position(|window| window == from.as_bytes()).expect(from);
        text[at..at + from.len()].copy_from_slice(to.as_bytes());
        std::fs::write(&file, text).unwrap();
        let resumed = State::read(&run)
            .and_then(|state| Trainer::resume(state, &sets(), options(None, 1, CheckpointEvery::Epoch)).map(drop));
        let error = resumed.unwrap_err().to_string();
        assert!(error.contains(words), "{from}: {error}");
    }
}

/// Takes away the room in the middle of a run.
struct Full<'a> {
    run: &'a Path,
    after: usize,
}

impl Observer for Full<'_> {
    fn epoch(&mut self, epoch: &EpochReport<'_>) {
        if epoch.row.epoch == self.after {
            // Where the temporary of the state would go stands a folder, under every name it tries.
            for attempt in 0..200 {
                let _ = std::fs::create_dir(self.run.join(format!(".state.safetensors.{attempt}.tmp")));
            }
        }
    }
}

#[test]
fn a_checkpoint_that_cannot_be_written_is_an_error_and_the_last_one_serves() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    run_whole(&whole, &recipe(), &sets(), 1);
    let mut trainer = start(&cut, &recipe(), &sets(), 1, CheckpointEvery::Epoch);
    let error = trainer.run(&mut Full { run: &cut, after: 1 }, &AtomicBool::new(false)).unwrap_err();
    drop(trainer);
    assert!(matches!(error, Error::Checkpoint { .. }));
    let text = error.to_string();
    assert!(text.contains("state.safetensors") && text.contains("is intact") && text.contains("--resume"), "{text}");
    assert_eq!(State::read(&cut).unwrap().epochs_done(), 1);
    for attempt in 0..200 {
        std::fs::remove_dir(cut.join(format!(".state.safetensors.{attempt}.tmp"))).unwrap();
    }
    resume(&cut, &sets(), 1, CheckpointEvery::Epoch, &mut ());
    assert_same(&whole, &cut, "no room");
}
