//! Keras weights in HDF5: the `.h5` of `keras.applications` and of whole models, and Keras 3's `.weights.h5`.
//!
//! HDF5 itself is read by the crate `hdf5-pure`. It is young and large, so it is not trusted with a hostile file:
//! nothing is read before shape and element size have been held against the file's length, and should it panic, that is
//! caught here, in one place, and becomes an error.

mod convert;
mod layout;

use std::cell::Cell;
use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sepal_graph::Tensor;

use crate::error::{FormatError, Result};
use crate::source::Source;
use crate::state::StateDict;
use crate::tensors::MAX_RANK;

/// Largest file read; it is held in memory beside the tensors.
const MAX_FILE: u64 = 2 << 30;
/// Elements that any file may ask for, whatever its length: compressed data sets are longer than what holds them.
const FREE_ELEMENTS: u64 = 1 << 26;

/// Entry of a `.keras` archive that holds the weights.
const ENTRY: &str = "model.weights.h5";

/// Whether these first bytes are of a file that this reader takes: HDF5, or the zip of a `.keras` file.
pub(crate) fn matches(first: &[u8]) -> bool {
    first.starts_with(b"\x89HDF\r\n\x1a\n") || first.starts_with(b"PK\x03\x04")
}

/// Reads the weights of a Keras file. Tensors are in PyTorch's order of dimensions and end as PyTorch's do (`weight`,
/// `bias`, `running_mean`, `running_var`) after the layer's name; a separable convolution is two, `NAME.depthwise.weight` and
/// `NAME.pointwise.weight`.
///
/// # Errors
/// [`FormatError::Keras`] for a file that is damaged or has none of the layouts, [`FormatError::Tensor`],
/// [`FormatError::Read`].
pub fn read(path: impl AsRef<Path>) -> Result<StateDict> {
    let path = path.as_ref();
    let name = path.display().to_string();
    let len = Source::open(path)?.len;
    if len > MAX_FILE {
        let reason = format!("it has {len} bytes, at most {MAX_FILE} are read");
        return Err(FormatError::Keras { file: name, reason });
    }
    let fail = |source| FormatError::Read { file: name.clone(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|f| f.take(MAX_FILE).read_to_end(&mut bytes)).map_err(fail)?;
    parse(bytes, &name)
}

/// Reads from memory; `name` stands for the file in errors.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(bytes: &[u8], name: &str) -> Result<StateDict> {
    parse(bytes.to_vec(), name)
}

fn parse(mut bytes: Vec<u8>, name: &str) -> Result<StateDict> {
    if bytes.starts_with(b"PK") {
        bytes = unzip(&bytes, name)?;
    }
    let len = bytes.len() as u64;
    let read = || {
        let wrong = |e: hdf5_pure::Error| keras(name, format!("HDF5: {e}"));
        let file = hdf5_pure::File::from_bytes(bytes).map_err(wrong)?;
        let plan = layout::plan(&file, name)?;
        let mut state = StateDict {
            file: name.to_owned(),
            metadata: plan.metadata,
            ordered: plan.ordered,
            by_class: plan.by_class,
            ..StateDict::default()
        };
        let mut left = len.max(FREE_ELEMENTS);
        let mut seen = std::collections::HashSet::new();
        for part in plan.parts {
            if !seen.insert(part.name.clone()) {
                return Err(FormatError::DuplicateTensor { file: name.to_owned(), tensor: part.name });
            }
            match stored(&file, &part.path, &part.name, name, &mut left)? {
                Stored::Tensor(tensor, dtype) => {
                    let shape = tensor.shape().to_vec();
                    let converted = convert::to_torch(tensor, part.kind);
                    let tensor = converted.map_err(|reason| FormatError::Tensor {
                        file: name.to_owned(),
                        tensor: part.name.clone(),
                        reason: format!("of shape {shape:?}: {reason}"),
                    })?;
                    state.push(part.name, tensor, dtype);
                }
                Stored::Other(what) => state.skip(part.name, what),
            }
        }
        state.skipped.extend(plan.skipped);
        Ok(state)
    };
    GUARDED.set(true);
    // The closure owns what it changes, so nothing half-done is seen after a panic.
    let read = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(false);
    read.unwrap_or_else(|_| Err(keras(name, "the HDF5 reader gave up: the file is damaged".to_owned())))
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside the HDF5 reader, where a panic becomes an error. A program's panic hook may then be
/// silent.
#[must_use]
pub fn panics_are_caught() -> bool {
    GUARDED.get()
}

/// The weights of a `.keras` archive.
fn unzip(bytes: &[u8], name: &str) -> Result<Vec<u8>> {
    let wrong = |reason: String| keras(name, format!("the archive's {ENTRY}: {reason}"));
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).map_err(|e| wrong(e.to_string()))?;
    let index = archive.index_for_name_raw(ENTRY.as_bytes()).ok_or_else(|| wrong("there is none".to_owned()))?;
    let entry = archive.by_index(index).map_err(|e| wrong(e.to_string()))?;
    let mut out = Vec::new();
    // Keras stores without compression; an archive that states more than this is another's.
    let limit = (bytes.len() as u64).max(4 * FREE_ELEMENTS);
    entry.take(limit).read_to_end(&mut out).map_err(|e| wrong(e.to_string()))?;
    Ok(out)
}

fn keras(file: &str, reason: String) -> FormatError {
    FormatError::Keras { file: file.to_owned(), reason }
}

enum Stored {
    Tensor(Tensor, &'static str),
    /// Not numbers, or none: what it is.
    Other(String),
}

/// The data set at `path` as it is stored.
fn stored(file: &hdf5_pure::File, path: &str, tensor: &str, name: &str, left: &mut u64) -> Result<Stored> {
    let wrong = |reason: String| FormatError::Tensor { file: name.to_owned(), tensor: tensor.to_owned(), reason };
    let fail = |e: hdf5_pure::Error| wrong(format!("HDF5: {e}"));
    let set = file.dataset(path).map_err(fail)?;
    let dtype = set.dtype().map_err(fail)?;
    let dtype = match dtype {
        hdf5_pure::DType::F32 => "F32",
        hdf5_pure::DType::F64 => "F64",
        hdf5_pure::DType::I8 => "I8",
        hdf5_pure::DType::I16 => "I16",
        hdf5_pure::DType::I32 => "I32",
        hdf5_pure::DType::I64 => "I64",
        hdf5_pure::DType::U8 => "U8",
        hdf5_pure::DType::U16 => "U16",
        hdf5_pure::DType::U32 => "U32",
        hdf5_pure::DType::U64 => "U64",
        other => return Ok(Stored::Other(format!("elements of HDF5 type {other}"))),
    };
    let shape = set.shape().map_err(fail)?;
    let size = set.element_size().map_err(fail)?;
    let elements = shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d)).filter(|_| shape.len() <= MAX_RANK);
    let taken = elements.filter(|_| size <= 8).and_then(|n| left.checked_sub(n));
    let (Some(elements), Some(rest)) = (elements, taken) else {
        return Err(wrong(format!("{shape:?} elements of {size} bytes are far larger than the file")));
    };
    if elements == 0 {
        return Ok(Stored::Other(format!("a tensor of shape {shape:?}, which has no elements")));
    }
    *left = rest;
    let data = set.read_f32().map_err(fail)?;
    let shape: Vec<usize> = shape.iter().map(|&d| d as usize).collect();
    let tensor = Tensor::new(shape, data).map_err(|e| wrong(e.to_string()))?;
    Ok(Stored::Tensor(tensor, dtype))
}
