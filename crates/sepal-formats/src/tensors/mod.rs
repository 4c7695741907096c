//! Named f32 tensors and a map of strings in one file: the safetensors container.
//!
//! What the native model file and a training checkpoint have in common. The layout is the published one (8 bytes of
//! little-endian header length, a JSON header, the tensors' bytes), so any safetensors reader opens these files.
//!
//! Read and written here rather than by the `safetensors` crate for three reasons: a lying header is answered with
//! which tensor and which byte, which that crate's errors do not carry; tensors stream from the file into their final
//! buffer without the whole file in memory; and the metadata is written in sorted order, so that equal content gives
//! equal bytes. The crate serves the tests as an oracle.

mod header;
mod write;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use crate::error::{FormatError, Result};
use crate::source::Source;

pub(crate) use header::{DType, Entry, Header, MAX_RANK};
pub(crate) use write::write_f32;
pub use write::{to_writer, write};

/// Bytes of the number at the start that says how long the header is.
const LENGTH_BYTES: u64 = 8;
/// Longest header read: room for a hundred thousand tensors and a graph of any size seen in practice.
const MAX_HEADER: u64 = 32 << 20;

/// A tensor as it stands in a file: unlike [`sepal_graph::Tensor`] it may be empty, or as large as the file, as the
/// flat state of a training is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// Dimensions; none for a scalar.
    pub shape: Vec<usize>,
    /// Values, row-major, as many as the product of `shape`.
    pub data: Vec<f32>,
}

/// What a file of tensors holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// The strings beside the tensors.
    pub metadata: BTreeMap<String, String>,
    /// Tensors by name. Whatever their type in the file, values are f32: F16 and BF16 widened, which is exact, F64 and
    /// integers rounded to the nearest.
    pub tensors: BTreeMap<String, Stored>,
}

/// Reads the file at `path`.
///
/// # Errors
/// One variant of [`FormatError`] for each way in which the header can contradict itself or the file's length; no
/// buffer is larger than what the file's own length backs.
pub fn read(path: impl AsRef<Path>) -> Result<Contents> {
    read_source(&mut Source::open(path.as_ref())?)
}

/// The strings beside the tensors of the file at `path`; the tensors are not read.
///
/// # Errors
/// As [`read`], of the header.
pub fn read_metadata(path: impl AsRef<Path>) -> Result<BTreeMap<String, String>> {
    Ok(header(&mut Source::open(path.as_ref())?)?.metadata)
}

/// Reads from memory; `name` stands for the file in errors.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Contents> {
    read_source(&mut Source::bytes(bytes, name))
}

fn read_source<R: Read>(source: &mut Source<R>) -> Result<Contents> {
    let header = header(source)?;
    let mut tensors = BTreeMap::new();
    for entry in header.entries {
        let data = entry.data(source)?;
        tensors.insert(entry.name, Stored { shape: entry.shape, data });
    }
    Ok(Contents { metadata: header.metadata, tensors })
}

/// The header, checked; the source is then at the data of its first entry.
pub(crate) fn header<R: Read>(source: &mut Source<R>) -> Result<Header> {
    if source.len < LENGTH_BYTES {
        return Err(FormatError::TooShort { file: source.name.clone(), len: source.len });
    }
    let declared = u64::from_le_bytes(source.array()?);
    if declared > source.left() {
        return Err(FormatError::HeaderLength { file: source.name.clone(), declared, len: source.len });
    }
    let length = match usize::try_from(declared) {
        Ok(length) if declared <= MAX_HEADER => length,
        _ => {
            return Err(FormatError::HeaderTooLarge { file: source.name.clone(), declared, limit: MAX_HEADER });
        }
    };
    let text = source.take(length)?;
    header::parse(&text, source.left(), &source.name)
}
