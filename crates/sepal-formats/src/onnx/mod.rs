//! ONNX, the format that other tools' networks come in and ours run in elsewhere.
//!
//! [`write()`] makes a file of the standard operator set 17 (layout version 8, which runtimes of the last years read):
//! nodes are named by their paths, initializers by their parameters', the batch dimension is `N`, padding is explicit,
//! and class names, preprocessing and provenance stand in the metadata. Equal models are equal bytes.

mod describe;
mod export;
#[allow(dead_code)]
mod literal;
mod load;
#[allow(dead_code)]
mod meta;
#[allow(dead_code)]
mod proto;
mod scan;

use std::path::Path;

use prost::Message;
use sepal_graph::Model;

use crate::error::{FormatError, Result};
pub use describe::{Description, Value, describe};
pub use export::{ExportOptions, OPSETS};

/// The longest file that the format allows; networks beyond it keep their tensors in other files.
const MAX_BYTES: usize = i32::MAX as usize;

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
