//! From a file to its messages.

use std::fs::File;
use std::path::Path;

use prost::Message;
use prost::bytes::Bytes;

use super::MAX_BYTES;
use super::proto::{GraphProto, ModelProto};
use super::scan;
use crate::error::{FormatError, Result};
use crate::source::Source;

/// Reads and decodes the file at `path`.
pub(super) fn file(path: &Path) -> Result<ModelProto> {
    let mut source: Source<File> = Source::open(path)?;
    let length = check_length(source.len, &source.name)?;
    let bytes = source.take(length)?;
    bytes_of(bytes.into(), &source.name)
}

/// Decodes a file's content. Tensors stored as raw bytes share its memory.
pub(super) fn bytes_of(bytes: Bytes, name: &str) -> Result<ModelProto> {
    check_length(bytes.len() as u64, name)?;
    let damaged = |offset, reason| FormatError::Protobuf { file: name.to_owned(), offset, reason };
    scan::scan(&bytes).map_err(|damage| damaged(damage.offset as u64, damage.reason))?;
    ModelProto::decode(bytes).map_err(|e| damaged(0, e.to_string()))
}

/// The network of a file.
pub(super) fn graph<'a>(model: &'a ModelProto, name: &str) -> Result<&'a GraphProto> {
    model.graph.as_ref().ok_or_else(|| FormatError::Onnx {
        file: name.to_owned(),
        at: "the model".into(),
        reason: "has no graph: it is cut short, or no ONNX file".into(),
    })
}

fn check_length(length: u64, name: &str) -> Result<usize> {
    usize::try_from(length).ok().filter(|&n| n <= MAX_BYTES).ok_or_else(|| FormatError::Protobuf {
        file: name.to_owned(),
        offset: 0,
        reason: format!("{length} bytes are more than the {MAX_BYTES} that the format allows"),
    })
}
