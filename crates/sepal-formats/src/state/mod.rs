//! Named tensors from elsewhere.

mod read;

use std::collections::BTreeMap;
use std::path::Path;

use sepal_graph::Tensor;

use crate::error::Result;
use crate::tensors;

/// The tensors of a file that holds no network, under the names that whoever wrote it gave them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateDict {
    /// The file they come from.
    pub file: String,
    /// Strings beside the tensors: a safetensors file's metadata, the architecture of a timm folder, the keys a
    /// checkpoint had its state dict under (`wrapper`).
    pub metadata: BTreeMap<String, String>,
    /// The tensors in the order of the file, names being unique; f32 whatever they were, in PyTorch's order of dimensions.
    pub tensors: Vec<Named>,
    /// Whether that order is the one in which the network's layers were made; a safetensors file is sorted instead.
    pub ordered: bool,
    /// Whether layers are named by their class and number alone, as early versions of Keras 3 store them. The numbers are
    /// then places in Keras' list of layers, otherwise they count layers as they were made.
    pub by_class: bool,
    /// Names of what is no tensor or has no elements, each with what it is.
    pub skipped: Vec<(String, String)>,
}

/// A tensor of a [`StateDict`].
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Its values.
    pub tensor: Tensor,
    /// The type its elements had in the file, as safetensors calls it: `F32`, `F16`, `I64`.
    pub dtype: &'static str,
}

impl StateDict {
    /// The tensor of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|named| named.name == name).map(|named| &named.tensor)
    }

    /// Number of values in all tensors.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.tensors.iter().map(|named| named.tensor.len() as u64).sum()
    }

    /// Writes the tensors and metadata as a safetensors file, complete or not at all.
    ///
    /// # Errors
    /// As [`tensors::write`](crate::tensors::write()).
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let list: Vec<(&str, &[usize], &[f32])> =
            self.tensors.iter().map(|named| (named.name.as_str(), named.tensor.shape(), named.tensor.data())).collect();
        tensors::write(path, &list, &self.metadata)
    }

    pub(crate) fn push(&mut self, name: String, tensor: Tensor, dtype: &'static str) {
        self.tensors.push(Named { name, tensor, dtype });
    }

    pub(crate) fn skip(&mut self, name: String, what: String) {
        self.skipped.push((name, what));
    }

    /// Removes prefixes that every name has, as wrappers for several devices leave them.
    pub(crate) fn strip_prefixes(&mut self, prefixes: &[&str]) {
        while let Some(prefix) = prefixes.iter().find(|&&prefix| {
            !self.tensors.is_empty()
                && self.tensors.iter().all(|named| named.name.len() > prefix.len() && named.name.starts_with(prefix))
        }) {
            for named in &mut self.tensors {
                named.name.drain(..prefix.len());
            }
        }
    }
}
