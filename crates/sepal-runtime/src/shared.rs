//! Weights that several models have in common.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sepal_graph::rewrites::fold_norms_where;
use sepal_graph::{Model, Node, Op, Weights};
use sepal_kernels::{Buffer, Level};

use crate::constants::Packing;
use crate::error::{Result, RuntimeError};

/// Tensors that several models have in common, which their plans hold once: those of the domains of a network that differ in
/// a part of their weights (Guo et al. 2019, arXiv:1902.00927, section 3.2).
///
/// The plans that [`compile_shared`](crate::compile_shared) makes with one of these refer to the same packed weights, which
/// the first of them packs and the last of them frees. A norm that a model has for itself is not folded into weights that
/// it shares: it is the scale and bias of the convolution's results, at no pass over memory of its own. Depthwise weights, as
/// few as a norm's numbers, take their norms in nevertheless and are then the model's own, as are those that a rewrite merges.
///
/// That the tensors are equal is checked, by a hash of 128 bits, as the unpacked ones are not kept.
pub struct SharedWeights {
    paths: BTreeSet<String>,
    hashers: [RandomState; 2],
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of the tensors of the models so far.
    prints: BTreeMap<String, Print>,
    packs: Vec<(Key, Weak<Buffer>)>,
}

/// Which layers took in norms: true where it is still the same for all models.
pub(crate) type Folded = BTreeMap<String, bool>;

/// A hash of a tensor.
pub(crate) type Print = [u64; 2];

/// What packed weights depend on.
#[derive(PartialEq)]
pub(crate) struct Key {
    pub(crate) packing: Packing,
    pub(crate) level: Level,
    pub(crate) print: Print,
}

impl SharedWeights {
    /// Of the tensors of these paths, such as `block1.pointwise.weight`. A model need not have all of them.
    pub fn new<P: Into<String>>(paths: impl IntoIterator<Item = P>) -> Self {
        let paths = paths.into_iter().map(Into::into).collect();
        Self { paths, hashers: [RandomState::new(), RandomState::new()], state: Mutex::default() }
    }

    /// Bytes of the packed weights that plans share at present, once for all of them.
    pub fn bytes(&self) -> usize {
        let packs = &self.state().packs;
        packs.iter().filter_map(|(_, pack)| pack.upgrade()).map(|pack| size_of_val(&pack[..])).sum()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    /// `model` without the norms that can be folded: into weights of its own, or with what all models have. Says, too, what
    /// became of weights so.
    ///
    /// # Errors
    /// As [`fold_norms_where`].
    pub(crate) fn fold(&self, model: Model) -> Result<(Model, Folded)> {
        let paths: BTreeSet<String> = model.weights.iter().map(|(path, _)| path.to_owned()).collect();
        let folded = RefCell::new(Folded::new());
        let may = |layer: &Node, norm: &Node| {
            let same = self.has_all(layer, &["weight", "bias"], &paths)
                && self.has_all(norm, &["running_mean", "running_var", "weight", "bias"], &paths);
            let has_weight = self.has(&format!("{}.weight", layer.path));
            // One filter for each group.
            let is_depthwise = matches!(&layer.op, Op::Conv2d(conv) if conv.groups == conv.out_channels);
            let may = same || !has_weight || is_depthwise;
            if may {
                *folded.borrow_mut().entry(layer.path.clone()).or_insert(true) &= same;
            }
            may
        };
        let model = fold_norms_where(model, may)?;
        Ok((model, folded.into_inner()))
    }

    /// Whether all models have the tensor at `path` of a model whose norms are `folded`.
    pub(crate) fn is_same(&self, path: &str, folded: &Folded) -> bool {
        let layer = path.rsplit_once('.').map_or(path, |(layer, _)| layer);
        folded.get(layer).copied().unwrap_or_else(|| self.has(path))
    }

    /// Whether all tensors of a node that are there are shared.
    fn has_all(&self, node: &Node, names: &[&str], weights: &BTreeSet<String>) -> bool {
        names.iter().map(|name| format!("{}.{name}", node.path)).all(|path| self.has(&path) || !weights.contains(&path))
    }

    /// A tensor's hash.
    pub(crate) fn print(&self, shape: &[usize], values: &[f32]) -> Print {
        self.hashers.each_ref().map(|hasher| {
            let mut hasher = hasher.build_hasher();
            shape.iter().for_each(|&size| hasher.write_usize(size));
            for values in values.chunks(16) {
                let mut bytes = [0; 64];
                for (to, value) in bytes.chunks_exact_mut(4).zip(values) {
                    to.copy_from_slice(&value.to_bits().to_le_bytes());
                }
                hasher.write(&bytes[..4 * values.len()]);
            }
            hasher.finish()
        })
    }

    /// Whether the tensors that a model shares are those of the models before it.
    ///
    /// # Errors
    /// The first that is not.
    pub(crate) fn check(&self, weights: &Weights) -> Result<()> {
        let shared = weights.iter().filter(|(path, _)| self.has(path));
        let prints: Vec<(&str, Print)> =
            shared.map(|(path, tensor)| (path, self.print(tensor.shape(), tensor.data()))).collect();
        let known = &mut self.state().prints;
        if let Some((path, _)) =
            prints.iter().find(|(path, print)| known.get(*path).is_some_and(|known| known != print))
        {
            return Err(RuntimeError::NotShared { path: (*path).to_owned() });
        }
        known.extend(prints.into_iter().map(|(path, print)| (path.to_owned(), print)));
        Ok(())
    }

    /// `len` floats, as `fill` makes them unless they are there.
    pub(crate) fn pack(&self, key: Key, len: usize, fill: impl FnOnce(&mut [f32])) -> Arc<Buffer> {
        let packs = &mut self.state().packs;
        packs.retain(|(_, pack)| pack.strong_count() > 0);
        let there = packs.iter().find(|(other, _)| *other == key).and_then(|(_, pack)| pack.upgrade());
        there.unwrap_or_else(|| {
            let mut buffer = Buffer::zeroed(len);
            fill(&mut buffer);
            let buffer = Arc::new(buffer);
            packs.push((key, Arc::downgrade(&buffer)));
            buffer
        })
    }
}
