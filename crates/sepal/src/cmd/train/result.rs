//! What a run came to: figures, pictures, and what to do next.

use std::path::{Path, PathBuf};

use anyhow::Context;
use sepal_data::Splits;
use sepal_formats::atomic;
use sepal_report::{Figure, LinePlot, Series, duration, grouped, percent};
use sepal_train::{EpochRow, Metrics, Outcome, Trainer};
use serde::Serialize;

use super::args::Machine;
use crate::cmd::predict::{Class, Predictor};
use crate::failure::Result;
use crate::output::{Output, log};
use crate::scores::Scores;
use crate::target::{model_file, open_model};

/// The result as JSON.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) run: String,
    model: Option<String>,
    network: String,
    epochs: usize,
    pub(crate) stopped: bool,
    /// The set that was measured.
    pub(crate) set: Option<&'static str>,
    pub(crate) images: Option<u64>,
    pub(crate) top1: Option<f64>,
    top5: Option<f64>,
    loss: Option<f64>,
    /// Mean of the last epoch's regulariser.
    ortho: Option<f64>,
    best_epoch: Option<usize>,
    pub(crate) seconds: f64,
    images_per_second: f64,
    /// Share of the training time that steps waited for pictures.
    waited: f64,
    skipped: usize,
    memory_bytes: usize,
    threads: usize,
    example: Option<Example>,
    #[serde(flatten)]
    scores: Option<Scores>,
}

/// A picture and what the model says of it.
#[derive(Serialize)]
struct Example {
    image: String,
    label: String,
    classes: Vec<Class>,
}

/// A finished or interrupted run.
pub(crate) struct Done {
    pub(crate) report: Report,
}

impl Done {
    pub(super) fn new(
        trainer: &Trainer,
        outcome: Outcome,
        data: &Splits,
        run: &Path,
        memory_bytes: usize,
        machine: &Machine,
    ) -> Result<Self> {
        let Outcome { epochs, stopped, seconds, images_per_second, waited, set, metrics, best, .. } = outcome;
        let (history, skipped) = (outcome.history, outcome.skipped);
        let example = match stopped {
            true => None,
            false => example(data, run, machine).unwrap_or_else(|failure| {
                log(format!("note: no example: {}", failure.to_string().trim_end()));
                None
            }),
        };
        let of = |value: fn(&Metrics) -> f64| metrics.as_ref().map(value);
        let report = Report {
            run: run.display().to_string(),
            model: model_file(run).ok().map(|path| path.display().to_string()),
            network: trainer.recipe().model.clone(),
            epochs,
            stopped,
            set,
            images: metrics.as_ref().map(|m| m.images),
            top1: of(|m| m.top1),
            top5: of(|m| m.top5),
            loss: of(|m| m.loss),
            ortho: history.last().and_then(|row| row.ortho),
            best_epoch: best.map(|best| best.epoch),
            seconds,
            images_per_second,
            waited,
            skipped,
            memory_bytes,
            threads: machine.threads.count(),
            example,
            scores: metrics.as_ref().map(|metrics| Scores::new(&data.classes, metrics)),
        };
        Ok(Self { report })
    }

    /// The confusion matrix and the classes' scores, beside the curves that were drawn after every epoch.
    pub(super) fn write_scores(&self, run: &Path) {
        let Some(scores) = &self.report.scores else { return };
        if let Err(error) = scores.write(run) {
            log(format!("note: no confusion matrix: {error}"));
        }
    }

    /// The result for people.
    pub(crate) fn show(&self, out: Output) -> Result {
        let report = &self.report;
        let took = duration(std::time::Duration::from_secs_f64(report.seconds.max(0.0)));
        let miou = report.scores.as_ref().and_then(|scores| scores.miou);
        if let (Some(set), Some(miou), Some(top1), Some(images)) = (report.set, miou, report.top1, report.images) {
            let best = report.best_epoch.map_or(String::new(), |epoch| format!(", of epoch {epoch}"));
            out.text(format!("{set} mIoU {miou:.4} (pixel accuracy {top1:.4}) on {} pictures{best}", grouped(images)))?;
        } else if let (Some(set), Some(top1), Some(top5), Some(images)) =
            (report.set, report.top1, report.top5, report.images)
        {
            let images = grouped(images);
            let best = report.best_epoch.map_or(String::new(), |epoch| format!(", of epoch {epoch}"));
            let f1 = report.scores.as_ref().map_or(String::new(), |scores| format!(", macro F1 {:.4}", scores.mean.f1));
            out.text(format!("{set} accuracy {top1:.4} (top-5 {top5:.4}{f1}) on {images} pictures{best}"))?;
        }
        if !report.stopped {
            out.text(format!(
                "trained {} epochs in {took}, {:.0} images/s, {} of the time waiting for pictures; metrics, curves and \
                 checkpoints in {}",
                report.epochs,
                report.images_per_second,
                percent(report.waited),
                report.run
            ))?;
        }
        if report.skipped > 0 {
            out.text(format!("{} pictures could not be read and were skipped", report.skipped))?;
        }
        if let Some(model) = report.model.as_ref().filter(|_| !report.stopped) {
            out.text(format!("model file {model}"))?;
        }
        if let Some(example) = &report.example
            && let Some(best) = example.classes.first()
        {
            let label =
                if best.name == example.label { String::new() } else { format!(" (it is labelled {})", example.label) };
            out.text(format!("\n{}: this is {}: {:.2}{label}", example.image, with_article(&best.name), best.p))?;
            out.text(format!("try next: {} predict {} {}", program(), quoted(&report.run), quoted(&example.image)))?;
        }
        Ok(())
    }
}

/// Names what is in the first picture of the test (or validation) set. A picture that is no file becomes one in the run
/// folder.
fn example(data: &Splits, run: &Path, machine: &Machine) -> Result<Option<Example>> {
    let Some(set) = data.test.as_ref().or(data.val.as_ref()).filter(|set| !set.is_empty()) else { return Ok(None) };
    if set.mask_classes().is_some() {
        return Ok(None);
    }
    let mut predictor = Predictor::new(&open_model(run)?, machine.threads)?;
    let Some((index, picture)) = (0..set.len()).find_map(|index| Some((index, set.decode(index).ok()?))) else {
        return Ok(None);
    };
    let label = set.classes().get(set.label(index) as usize).cloned().unwrap_or_default();
    let classes = predictor.classify(&picture, 5)?;
    let file = PathBuf::from(set.describe(index));
    let file = if file.is_file() { file } else { save(run, &picture)? };
    Ok(Some(Example { image: file.display().to_string(), label, classes }))
}

fn save(run: &Path, picture: &sepal_data::Picture) -> Result<PathBuf> {
    let path = run.join("test-picture.png");
    let image = image::RgbImage::from_raw(picture.width, picture.height, picture.pixels.clone());
    let image = image.context("the picture has no pixels")?;
    let mut bytes = Vec::new();
    image.write_to(&mut std::io::Cursor::new(&mut bytes), image::ImageFormat::Png)?;
    atomic::write(&path, |w| w.write_all(&bytes))?;
    Ok(path)
}

/// Draws loss and accuracy over the epochs so far.
pub(super) fn write_curves(run: &Path, history: &[EpochRow], set: Option<&'static str>) -> sepal_formats::Result<()> {
    let line = |name: String, value: &dyn Fn(&EpochRow) -> Option<f64>| {
        Series::new(name, history.iter().filter_map(|row| Some((row.epoch as f64, value(row)?))))
    };
    let set = set.unwrap_or("val");
    let loss = vec![
        line("train (smoothed labels)".to_owned(), &|row| Some(row.train_loss)),
        line(set.to_owned(), &|row| row.loss),
    ];
    let accuracy = vec![
        line("train (augmented)".to_owned(), &|row| Some(row.train_top1)),
        line(format!("{set} top-1"), &|row| row.top1),
        line(format!("{set} top-5"), &|row| row.top5),
        line(format!("{set} mIoU"), &|row| row.miou),
    ];
    // Nobody asks which classes a pixel might have, too.
    let masks = history.iter().any(|row| row.miou.is_some());
    let accuracy = accuracy.into_iter().enumerate().filter(|(at, _)| *at < 2 || (*at == 3) == masks);
    let accuracy = accuracy.map(|(_, line)| line).collect();
    let rate = vec![line("learning rate".to_owned(), &|row| Some(row.lr))];
    let panels = vec![
        LinePlot::by_epoch("loss", "nats", None, loss),
        LinePlot::by_epoch("accuracy", "share", Some((0.0, 1.0)), accuracy),
        LinePlot::by_epoch("learning rate", "", None, rate),
    ];
    let svg = Figure { panels, ..Figure::default() }.svg();
    atomic::write(run.join("results.svg"), |w| w.write_all(svg.as_bytes()))
}

/// `an ankle boot`: lower case where only the first letter is a capital.
fn with_article(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().unwrap_or_default();
    let plain = chars.clone().all(|c| c.is_lowercase() || c == ' ') && chars.next().is_some();
    let name = if plain { first.to_lowercase().chain(name.chars().skip(1)).collect() } else { name.to_owned() };
    let vowel = matches!(first.to_ascii_lowercase(), 'a' | 'e' | 'i' | 'o' | 'u');
    format!("{} {name}", if vowel { "an" } else { "a" })
}

/// The program as it was called, to be called again.
pub(crate) fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    if called.contains(['/', '\\']) { quoted(&called) } else { "sepal".to_owned() }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/\\._-+:=@%".contains(c);
    if word.chars().all(plain) && !word.is_empty() {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles() {
        for (name, text) in [
            ("Ankle boot", "an ankle boot"),
            ("Bag", "a bag"),
            ("T-shirt/top", "a T-shirt/top"),
            ("dog", "a dog"),
            ("7", "a 7"),
        ] {
            assert_eq!(with_article(name), text);
        }
    }

    #[test]
    fn words_for_a_shell() {
        assert_eq!((quoted("runs/a-2").as_str(), quoted("it's").as_str()), ("runs/a-2", "'it'\\''s'"));
    }
}
