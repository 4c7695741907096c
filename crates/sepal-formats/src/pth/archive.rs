//! The zip archive: `data.pkl`, and one file per storage under `data/`.

use std::collections::HashSet;
use std::io::{Read, Seek};

use zip::{CompressionMethod, ZipArchive};

use super::tensor::{Place, Storages, of_storage};
use super::value::{Heap, Node};
use super::{Loaded, pickle};
use crate::error::{FormatError, Result};
use crate::source::Source;
use crate::tensors::DType;

/// Largest pickle read: values only, the numbers lie elsewhere.
const MAX_PICKLE: u64 = 64 << 20;
/// Entries of an archive; one per tensor.
const MAX_ENTRIES: usize = 1 << 17;
/// Bytes that compressed storages may take together once they are not. `torch.save` compresses nothing.
const MAX_INFLATED: u64 = 256 << 20;

pub(super) fn load<R: Read + Seek>(mut source: Source<R>) -> Result<Loaded<R>> {
    let file = source.name.clone();
    let len = source.len;
    let wrong = |reason: String| FormatError::Pth { file: file.clone(), reason };
    let mut archive =
        ZipArchive::new(source.reader()).map_err(|e| wrong(format!("the zip archive is damaged: {e}")))?;
    if archive.len() > MAX_ENTRIES {
        return Err(wrong(format!("the archive has {} entries, at most {MAX_ENTRIES} are read", archive.len())));
    }
    let names = archive.file_names_raw().filter_map(|name| std::str::from_utf8(name).ok());
    let pickles = names.filter(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
    let Some(at) = pickles.min_by_key(|name| name.len()).map(str::to_owned) else {
        return Err(wrong("the archive holds no data.pkl: torch.save did not write it".to_owned()));
    };
    let prefix = at.strip_suffix("data.pkl").unwrap_or_default().to_owned();
    if archive.index_for_name_raw(format!("{prefix}constants.pkl").as_bytes()).is_some() {
        return Err(wrong("it is TorchScript, a program; save the module's state_dict() instead".to_owned()));
    }
    let mut entry = |name: &str, limit: u64| -> Result<Option<Vec<u8>>> {
        let Some(index) = archive.index_for_name_raw(name.as_bytes()) else { return Ok(None) };
        let entry = archive.by_index(index).map_err(|e| wrong(format!("`{name}` cannot be read: {e}")))?;
        if entry.size() > limit {
            return Err(wrong(format!("`{name}` has {} bytes, at most {limit} are read", entry.size())));
        }
        let mut bytes = Vec::new();
        // The size stated may be a lie.
        let read = entry.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|e| wrong(format!("`{name}` cannot be read: {e}")))?;
        if bytes.len() as u64 > limit {
            return Err(wrong(format!("`{name}` has more than the {limit} bytes it may have")));
        }
        Ok(Some(bytes))
    };
    if entry(&format!("{prefix}byteorder"), 16)?.is_some_and(|order| order.trim_ascii() == b"big") {
        return Err(wrong("its numbers are big-endian, which is not read".to_owned()));
    }
    let Some(stream) = entry(&at, MAX_PICKLE)? else {
        return Err(wrong(format!("`{at}` cannot be read")));
    };
    let mut heap = Heap::default();
    let root = pickle::load(&mut Source::bytes(&stream, &format!("{file}, {at}")), &mut heap)?;
    drop(stream);

    let mut storages = Storages::new();
    let mut left = MAX_INFLATED;
    let mut seen = HashSet::new();
    for storage in heap.storages().filter(|storage| seen.insert(storage.key.as_str())) {
        let name = format!("{prefix}data/{}", storage.key);
        let Some(index) = archive.index_for_name_raw(name.as_bytes()) else { continue };
        let raw = archive.by_index_raw(index).map_err(|e| wrong(format!("`{name}` cannot be read: {e}")))?;
        let place = match (raw.compression(), raw.data_start()) {
            (CompressionMethod::Stored, Some(offset)) if !raw.encrypted() => {
                Place::At { offset, bytes: raw.size().min(raw.compressed_size()) }
            }
            _ => {
                drop(raw);
                // Views may begin anywhere; nobody has more elements than the storage is said to have.
                let size = match heap.node(storage.class) {
                    Some(Node::Global(class)) => of_storage(class).map_or(0, DType::bytes),
                    _ => 0,
                };
                let limit = storage.elements.saturating_mul(size).min(left);
                let entry = archive.by_index(index).map_err(|e| wrong(format!("`{name}` cannot be read: {e}")))?;
                let mut bytes = Vec::new();
                let read = entry.take(limit).read_to_end(&mut bytes);
                read.map_err(|e| wrong(format!("`{name}` cannot be read: {e}")))?;
                left -= bytes.len() as u64;
                Place::Held(bytes)
            }
        };
        if let Place::At { offset, bytes } = place
            && offset.checked_add(bytes).is_none_or(|end| end > len)
        {
            return Err(wrong(format!("`{name}` should end beyond the file: it was cut short")));
        }
        storages.insert(storage.key.clone(), place);
    }
    drop(archive);
    Ok(Loaded { source, heap, root, storages, layout: "zip" })
}
