//! ONNX, the format that other tools' networks come in and ours run in elsewhere.
//!
//! [`write()`] makes a file of the standard operator set 17 (layout version 8, which runtimes of the last years read):
//! nodes are named by their paths, initializers by their parameters', the batch dimension is `N`, padding is explicit,
//! and class names, preprocessing and provenance stand in the metadata. Equal models are equal bytes.

mod array;
mod describe;
mod export;
mod external;
mod import;
mod literal;
mod load;
mod meta;
mod proto;
mod scan;

use std::path::Path;

use prost::Message;
use sepal_graph::Model;

use crate::error::{FormatError, Result};
pub use describe::{Description, Value, describe};
pub use export::{ExportOptions, OPSETS};
use external::Folder;

/// The longest file that the format allows; networks beyond it keep their tensors in other files.
const MAX_BYTES: usize = i32::MAX as usize;

/// Reads a model.
///
/// Constants are folded, batch norms kept apart, patterns of several nodes made one operator, and paths taken from the
/// names of weights and nodes. Tensors of sixteen or sixty-four bits become f32; tensors in other files are read if
/// those are within the model's folder.
///
/// # Errors
/// [`FormatError::OnnxOperators`] with every operator that is missing; [`FormatError::Onnx`] for whatever else is wrong
/// or not supported, with its node or tensor; [`FormatError::Protobuf`], [`FormatError::Read`], [`FormatError::Model`].
pub fn read(path: impl AsRef<Path>) -> Result<Model> {
    let path = path.as_ref();
    import::model(&load::file(path)?, &Folder::of(path), &path.display().to_string())
}

/// Reads a model from memory; `name` stands for the file in errors. Tensors in other files are not read.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(bytes: Vec<u8>, name: &str) -> Result<Model> {
    import::model(&load::bytes_of(bytes.into(), name)?, &Folder::none(), name)
}

/// Writes a model, complete or not at all (see [`atomic::write`](crate::atomic::write)).
///
/// # Errors
/// [`FormatError::Model`] if [`Model::check`] refuses it; [`FormatError::Onnx`] for options that cannot be met or a
/// model beyond the format's 2 GiB; [`FormatError::Write`].
pub fn write(model: &Model, path: impl AsRef<Path>, options: &ExportOptions) -> Result<()> {
    let path = path.as_ref();
    let bytes = encode(model, options, &path.display().to_string())?;
    crate::atomic::write(path, |w| w.write_all(&bytes))
}

/// The file's bytes.
///
/// # Errors
/// As [`write()`].
pub fn to_bytes(model: &Model, options: &ExportOptions) -> Result<Vec<u8>> {
    encode(model, options, &model.graph.name)
}

fn encode(model: &Model, options: &ExportOptions, file: &str) -> Result<Vec<u8>> {
    let message = export::model(model, options, file)?;
    let length = message.encoded_len();
    if length > MAX_BYTES {
        let reason = format!("{length} bytes are more than the {MAX_BYTES} that the format allows");
        return Err(FormatError::Onnx { file: file.to_owned(), at: "the model".into(), reason });
    }
    Ok(message.encode_to_vec())
}
