//! The layout before version 1.6 (2020): pickles of a magic number, a version, facts about the machine, the object and the
//! storages' keys, then for each key a count and the bytes.

use std::collections::HashMap;
use std::io::{Read, Seek};

use super::tensor::{Place, Storages, of_storage};
use super::value::{Heap, Node, Value};
use super::{Loaded, pickle};
use crate::error::{FormatError, Result};
use crate::source::Source;
use crate::tensors::DType;

/// The pickle of 0x1950a86a20f9469cfc6c after its protocol number.
const MAGIC: [u8; 13] = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];
const PROTOCOL: i64 = 1001;

pub(super) fn load<R: Read + Seek>(mut source: Source<R>) -> Result<Loaded<R>> {
    let file = source.name.clone();
    let wrong = |reason: String| FormatError::Pth { file: file.clone(), reason };
    if source.len < 2 + MAGIC.len() as u64 {
        return Err(wrong(format!("{} bytes are too few: it was cut short", source.len)));
    }
    let [_, _, magic @ ..] = source.array::<15>()?;
    if magic != MAGIC {
        return Err(wrong("it is a pickle, but not one that torch.save wrote".to_owned()));
    }
    let mut scratch = Heap::default();
    let version = pickle::load(&mut source, &mut scratch)?;
    if version != Value::Int(PROTOCOL) {
        return Err(wrong(format!("its version is not {PROTOCOL}")));
    }
    let facts = pickle::load(&mut source, &mut scratch)?;
    if let Some(Node::Dict(facts)) = scratch.node(facts)
        && facts.iter().any(|&(key, value)| scratch.text(key) == Some("little_endian") && value == Value::Bool(false))
    {
        return Err(wrong("its numbers are big-endian, which is not read".to_owned()));
    }
    let mut heap = Heap::default();
    let root = pickle::load(&mut source, &mut heap)?;
    let keys = pickle::load(&mut source, &mut scratch)?;
    let Some(keys) = scratch.sequence(keys) else {
        return Err(wrong("the list of its storages is no list".to_owned()));
    };
    let size = |class| match heap.node(class) {
        Some(Node::Global(class)) => of_storage(class).map(DType::bytes),
        _ => None,
    };
    let sizes: HashMap<&str, Option<u64>> = heap.storages().map(|s| (s.key.as_str(), size(s.class))).collect();
    let mut storages = Storages::new();
    for &key in keys {
        let Some(key) = scratch.text(key) else {
            return Err(wrong("the key of a storage is no string".to_owned()));
        };
        // Without a type its length in bytes is unknown, and so where the next begins.
        let size = match sizes.get(key) {
            Some(Some(size)) => *size,
            Some(None) => return Err(wrong(format!("the elements of storage `{key}` are of a type that is not read"))),
            None => break,
        };
        let cut =
            |left: u64| wrong(format!("storage `{key}` does not fit into the {left} bytes left: it was cut short"));
        if source.left() < 8 {
            return Err(cut(source.left()));
        }
        let elements = u64::from_le_bytes(source.array()?);
        let bytes = elements.checked_mul(size).filter(|&n| n <= source.left()).ok_or_else(|| cut(source.left()))?;
        storages.insert(key.to_owned(), Place::At { offset: source.at, bytes });
        source.seek(source.at + bytes)?;
    }
    Ok(Loaded { source, heap, root, storages, layout: "pickle" })
}
