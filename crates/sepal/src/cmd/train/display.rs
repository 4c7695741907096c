//! Progress of a run on standard error, and the curves in its folder.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sepal_data::Skipped;
use sepal_report::{bytes, duration, percent, sparkline};
use sepal_train::{BatchReport, EpochReport, EpochRow, Observer, Start};
use serde::Serialize;

use super::args::Show;
use super::result::write_curves;
use super::tensorboard::Events;
use crate::memory;
use crate::output::log;
use crate::progress::Progress;

/// Waiting for pictures longer than this share of the time is worth a word.
const WAITED: f64 = 0.15;

/// Epochs in the curves beside the bar.
const CURVE: usize = 12;

/// Watches a run.
pub(super) struct Display {
    show: Show,
    run: PathBuf,
    events: Option<Events>,
    bar: Option<Progress>,
    started: Instant,
    /// Pictures trained on since then.
    images: usize,
    /// Seconds since then that steps waited for pictures.
    waited: f64,
    /// Losses, each the mean of the epoch so far, for the curve beside the bar.
    losses: Vec<f64>,
    accuracies: Vec<f64>,
    epoch: String,
    told_waiting: bool,
}

impl Display {
    pub(super) fn new(show: Show, run: &Path, events: Option<Events>) -> Self {
        let show = match show {
            Show::Auto if std::io::IsTerminal::is_terminal(&std::io::stderr()) => Show::Bar,
            Show::Auto => Show::Plain,
            show => show,
        };
        Self {
            show,
            run: run.to_owned(),
            events,
            bar: None,
            started: Instant::now(),
            images: 0,
            waited: 0.0,
            losses: Vec::new(),
            accuracies: Vec::new(),
            epoch: String::new(),
            told_waiting: false,
        }
    }

    /// Whether people read along.
    pub(super) fn is_talkative(&self) -> bool {
        matches!(self.show, Show::Auto | Show::Bar | Show::Plain)
    }

    /// Leaves the terminal as it was.
    pub(super) fn finish(&mut self) {
        self.bar = None;
    }

    fn line(&self, text: &str) {
        match (&self.bar, self.show) {
            (Some(bar), _) => bar.line(text),
            (None, Show::Auto | Show::Bar | Show::Plain) => log(text),
            (None, Show::Json | Show::None) => {}
        }
    }

    fn event(&self, event: &impl Serialize) {
        if let (Show::Json, Ok(line)) = (self.show, serde_json::to_string(event)) {
            log(line);
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    Start {
        epoch: usize,
        batch: usize,
        epochs: usize,
        batches: usize,
        pictures: usize,
    },
    Skipped {
        path: &'a str,
        cause: &'a str,
    },
    Epoch {
        #[serde(flatten)]
        row: &'a EpochRow,
        epochs: usize,
        set: Option<&'static str>,
        best: bool,
        images_per_second: f64,
        waited: f64,
    },
}

impl Observer for Display {
    fn start(&mut self, start: &Start) {
        let Start { epoch, batch, epochs, batches, pictures } = *start;
        self.event(&Event::Start { epoch, batch, epochs, batches, pictures });
        if epoch > 0 || batch > 0 {
            self.line(&format!("resumed after {epoch} of {epochs} epochs and {batch} of {batches} batches"));
        }
        self.started = Instant::now();
        if self.show == Show::Bar {
            self.bar = Some(Progress::run(epochs * batches, epoch * batches + batch));
        }
    }

    fn batch(&mut self, batch: &BatchReport<'_>) {
        self.images += batch.images;
        let Some(bar) = &self.bar else { return };
        self.waited += batch.waited;
        let elapsed = self.started.elapsed().as_secs_f64().max(1e-9);
        let rate = self.images as f64 / elapsed;
        self.epoch = format!("epoch {}/{}", batch.epoch, batch.epochs);
        bar.at(batch.step);
        let running = batch.running;
        let curve = |past: &[f64], now| {
            let from = past.len().saturating_sub(CURVE - 1);
            sparkline(past[from..].iter().copied().chain([now]))
        };
        let (loss, accuracy) = (running.loss(), running.accuracy());
        let memory = memory::peak().map_or(String::new(), |peak| format!("  {}", bytes(peak)));
        bar.message(format!(
            "{}  loss {} {loss:.3}  acc {} {accuracy:.3}  {rate:.0} images/s  waiting {:.0} %{memory}",
            self.epoch,
            curve(&self.losses, loss),
            curve(&self.accuracies, accuracy),
            100.0 * self.waited / elapsed,
        ));
    }

    fn skipped(&mut self, skipped: &Skipped) {
        let Skipped { path, cause, .. } = skipped;
        self.event(&Event::Skipped { path, cause });
        self.line(&format!("skipped: {path}: {cause}"));
    }

    fn measured(&mut self, done: usize, total: usize) {
        if let Some(bar) = &self.bar {
            bar.message(format!("{}  measuring {done}/{total}", self.epoch));
        }
    }

    fn epoch(&mut self, epoch: &EpochReport<'_>) {
        let EpochReport { row, history, epochs, set, best, images_per_second, waited, .. } = *epoch;
        self.event(&Event::Epoch { row, epochs, set, best, images_per_second, waited });
        self.losses.push(row.train_loss);
        self.accuracies.push(row.train_top1);
        let left = match epochs.saturating_sub(row.epoch) {
            0 => String::new(),
            n => format!(
                "  {} left",
                duration(Duration::from_secs_f64(row.seconds / row.epoch.max(1) as f64 * n as f64))
            ),
        };
        let digits = epochs.to_string().len();
        let measured = match (set, row.miou.or(row.top1)) {
            (Some(set), Some(figure)) => {
                let what = if row.miou.is_some() { " mIoU" } else { "" };
                format!("  {set}{what} {figure:.4}{}", if best { " best" } else { "" })
            }
            _ => String::new(),
        };
        let wait = if waited >= 0.01 { format!("  {:.0} % waiting", 100.0 * waited) } else { String::new() };
        let ortho = row.ortho.map_or(String::new(), |ortho| format!("  ortho {ortho:.4}"));
        self.line(&format!(
            "epoch {:>digits$}/{epochs}  loss {:.4}{ortho}  train {:.4}{measured}  {images_per_second:.0} images/s{wait}{left}",
            row.epoch, row.train_loss, row.train_top1,
        ));
        if waited > WAITED && !self.told_waiting {
            self.told_waiting = true;
            self.line(&format!(
                "{} of the time is spent waiting for pictures; more --workers may help",
                percent(waited)
            ));
        }
        if let Some(Err(error)) = self.events.as_mut().map(|events| events.epoch(row, set)) {
            self.line(&format!("note: no event of this epoch: {error}"));
        }
        if let Err(error) = write_curves(&self.run, history, set) {
            self.line(&format!("note: no curves: {error}"));
        }
    }
}
