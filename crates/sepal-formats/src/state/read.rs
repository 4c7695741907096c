//! State dicts from safetensors files, and from timm's folders of one.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sepal_graph::Tensor;
use serde_json::Value;

use super::StateDict;
use crate::error::{FormatError, Result};
use crate::source::Source;
use crate::tensors;

/// What timm's folders hold.
const WEIGHTS: &str = "model.safetensors";
const CONFIG: &str = "config.json";
/// Longest configuration read.
const MAX_CONFIG: u64 = 1 << 20;
/// Entries of the configuration that are kept.
const KEPT: [&str; 3] = ["architecture", "num_classes", "pretrained_cfg"];

impl StateDict {
    /// Reads a safetensors file, whoever wrote it.
    ///
    /// # Errors
    /// As [`tensors::read`]; [`FormatError::Model`] for a tensor beyond [`sepal_graph::limits`].
    pub fn read_safetensors(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_source(&mut Source::open(path.as_ref())?)
    }

    /// The same from memory; `name` stands for the file in errors.
    ///
    /// # Errors
    /// As [`StateDict::read_safetensors`].
    pub fn from_safetensors(bytes: &[u8], name: &str) -> Result<Self> {
        Self::from_source(&mut Source::bytes(bytes, name))
    }

    fn from_source<R: Read>(source: &mut Source<R>) -> Result<Self> {
        let header = tensors::header(source)?;
        let mut state = Self { file: source.name.clone(), metadata: header.metadata, ..Self::default() };
        for entry in header.entries {
            let data = entry.data(source)?;
            if data.is_empty() {
                state.skip(entry.name, format!("a tensor of shape {:?}, which has no elements", entry.shape));
                continue;
            }
            let tensor = Tensor::new(entry.shape, data);
            let tensor =
                tensor.map_err(|e| FormatError::Model { file: source.name.clone(), source: e.at(&entry.name) })?;
            state.push(entry.name, tensor, entry.dtype.name());
        }
        state.strip_prefixes(&["module.", "_orig_mod."]);
        Ok(state)
    }

    /// Whether a folder is one of timm's: `model.safetensors`, and perhaps `config.json`.
    pub(crate) fn is_folder(folder: &Path) -> bool {
        folder.join(WEIGHTS).is_file()
    }

    /// Reads such a folder; `architecture`, `num_classes` and `pretrained_cfg` (as JSON) of its configuration become
    /// metadata.
    pub(crate) fn read_folder(folder: &Path) -> Result<Self> {
        let mut state = Self::read_safetensors(folder.join(WEIGHTS))?;
        let path = folder.join(CONFIG);
        if !path.is_file() {
            return Ok(state);
        }
        let file = path.display().to_string();
        let mut text = Vec::new();
        let read = File::open(&path).and_then(|f| f.take(MAX_CONFIG + 1).read_to_end(&mut text));
        read.map_err(|source| FormatError::Read { file: file.clone(), source })?;
        let wrong = |reason: String| FormatError::Metadata { file: file.clone(), key: CONFIG, reason };
        if text.len() as u64 > MAX_CONFIG {
            return Err(wrong(format!("more than {MAX_CONFIG} bytes")));
        }
        let config: Value = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
        for key in KEPT {
            match config.get(key) {
                None => {}
                Some(Value::String(text)) => drop(state.metadata.insert(key.to_owned(), text.clone())),
                Some(value) => drop(state.metadata.insert(key.to_owned(), value.to_string())),
            }
        }
        Ok(state)
    }
}
