//! Writing the container.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;

use serde::Serializer as _;
use serde::ser::SerializeMap;

use super::header::{MAX_RANK, METADATA, RawEntry};
use super::{LENGTH_BYTES, MAX_HEADER};
use crate::atomic;
use crate::error::Result;

/// Floats turned into bytes at a time.
const CHUNK: usize = 1 << 12;

/// Writes `tensors` (name, shape, row-major data) and `metadata` to the file at `path`, complete or not at all (see
/// [`atomic::write`]). Equal arguments give equal bytes.
///
/// State that must not pass through f32, such as a step count or a random generator's u64 words, goes into `metadata`
/// as text.
///
/// # Errors
/// [`FormatError::Write`](crate::FormatError::Write), also for a name given twice, the reserved name `__metadata__`,
/// data that does not have its shape's length, a shape of
/// more than 8 dimensions, and a header too large to be read again.
pub fn write(
    path: impl AsRef<Path>,
    tensors: &[(&str, &[usize], &[f32])],
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    atomic::write(path, |w| to_writer(w, tensors, metadata))
}

/// The same to any writer, for instance a `Vec<u8>`.
///
/// # Errors
/// The writer's, and [`io::ErrorKind::InvalidInput`] for what [`write()`] refuses.
pub fn to_writer(
    mut w: impl Write,
    tensors: &[(&str, &[usize], &[f32])],
    metadata: &BTreeMap<String, String>,
) -> io::Result<()> {
    let mut header = header_text(tensors, metadata)?;
    // Data that starts at a multiple of 8 can be used in place by readers that map the file.
    header.resize(header.len().next_multiple_of(LENGTH_BYTES as usize), b' ');
    if header.len() as u64 > MAX_HEADER {
        return Err(refuse(format!("its header would have {} bytes; {MAX_HEADER} is the limit", header.len())));
    }
    w.write_all(&(header.len() as u64).to_le_bytes())?;
    w.write_all(&header)?;
    for (_, _, data) in tensors {
        write_f32(&mut w, data)?;
    }
    Ok(())
}

/// The values as little-endian bytes.
pub(crate) fn write_f32(w: &mut (impl Write + ?Sized), data: &[f32]) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(CHUNK.min(data.len()) * 4);
    for chunk in data.chunks(CHUNK) {
        buffer.clear();
        buffer.extend(chunk.iter().flat_map(|v| v.to_le_bytes()));
        w.write_all(&buffer)?;
    }
    Ok(())
}

fn header_text(tensors: &[(&str, &[usize], &[f32])], metadata: &BTreeMap<String, String>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut json = serde_json::Serializer::new(&mut text);
    let mut map = json.serialize_map(None)?;
    if !metadata.is_empty() {
        map.serialize_entry(METADATA, metadata)?;
    }
    let mut names = BTreeSet::new();
    let mut begin = 0u64;
    for &(name, shape, data) in tensors {
        if name == METADATA || !names.insert(name) {
            return Err(refuse(format!("the tensor name {name:?} is taken")));
        }
        let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if elements != Some(data.len()) || shape.len() > MAX_RANK {
            return Err(refuse(format!("tensor {name:?} of shape {shape:?} has {} values", data.len())));
        }
        let end = begin + 4 * data.len() as u64;
        let entry = RawEntry {
            dtype: "F32".to_owned(),
            shape: shape.iter().map(|&d| d as u64).collect(),
            data_offsets: (begin, end),
        };
        map.serialize_entry(name, &entry)?;
        begin = end;
    }
    SerializeMap::end(map)?;
    Ok(text)
}

fn refuse(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}
