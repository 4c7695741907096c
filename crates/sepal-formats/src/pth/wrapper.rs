//! Finding the state dict in what was saved.

use super::tensor::View;
use super::value::{Heap, Node, Value};
use crate::error::{FormatError, Result};

/// Keys under which training scripts keep the state dict, the averaged weights first: they are the ones that were
/// measured.
const WRAPPERS: [&str; 8] =
    ["state_dict_ema", "model_ema", "state_dict", "model", "model_state", "model_state_dict", "net", "weights"];
/// Wrappers within wrappers, and modules within modules.
const MAX_DEPTH: usize = 32;
/// Modules in a module that was saved whole.
const MAX_MODULES: usize = 1 << 16;

/// What stands under a name of the state dict.
pub(super) enum Entry<'a> {
    Tensor(&'a View),
    /// No tensor: what it is.
    Other(String),
}

/// A state dict in its order.
pub(super) struct Found<'a> {
    /// The keys it was found under.
    pub(super) wrapper: Vec<&'static str>,
    pub(super) entries: Vec<(String, Entry<'a>)>,
}

pub(super) fn find<'a>(heap: &'a Heap, root: Value, file: &str) -> Result<Found<'a>> {
    let mut wrapper = Vec::new();
    let mut value = root;
    for _ in 0..MAX_DEPTH {
        match heap.node(value) {
            Some(Node::Dict(pairs)) => {
                if pairs.iter().any(|&(_, value)| matches!(heap.node(value), Some(Node::Tensor(_)))) {
                    return Ok(Found { wrapper, entries: entries(heap, pairs, file)? });
                }
                let holds = |key: &str| pairs.iter().rev().find(|&&(k, _)| heap.text(k) == Some(key));
                let inner = WRAPPERS.iter().find_map(|&key| {
                    let &(_, value) = holds(key)?;
                    matches!(heap.node(value), Some(Node::Dict(_) | Node::Object { .. })).then_some((key, value))
                });
                let Some((key, inner)) = inner else { break };
                wrapper.push(key);
                value = inner;
            }
            Some(Node::Object { .. }) => {
                let mut entries = Vec::new();
                let mut modules = 0;
                module(heap, value, "", 0, &mut modules, &mut entries);
                if entries.is_empty() {
                    break;
                }
                return Ok(Found { wrapper, entries });
            }
            Some(Node::Tensor(view)) => {
                return Ok(Found { wrapper, entries: vec![("tensor".to_owned(), Entry::Tensor(view))] });
            }
            _ => break,
        }
    }
    let keys: Vec<&str> = match heap.node(value) {
        Some(Node::Dict(pairs)) => pairs.iter().filter_map(|&(key, _)| heap.text(key)).take(8).collect(),
        _ => Vec::new(),
    };
    let mut reason = format!("no state dict was found in it, nor under {}", WRAPPERS.join(", "));
    if !keys.is_empty() {
        reason += &format!("; its keys are {}", keys.join(", "));
    }
    let unknown = heap.unknown();
    if !unknown.is_empty() {
        reason += &format!("; it holds objects that only their own program knows: {}", unknown.join(", "));
    }
    Err(FormatError::Pth { file: file.to_owned(), reason })
}

/// The entries of a dictionary; of a key that is there twice the later value counts, in the earlier place.
fn entries<'a>(heap: &'a Heap, pairs: &'a [(Value, Value)], file: &str) -> Result<Vec<(String, Entry<'a>)>> {
    let mut places = std::collections::HashMap::new();
    let mut list: Vec<(String, Entry<'a>)> = Vec::new();
    for &(key, value) in pairs {
        let Some(name) = heap.text(key) else { continue };
        let entry = match heap.node(value) {
            Some(Node::Tensor(view)) => Entry::Tensor(view),
            // A tensor of a kind that is not read must not be taken for something beside the tensors.
            Some(Node::Object { class, .. }) if class.starts_with("torch._utils._rebuild") => {
                return Err(FormatError::Tensor {
                    file: file.to_owned(),
                    tensor: name.to_owned(),
                    reason: format!("it is made by `{class}`, which is not read; dense tensors are"),
                });
            }
            Some(Node::Object { class, .. }) => Entry::Other(format!("an object of class {class}")),
            Some(Node::Dict(_)) => Entry::Other("a dictionary".to_owned()),
            _ => Entry::Other("no tensor".to_owned()),
        };
        let place = *places.entry(name).or_insert(list.len());
        match list.get_mut(place) {
            Some(slot) => slot.1 = entry,
            None => list.push((name.to_owned(), entry)),
        }
    }
    Ok(list)
}

/// The tensors of a module that was saved whole, as its `state_dict()` would name them.
fn module<'a>(
    heap: &'a Heap,
    object: Value,
    prefix: &str,
    depth: usize,
    modules: &mut usize,
    list: &mut Vec<(String, Entry<'a>)>,
) {
    *modules += 1;
    if depth >= MAX_DEPTH || *modules > MAX_MODULES || prefix.len() > 512 {
        return;
    }
    let Some(Node::Object { state: Some(state), .. }) = heap.node(object) else { return };
    let Some(Node::Dict(state)) = heap.node(*state) else { return };
    let part = |name: &str| {
        let found = state.iter().find(|&&(key, _)| heap.text(key) == Some(name));
        match found.and_then(|&(_, value)| heap.node(value)) {
            Some(Node::Dict(pairs)) => pairs.as_slice(),
            _ => &[],
        }
    };
    for pairs in [part("_parameters"), part("_buffers")] {
        for &(key, value) in pairs {
            if let (Some(name), Some(Node::Tensor(view))) = (heap.text(key), heap.node(value))
                && list.len() < MAX_MODULES
            {
                list.push((format!("{prefix}{name}"), Entry::Tensor(view)));
            }
        }
    }
    for &(key, value) in part("_modules") {
        if let Some(name) = heap.text(key) {
            module(heap, value, &format!("{prefix}{name}."), depth + 1, modules, list);
        }
    }
}
