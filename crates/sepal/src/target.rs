//! What a command is about: a network of the registry, or a model file.

use std::path::{Path, PathBuf};

use clap::Args;
use sepal_graph::{Graph, Meta, Model, Shape, Task, Weights};
use sepal_zoo::Spec;

use crate::args::{self, Size};
use crate::failure::{Failure, Result};

/// File name extensions that no network's name has.
const EXTENSIONS: [&str; 7] = ["safetensors", "onnx", "pth", "pt", "h5", "keras", "npy"];

/// A network by name or from a file, and the form it is looked at in.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// A network's name with options, such as mobilenet_v1:width=0.5,between=none, a model file (.safetensors) or a
    /// run folder
    #[arg(value_name = "SPEC|FILE")]
    target: String,
    /// Input size in pixels: 224, or 192x256 (height × width) [default: the network's or file's own]
    #[arg(long, value_name = "N|HxW", visible_alias = "img-size", alias = "imgsz")]
    size: Option<Size>,
    /// Number of classes of a SPEC; a file has its own
    #[arg(long, value_name = "N", value_parser = args::classes)]
    classes: Option<usize>,
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
    sepal_formats::open(path).map_err(|error| {
        let missing = !path.exists();
        let failure = Failure::from(error);
        match missing {
            true => failure.hint("train one with `sepal train`; `sepal models` lists the networks that have names"),
            false => failure,
        }
    })
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
