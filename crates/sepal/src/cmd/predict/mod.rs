//! `sepal predict`: what is in a picture.

mod overlay;
mod segment;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use sepal_data::{Limits, Preprocess, Scratch, read_picture};
use sepal_graph::{Model, Task};
use sepal_report::Table;
use sepal_runtime::{CompileOptions, Session, compile, session};
use serde::Serialize;

use crate::args;
use crate::failure::{Failure, Result};
use crate::output::{Output, log};
use crate::pictures;
use crate::progress::Progress;
use crate::target::{ModelFile, expect_classifier};
use crate::threads::Threads;

/// Say what is in pictures
///
/// A segmenter writes three files for each picture, whatever its size: a label map (indexed PNG), a mask in the classes' colours, and
/// an overlay of both with a legend.
///
/// Pictures are prepared exactly as they were in training: the model file says how. A picture that cannot be read is
/// reported, and makes the exit code 1 when the others are done.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal predict runs/mobilenet_v1 examples/ankle-boot.png
  sepal predict net.safetensors photos/ 'more/*.jpg' --topk 3 --format csv
  sepal predict runs/espnet street.jpg --out found        writes found/street.{labels,mask,overlay}.png
  sepal predict net.safetensors - --format jsonl          paths on standard input, one a line")]
pub(crate) struct Args {
    #[command(flatten)]
    file: ModelFile,
    #[command(flatten)]
    show: Show,
}

/// Which pictures, and what to say of them.
#[derive(clap::Args, Debug)]
pub(crate) struct Show {
    /// Pictures, folders of pictures, patterns such as 'photos/*.jpg', or - for a list on standard input
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Folder for what a segmenter finds [default: RUN/predictions, of a model file predictions]
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Height and width of the parts in which a segmenter takes larger pictures [default: 2048]
    #[arg(long, value_name = "N", value_parser = args::count)]
    tile: Option<usize>,
    /// How a segmenter's scores grow to the size of the picture where they are fewer
    #[arg(long, value_enum, default_value_t = Grow::Bilinear)]
    upsample: Grow,
    /// Share of the picture that the overlay's colours hide, 0 to 1
    #[arg(long, value_name = "X", default_value_t = 0.5, value_parser = share)]
    opacity: f32,
    /// Classes to name for each picture
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = args::count)]
    topk: usize,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    threads: Threads,
}

/// Ways for scores to grow.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Grow {
    /// Between the four nearest
    Bilinear,
    /// The nearest
    Nearest,
}

fn share(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("must be a number from 0 to 1".to_owned()),
    }
}

/// Forms of the result.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Columns for people
    Table,
    /// A header, then a line for each picture and class
    Csv,
    /// One JSON object, as --json
    Json,
    /// A JSON object a line for each picture
    Jsonl,
}

/// What a picture shows.
#[derive(Debug, Serialize)]
pub(crate) struct Prediction {
    pub(crate) image: String,
    /// Best first.
    pub(crate) classes: Vec<Class>,
}

/// A class and its probability.
#[derive(Debug, Serialize)]
pub(crate) struct Class {
    pub(crate) name: String,
    pub(crate) p: f64,
}

#[derive(Serialize)]
struct Report {
    predictions: Vec<Prediction>,
    errors: Vec<Unread>,
}

#[derive(Serialize)]
struct Unread {
    image: String,
    cause: String,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let model = args.file.open()?;
    show(&model, args.file.path(), &args.show, out)
}

/// Says what the network of `file` sees in pictures.
pub(crate) fn show(model: &Model, file: &Path, args: &Show, out: Output) -> Result {
    if model.meta.task == Task::Segment {
        return segment::run(args, model, file, out);
    }
    let mut predictor = Predictor::new(model, args.threads).map_err(|f| f.context(file.display()))?;
    let paths = pictures::expand(&args.images)?;
    let format = if out.is_json() { Format::Json } else { args.format };
    if format == Format::Csv {
        out.raw("image,rank,class,p")?;
    }
    let bar = Progress::bar(paths.len() as u64, "pictures");
    let mut report = Report { predictions: Vec::new(), errors: Vec::new() };
    for (done, path) in paths.iter().enumerate() {
        match predictor.picture(path, args.topk) {
            Ok(prediction) => {
                match format {
                    Format::Csv => out.raw(csv(&prediction))?,
                    Format::Jsonl => out.raw(serde_json::to_string(&prediction)?)?,
                    Format::Table | Format::Json => {}
                }
                report.predictions.push(prediction);
            }
            Err(error) => {
                let cause = error.to_string();
                bar.line(&format!("error: {cause}"));
                report.errors.push(Unread { image: path.display().to_string(), cause });
            }
        }
        bar.at(done as u64 + 1);
    }
    bar.finish();
    match format {
        Format::Table => out.raw(table(&report.predictions))?,
        Format::Json => out.raw(serde_json::to_string(&report)?)?,
        Format::Csv | Format::Jsonl => {}
    }
    match report.errors.len() {
        0 => Ok(()),
        n => {
            log(format!("{n} of {} pictures could not be read", paths.len()));
            Err(Failure::reported())
        }
    }
}

/// A compiled classifier with the pictures' way in.
pub(crate) struct Predictor {
    session: Session,
    preprocess: Preprocess,
    names: Vec<String>,
    scratch: Scratch,
    input: Vec<f32>,
    logits: Vec<f32>,
}

impl Predictor {
    /// Compiles `model` for one picture at a time.
    pub(crate) fn new(model: &Model, threads: Threads) -> Result<Self> {
        expect_classifier(model)?;
        let Some(stored) = &model.meta.preprocessing else {
            return Err(Failure::failed("the file does not say how pictures become its input")
                .hint("`sepal run` takes tensors that are prepared already"));
        };
        let preprocess = sepal_train::loader_form(stored);
        let plan = Arc::new(compile(model, &CompileOptions::default())?);
        let (input, outputs) = (plan.input_shape().elements(), plan.output_shape().elements());
        if input != preprocess.output_len() {
            let [h, w] = preprocess.size;
            let text = format!("the network takes {}, but pictures are prepared as 3×{h}×{w}", plan.input_shape());
            return Err(Failure::failed(text));
        }
        let names = match model.meta.classes.as_slice() {
            [] => (0..outputs).map(|class| class.to_string()).collect(),
            names => names.to_vec(),
        };
        let session = session(plan, threads.pool()?);
        let (input, logits) = (vec![0.0; input], vec![0.0; outputs]);
        Ok(Self { session, preprocess, names, scratch: Scratch::new(), input, logits })
    }

    /// What the picture at `path` shows.
    pub(crate) fn picture(&mut self, path: &Path, topk: usize) -> anyhow::Result<Prediction> {
        let picture = read_picture(path, &Limits::default())?;
        let classes = self.classify(&picture, topk)?;
        Ok(Prediction { image: path.display().to_string(), classes })
    }

    /// The `topk` most probable classes of a decoded picture, best first.
    pub(crate) fn classify(&mut self, picture: &sepal_data::Picture, topk: usize) -> anyhow::Result<Vec<Class>> {
        self.preprocess.apply(picture, &mut self.scratch, &mut self.input)?;
        self.session.run(&self.input, &mut self.logits)?;
        let probabilities = softmax(&self.logits);
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        // Stable: among equals the class with the lower index comes first, as in evaluation.
        order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
        let class = |index: usize| Class {
            name: self.names.get(index).cloned().unwrap_or_else(|| index.to_string()),
            p: probabilities[index],
        };
        Ok(order.into_iter().take(topk).map(class).collect())
    }
}

fn softmax(logits: &[f32]) -> Vec<f64> {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|&z| f64::from(z - greatest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

fn table(predictions: &[Prediction]) -> Table {
    let mut table = Table::new().left("image").left("class").right("p");
    for prediction in predictions {
        for (rank, class) in prediction.classes.iter().enumerate() {
            let image = if rank == 0 { prediction.image.as_str() } else { "" };
            table.row([image, &class.name, &format!("{:.4}", class.p)]);
        }
    }
    table
}

/// The lines of a picture.
fn csv(prediction: &Prediction) -> String {
    let image = quoted(&prediction.image);
    let line = |(rank, class): (usize, &Class)| format!("{image},{},{},{:.6}", rank + 1, quoted(&class.name), class.p);
    let lines: Vec<String> = prediction.classes.iter().enumerate().map(line).collect();
    lines.join("\n")
}

/// A CSV field (RFC 4180).
pub(crate) fn quoted(text: &str) -> String {
    match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_even_for_great_logits() {
        let p = softmax(&[1000.0, 999.0, -1000.0]);
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12 && p[0] > 0.73 && p[2] == 0.0);
    }

    #[test]
    fn fields_with_commas_are_quoted() {
        assert_eq!((quoted("a,\"b\""), quoted("c d")), ("\"a,\"\"b\"\"\"".to_owned(), "c d".to_owned()));
    }
}
