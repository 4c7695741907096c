//! The native model file: one `.safetensors` that is enough to predict.
//!
//! The tensors are the weights under their parameter paths, F32, in PyTorch's order. The metadata holds, as strings:
//!
//! | key | value |
//! |---|---|
//! | `format` | `pt`: other tools read from it that the tensors are in PyTorch's order |
//! | `sepal.version` | version of this layout, a whole number; 1 today |
//! | `sepal.graph` | the [`Graph`] as JSON |
//! | `sepal.meta` | the [`Meta`] as JSON: task, class names, preprocessing, provenance |
//!
//! Tensors stand in the order of their paths and keys in alphabetic order, so that equal models are equal bytes.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use sepal_graph::{Graph, Meta, Model, Tensor, Weights};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bundle::file as bundle;
use crate::error::{FormatError, Result};
use crate::tensors::{self, Contents};

pub(crate) const FORMAT: &str = "format";
const VERSION: &str = "sepal.version";
const GRAPH: &str = "sepal.graph";
const META: &str = "sepal.meta";
/// The layout that this version writes, and the latest that it reads.
const LAYOUT: u32 = 1;

/// What reading tolerates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Accept weights that are NaN or infinite, or running variances that are negative, for looking into a training
    /// that diverged. Such a model predicts nothing.
    pub allow_not_finite: bool,
}

/// Reads a model.
///
/// # Errors
/// The variant of [`FormatError`] that says what is wrong and where: the file's structure, the metadata, a graph that
/// is not valid, tensors missing, unexpected or of the wrong shape (all of them, with the nearest names), weights that
/// are not finite.
pub fn read(path: impl AsRef<Path>) -> Result<Model> {
    read_with(path, &ReadOptions::default())
}

/// Reads a model with options.
///
/// # Errors
/// As [`read`].
pub fn read_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Model> {
    let path = path.as_ref();
    assemble(tensors::read(path)?, &path.display().to_string(), options)
}

/// Reads a model from memory; `name` stands for the file in errors.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(bytes: &[u8], name: &str, options: &ReadOptions) -> Result<Model> {
    assemble(tensors::from_bytes(bytes, name)?, name, options)
}

/// Writes a model, complete or not at all (see [`atomic::write`](crate::atomic::write)).
///
/// # Errors
/// [`FormatError::Model`] if [`Model::check`] refuses it, which [`read`] would too; [`FormatError::Write`].
pub fn write(model: &Model, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let file = || path.display().to_string();
    model.check().map_err(|source| FormatError::Model { file: file(), source })?;
    crate::atomic::write(path, |w| to_writer(model, w))
}

/// The file's bytes.
///
/// # Errors
/// As [`write()`].
pub fn to_bytes(model: &Model) -> Result<Vec<u8>> {
    let file = || model.graph.name.clone();
    model.check().map_err(|source| FormatError::Model { file: file(), source })?;
    let mut bytes = Vec::new();
    to_writer(model, &mut bytes).map_err(|source| FormatError::Write { file: file(), source })?;
    Ok(bytes)
}

fn to_writer(model: &Model, w: impl Write) -> io::Result<()> {
    let json = |key: &str, value: String| (key.to_owned(), value);
    let metadata = BTreeMap::from([
        json(FORMAT, "pt".to_owned()),
        json(VERSION, LAYOUT.to_string()),
        json(GRAPH, to_json(&model.graph)?),
        json(META, to_json(&model.meta)?),
    ]);
    let list: Vec<(&str, &[usize], &[f32])> =
        model.weights.iter().map(|(path, tensor)| (path, tensor.shape(), tensor.data())).collect();
    tensors::to_writer(w, &list, &metadata)
}

pub(crate) fn to_json(value: &impl Serialize) -> io::Result<String> {
    Ok(serde_json::to_string(value)?)
}

fn assemble(contents: Contents, name: &str, options: &ReadOptions) -> Result<Model> {
    let file = || name.to_owned();
    let Contents { metadata, tensors } = contents;
    let no_network = |key| FormatError::NoNetwork { file: file(), key, tensors: tensors.len() };
    if metadata.contains_key(bundle::VERSION) {
        return Err(FormatError::IsBundle { file: file(), domains: bundle::names(&metadata) });
    }
    let found = metadata.get(VERSION).ok_or_else(|| no_network(VERSION))?;
    check_version(found, VERSION, LAYOUT, name)?;
    let graph: Graph = from_json(&metadata, GRAPH, name)?.ok_or_else(|| no_network(GRAPH))?;
    let meta: Meta = from_json(&metadata, META, name)?.unwrap_or_default();
    let wrong = |source| FormatError::Model { file: file(), source };
    let mut weights = Weights::new();
    for (path, stored) in tensors {
        let tensor = Tensor::new(stored.shape, stored.data).map_err(|e| wrong(e.at(&path)))?;
        weights.insert(path, tensor);
    }
    weights.check(&graph).map_err(wrong)?;
    meta.check(&graph).map_err(wrong)?;
    if !options.allow_not_finite {
        weights.check_finite().map_err(wrong)?;
        weights.check_variances(&graph).map_err(wrong)?;
    }
    Ok(Model { graph, weights, meta })
}

/// Refuses the version of a layout that is not among the `known` ones, which count from 1.
pub(crate) fn check_version(found: &str, key: &'static str, known: u32, file: &str) -> Result<()> {
    let file = || file.to_owned();
    match found.parse::<u32>() {
        Ok(version) if (1..=known).contains(&version) => Ok(()),
        Ok(_) => Err(FormatError::Version { file: file(), found: found.to_owned(), known }),
        Err(e) => Err(FormatError::Metadata { file: file(), key, reason: e.to_string() }),
    }
}

pub(crate) fn from_json<T: DeserializeOwned>(
    metadata: &BTreeMap<String, String>,
    key: &'static str,
    name: &str,
) -> Result<Option<T>> {
    let Some(text) = metadata.get(key) else {
        return Ok(None);
    };
    match serde_json::from_str(text) {
        Ok(value) => Ok(Some(value)),
        Err(e) => Err(FormatError::Metadata { file: name.to_owned(), key, reason: e.to_string() }),
    }
}
