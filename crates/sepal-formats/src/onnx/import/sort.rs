//! Which nodes are needed, and in which order.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use crate::onnx::proto::GraphProto;

use super::label;

/// More nodes than any file has that a graph could be made of.
const MAX_NODES: usize = 1 << 18;

/// The nodes that the output depends on.
pub(super) struct Sorted<'a> {
    /// Their indices in topological order, the file's own where it is one.
    pub(super) order: Vec<usize>,
    /// The node that makes each value.
    pub(super) producers: HashMap<&'a str, usize>,
}

impl<'a> Sorted<'a> {
    /// Sorts a graph's nodes. The error says where, and what is wrong there.
    pub(super) fn new(graph: &'a GraphProto, output: &'a str) -> Result<Self, (String, String)> {
        let nodes = &graph.node;
        if nodes.len() > MAX_NODES {
            return Err(("the graph".into(), format!("has {} nodes, at most {MAX_NODES} are read", nodes.len())));
        }
        let at = |index: usize| {
            let name = nodes.get(index).map_or_else(String::new, |node| label(node, index));
            format!("node `{name}`")
        };
        let mut given: HashSet<&str> = HashSet::new();
        for tensor in &graph.initializer {
            let name = tensor.name.as_deref().unwrap_or_default();
            if !given.insert(name) {
                return Err((format!("tensor `{name}`"), "is stored twice".into()));
            }
        }
        let mut inputs = HashSet::new();
        for input in &graph.input {
            let name = input.name.as_deref().unwrap_or_default();
            if !inputs.insert(name) {
                return Err((format!("input `{name}`"), "is listed twice".into()));
            }
            given.insert(name);
        }
        let mut producers = HashMap::new();
        for (index, node) in nodes.iter().enumerate() {
            for name in node.output.iter().filter(|name| !name.is_empty()) {
                if given.contains(name.as_str()) || producers.insert(name.as_str(), index).is_some() {
                    return Err((at(index), format!("makes the value `{name}`, which something else makes too")));
                }
            }
        }
        let made_by = |name: &str| producers.get(name).copied();
        if made_by(output).is_none() && !given.contains(output) {
            return Err((format!("output `{output}`"), "is made by no node".into()));
        }

        let mut needed = vec![false; nodes.len()];
        let mut open: Vec<usize> = made_by(output).into_iter().collect();
        // How many nodes a node waits for, and which wait for it.
        let mut waits = vec![0_usize; nodes.len()];
        let mut readers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
        while let Some(index) = open.pop() {
            let (Some(seen), Some(node)) = (needed.get_mut(index), nodes.get(index)) else { continue };
            if std::mem::replace(seen, true) {
                continue;
            }
            for name in node.input.iter().filter(|name| !name.is_empty()) {
                match made_by(name) {
                    Some(maker) => {
                        waits[index] += 1;
                        readers[maker].push(index);
                        open.push(maker);
                    }
                    None if given.contains(name.as_str()) => {}
                    None => return Err((at(index), format!("reads the value `{name}`, which nothing makes"))),
                }
            }
        }
        let is_ready = |index: &usize| needed[*index] && waits[*index] == 0;
        let mut ready: BinaryHeap<Reverse<usize>> = (0..nodes.len()).filter(is_ready).map(Reverse).collect();
        let mut order = Vec::new();
        while let Some(Reverse(index)) = ready.pop() {
            order.push(index);
            for &reader in &readers[index] {
                waits[reader] -= 1;
                if waits[reader] == 0 {
                    ready.push(Reverse(reader));
                }
            }
        }
        match (0..nodes.len()).find(|&index| needed[index] && waits[index] > 0) {
            Some(index) => Err((at(index), "depends on its own output: the graph has a cycle".into())),
            None => Ok(Self { order, producers }),
        }
    }
}
