//! What a command is about: a network of the registry, or a model file.

use std::path::{Path, PathBuf};

use clap::Args;
use sepal_formats::FormatError;
use sepal_formats::names::{self, LoadOptions};
use sepal_graph::{Graph, Meta, Model, Shape, Task, Weights};
use sepal_zoo::Spec;

use crate::args::{self, Size};
use crate::failure::{Failure, Result};
use crate::output::log;

/// File name extensions that no network's name has.
const EXTENSIONS: [&str; 7] = ["safetensors", "onnx", "pth", "pt", "h5", "keras", "npy"];

/// A network by name or from a file, and the form it is looked at in.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// A network's name with options, such as mobilenet_v1:width=0.5,between=none, a model file (.safetensors,
    /// .onnx) or a run folder
    #[arg(value_name = "SPEC|FILE")]
    target: String,
    /// Input size in pixels: 224, or 192x256 (height × width) [default: the network's or file's own]
    #[arg(long, value_name = "N|HxW", visible_alias = "img-size", alias = "imgsz")]
    size: Option<Size>,
    /// Number of classes of a SPEC; a file has its own
    #[arg(long, value_name = "N", value_parser = args::classes)]
    classes: Option<usize>,
    /// The network that a file of weights alone (.pth, .h5, .safetensors) belongs to
    #[arg(long, value_name = "SPEC")]
    model: Option<String>,
}

impl Target {
    /// The name or path as given.
    pub(crate) fn name(&self) -> &str {
        &self.target
    }

    /// Its structure, with `classes` where neither the command line nor the file says how many there are; `None` stands
    /// for the network's own default.
    pub(crate) fn graph(&self, classes: Option<usize>) -> Result<Graph> {
        match self.open()? {
            Opened::Spec(spec) => self.build(&spec, classes),
            Opened::File(model) => self.resize(model.graph),
        }
    }

    /// Structure and weights: those of the file, or random ones from `seed`.
    pub(crate) fn model(&self, classes: Option<usize>, seed: u64) -> Result<Model> {
        match self.open()? {
            Opened::Spec(spec) => {
                let graph = self.build(&spec, classes)?;
                let weights = Weights::init(&graph, seed)?;
                Ok(Model::new(graph, weights, Meta { task: spec.network().task, ..Meta::default() })?)
            }
            Opened::File(model) => {
                let Model { graph, weights, meta } = *model;
                Ok(Model { graph: self.resize(graph)?, weights, meta })
            }
        }
    }

    fn open(&self) -> Result<Opened> {
        if let Some(spec) = &self.model {
            let size = self.size.map(|size| size.0);
            let model = load_weights(Path::new(&self.target), &spec.parse()?, size, self.classes)?;
            return Ok(Opened::File(Box::new(model)));
        }
        let name = self.target.split(':').next().unwrap_or_default();
        if sepal_zoo::find(name).is_err() && looks_like_a_file(&self.target) {
            let model = open_model(Path::new(&self.target))?;
            if self.classes.is_some() {
                return Err(Failure::usage(
                    "--classes is for a SPEC: the number of classes of a file is in its weights",
                ));
            }
            return Ok(Opened::File(Box::new(model)));
        }
        Ok(Opened::Spec(Box::new(self.target.parse()?)))
    }

    fn build(&self, spec: &Spec, classes: Option<usize>) -> Result<Graph> {
        let classes = match self.classes.or(classes) {
            Some(classes) => classes,
            None => spec.defaults()?.classes,
        };
        Ok(sepal_zoo::build(spec, self.size.map(|size| size.0), classes)?)
    }

    fn resize(&self, graph: Graph) -> Result<Graph> {
        let Some(Size([height, width])) = self.size else { return Ok(graph) };
        resized(&graph, height, width).map_err(|failure| failure.context(&self.target))
    }
}

/// A model file, and the network it belongs to where it holds weights alone.
#[derive(Args, Clone, Debug)]
pub(crate) struct ModelFile {
    /// A model file (.safetensors, .onnx), a run folder, or a file of weights (.pth, .h5) with --model
    file: PathBuf,
    /// The network that a file of weights belongs to
    #[arg(long, value_name = "SPEC")]
    model: Option<String>,
    /// Height and width of that network's input [default: the network's own]
    #[arg(long, value_name = "N|HxW", requires = "model", visible_alias = "img-size", alias = "imgsz")]
    size: Option<Size>,
    /// Classes of that network; another number than the file's resets the classifier
    #[arg(long, value_name = "N", requires = "model", value_parser = args::classes)]
    classes: Option<usize>,
}

impl ModelFile {
    /// The path as given.
    pub(crate) fn path(&self) -> &Path {
        &self.file
    }

    /// Reads the file; weights alone go into the network that `--model` names.
    pub(crate) fn open(&self) -> Result<Model> {
        match &self.model {
            None => open_model(&self.file),
            Some(spec) => {
                let spec: Spec = spec.parse()?;
                let size = self.size.map(|size| size.0);
                load_weights(&self.file, &spec, size, self.classes)
            }
        }
    }
}

/// The network of a spec with the weights of a file that holds no network. `classes` other than the file's reset the
/// classifier.
pub(crate) fn load_weights(
    path: &Path,
    spec: &Spec,
    size: Option<[usize; 2]>,
    classes: Option<usize>,
) -> Result<Model> {
    let count = match classes {
        Some(classes) => classes,
        None => spec.defaults()?.classes,
    };
    let graph = sepal_zoo::build(spec, size, count)?;
    let state = sepal_formats::read_state(path)?;
    let options = LoadOptions { reset_classifier: classes.is_some(), seed: 0 };
    let (weights, report) = names::load(&graph, state, &options)?;
    if !report.reset.is_empty() {
        log(format!("{}: starting anew: {}", path.display(), report.reset.join(", ")));
    }
    let task = spec.network().task;
    Ok(Model::new(graph, weights, Meta { task, ..Meta::default() })?)
}

enum Opened {
    Spec(Box<Spec>),
    File(Box<Model>),
}

/// The network on pictures of another size.
pub(crate) fn resized(graph: &Graph, height: usize, width: usize) -> Result<Graph> {
    let channels = graph.input_shape()?.channels();
    Ok(graph.with_input_shape(Shape::chw(channels, height, width)?)?)
}

/// Opens a model file or run folder.
pub(crate) fn open_model(path: &Path) -> Result<Model> {
    sepal_formats::open(path).map_err(|error| not_opened(path, error))
}

/// Why a model file could not be opened, with what to do about it.
pub(crate) fn not_opened(path: &Path, error: FormatError) -> Failure {
    let hint = match &error {
        _ if !path.exists() => "train one with `sepal train`; `sepal models` lists the networks that have names",
        FormatError::WeightsOnly { .. } | FormatError::NoNetwork { .. } => {
            "name the network they belong to with --model SPEC"
        }
        _ => return error.into(),
    };
    Failure::from(error).hint(hint)
}

/// Refuses a network that does not say what a whole picture shows.
pub(crate) fn expect_classifier(model: &Model) -> Result {
    let output = model.graph.output_shape()?;
    if model.meta.task == Task::Classify && output.rank() == 1 {
        return Ok(());
    }
    let name = &model.graph.name;
    Err(Failure::failed(format!("`{name}` is no classifier: its output is {output}, scores for every place of a map"))
        .hint("`sepal run` writes them as a tensor"))
}

/// The model file that a path stands for: itself, or the weights of a run folder.
pub(crate) fn model_file(path: &Path) -> Result<PathBuf> {
    if path.is_dir() { Ok(sepal_formats::run_weights(path)?) } else { Ok(path.to_owned()) }
}

fn looks_like_a_file(text: &str) -> bool {
    let path = Path::new(text);
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    path.exists() || text.contains(['/', '\\']) || extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_specs_are_told_apart() {
        assert!(looks_like_a_file("runs/net") && looks_like_a_file("none.ONNX") && looks_like_a_file("."));
        assert!(!looks_like_a_file("mobilenet_v9") && !looks_like_a_file("mobilenet_v1:width=0.5"));
    }
}
