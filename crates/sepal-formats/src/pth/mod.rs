//! PyTorch's `.pth`: what `torch.save` writes, as a zip archive or, before version 1.6, as a row of pickles.
//!
//! A pickle is a program, and running one from elsewhere is running somebody's code. `pickle` therefore knows only the
//! opcodes that build values, and `value` only the few names that tensors need; everything else becomes an inert
//! object that is carried along and dropped. Nothing named in a file is ever looked up or called.
//!
//! Storages are read straight from the file when their tensors are made, so that memory is that of the tensors; how
//! large those may become is bounded by the file's length (see `tensor`).

mod archive;
mod legacy;
mod pickle;
mod tensor;
mod value;
mod wrapper;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;

use crate::error::{FormatError, Result};
use crate::source::Source;
use crate::state::StateDict;
use tensor::Storages;
use value::Heap;

/// What a file holds once its pickle has been read: values, and where the storages lie.
struct Loaded<R> {
    source: Source<R>,
    heap: Heap,
    root: value::Value,
    storages: Storages,
    /// `zip` or `pickle`.
    layout: &'static str,
}

/// Whether these first bytes are of a file that this reader takes.
pub(crate) fn matches(first: &[u8]) -> bool {
    first.starts_with(b"PK\x03\x04") || matches!(first, [0x80, 2..=5, ..])
}

/// Reads the tensors of a file that `torch.save` wrote: a state dict, a checkpoint that has one under `state_dict_ema`,
/// `state_dict`, `model` or the like, or a module saved whole. `module.` and `_orig_mod.` before every name are removed.
///
/// f16, bf16, f32, f64, integers and booleans become f32, views their own row-major data; tensors without elements and
/// entries that are no tensors are listed in [`StateDict::skipped`].
///
/// # Errors
/// [`FormatError::Pickle`] for a stream that is damaged or uses an opcode `torch.save` does not write,
/// [`FormatError::Pth`] for an archive that lacks a part, big-endian data, TorchScript, or nothing that is a state dict,
/// [`FormatError::Tensor`] for a tensor that its storage cannot fill, [`FormatError::Read`].
pub fn read(path: impl AsRef<Path>) -> Result<StateDict> {
    let path = path.as_ref();
    let name = path.display().to_string();
    // For the check that it is a regular file; its reader has no buffer.
    Source::open(path)?;
    let file = File::open(path).map_err(|source| FormatError::Read { file: name.clone(), source })?;
    assemble(load(BufReader::new(file), &name)?)
}

/// Reads from memory; `name` stands for the file in errors.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(bytes: &[u8], name: &str) -> Result<StateDict> {
    assemble(load(Cursor::new(bytes), name)?)
}

fn load<R: Read + Seek>(reader: R, name: &str) -> Result<Loaded<R>> {
    let mut source = Source::seekable(reader, name)?;
    let mut first = [0; 4];
    let known = source.len >= 4 && {
        source.fill(&mut first)?;
        matches(&first)
    };
    source.seek(0)?;
    match first {
        [b'P', b'K', ..] if known => archive::load(source),
        _ if known => legacy::load(source),
        _ => Err(FormatError::Pth {
            file: name.to_owned(),
            reason: "it begins neither as a zip archive nor as a pickle".to_owned(),
        }),
    }
}

fn assemble<R: Read + Seek>(loaded: Loaded<R>) -> Result<StateDict> {
    let Loaded { mut source, heap, root, storages, layout } = loaded;
    let found = wrapper::find(&heap, root, &source.name)?;
    let mut metadata = BTreeMap::from([("layout".to_owned(), layout.to_owned())]);
    if !found.wrapper.is_empty() {
        metadata.insert("wrapper".to_owned(), found.wrapper.join("."));
    }
    let mut state = StateDict { file: source.name.clone(), metadata, ordered: true, ..StateDict::default() };
    let mut budget = tensor::Budget::new(source.len);
    for (name, entry) in found.entries {
        match entry {
            wrapper::Entry::Tensor(view) => {
                let reading = tensor::Reading { heap: &heap, storages: &storages, budget: &mut budget };
                match reading.materialise(&mut source, view, &name)? {
                    Some((tensor, dtype)) => state.push(name, tensor, dtype),
                    None => state.skip(name, format!("a tensor of shape {:?}, which has no elements", view.size)),
                }
            }
            wrapper::Entry::Other(what) => state.skip(name, what),
        }
    }
    state.strip_prefixes(&["module.", "_orig_mod."]);
    Ok(state)
}
