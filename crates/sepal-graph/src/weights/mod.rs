//! Weights: parameter path → tensor.

mod check;
mod formula;
mod init;

use std::collections::BTreeMap;

pub(crate) use check::show_mismatch;

use crate::{Error, Result, Tensor};

/// The tensors of a network by parameter path, in the order of their paths.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weights(BTreeMap<String, Tensor>);

impl Weights {
    /// No tensors.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tensor of this path.
    ///
    /// # Errors
    /// There is none; the error names the nearest path that has one.
    pub fn get(&self, path: &str) -> Result<&Tensor> {
        self.0.get(path).ok_or_else(|| self.no_tensor(path))
    }

    /// The tensor of this path, to be changed in place.
    ///
    /// # Errors
    /// As [`Weights::get`].
    pub fn get_mut(&mut self, path: &str) -> Result<&mut Tensor> {
        if !self.0.contains_key(path) {
            return Err(self.no_tensor(path));
        }
        self.0.get_mut(path).ok_or_else(|| Error::NoTensor { path: path.to_owned(), nearest: None })
    }

    /// Whether there is a tensor of this path.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// Stores a tensor and returns the one that stood there.
    pub fn insert(&mut self, path: impl Into<String>, tensor: Tensor) -> Option<Tensor> {
        self.0.insert(path.into(), tensor)
    }

    /// Takes a tensor out.
    pub fn remove(&mut self, path: &str) -> Option<Tensor> {
        self.0.remove(path)
    }

    /// All paths and tensors, in the order of the paths.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(path, tensor)| (path.as_str(), tensor))
    }

    /// As [`Weights::iter`], to be changed in place.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&str, &mut Tensor)> {
        (self.0.iter_mut()).map(|(path, tensor)| (path.as_str(), tensor))
    }

    /// Number of tensors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no tensors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn no_tensor(&self, path: &str) -> Error {
        Error::NoTensor { path: path.to_owned(), nearest: check::nearest(path, self.0.keys()) }
    }
}

impl FromIterator<(String, Tensor)> for Weights {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(tensors: I) -> Self {
        Self(tensors.into_iter().collect())
    }
}

impl IntoIterator for Weights {
    type Item = (String, Tensor);
    type IntoIter = std::collections::btree_map::IntoIter<String, Tensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
