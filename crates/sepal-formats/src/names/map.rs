//! From a graph's paths to names elsewhere.

use std::collections::{HashMap, HashSet};

use sepal_graph::{Graph, ParamSpec};

/// What parts of a path are called elsewhere. A path is read from the left; at each point the longest known part is
/// replaced, and a path with a part that is not known has no name.
#[derive(Debug, Default)]
pub(super) struct Map {
    rules: HashMap<String, String>,
    /// Nodes that are linear here and 1×1 convolutions there.
    convs: HashSet<String>,
}

impl Map {
    /// `path`, one or more segments of a path, is called `name`; an empty name leaves nothing.
    pub(super) fn add(&mut self, path: impl Into<String>, name: impl Into<String>) {
        self.rules.insert(path.into(), name.into());
    }

    pub(super) fn list(&mut self, rules: &[(&str, &str)]) {
        for (path, name) in rules {
            self.add(*path, *name);
        }
    }

    /// The linear layer `path` is the 1×1 convolution `name` there.
    pub(super) fn conv(&mut self, path: &str, name: &str) {
        self.add(path, name);
        self.convs.insert(path.to_owned());
    }

    fn translate(&self, path: &str) -> Option<String> {
        let mut parts: Vec<&str> = Vec::new();
        let mut rest = path;
        while !rest.is_empty() {
            let mut end = rest.len();
            let name = loop {
                let part = rest.get(..end)?;
                match self.rules.get(part) {
                    Some(name) => break name,
                    None => end = part.rfind('.')?,
                }
            };
            if !name.is_empty() {
                parts.push(name);
            }
            rest = rest.get(end..)?.trim_start_matches('.');
        }
        Some(parts.join("."))
    }

    /// The name and shape there of every parameter of the graph, or `None` if one has no name or two have the same.
    pub(super) fn names(&self, graph: &Graph, specs: &[ParamSpec]) -> Option<Vec<Foreign>> {
        let mut seen = HashSet::new();
        let mut names = Vec::with_capacity(specs.len());
        for spec in specs {
            let node = &graph.node(spec.node)?.path;
            let param = spec.path.get(node.len() + 1..)?;
            let name = format!("{}.{param}", self.translate(node)?);
            if !seen.insert(name.clone()) {
                return None;
            }
            let mut shape = spec.shape.clone();
            if shape.len() == 2 && self.convs.contains(node) {
                shape.extend([1, 1]);
            }
            names.push(Foreign { name, shape });
        }
        Some(names)
    }
}

/// What a parameter is called elsewhere, and its shape there.
#[derive(Clone, Debug)]
pub(super) struct Foreign {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
}

/// Blocks in stages: (number from 1, stage from 0, place in it from 0).
pub(super) fn stages(repeats: &[usize]) -> impl Iterator<Item = (usize, usize, usize)> {
    let places = repeats.iter().enumerate().flat_map(|(stage, &n)| (0..n).map(move |i| (stage, i)));
    places.enumerate().map(|(n, (stage, i))| (n + 1, stage, i))
}

/// How many blocks `prefix1`, `prefix2`, … the graph has.
pub(super) fn blocks(graph: &Graph, prefix: &str) -> usize {
    let has = |n: &usize| {
        let start = format!("{prefix}{n}.");
        graph.nodes.iter().any(|node| node.path.starts_with(&start))
    };
    (1..=256).take_while(has).count()
}
