//! What rewrites share: a copy of a model in which some nodes are replaced.

use crate::{Graph, Model, Node, NodeId, Op, Result, Tensor, Weights};

/// A model that is being copied node by node.
pub(super) struct Rewriter<'a> {
    model: &'a Model,
    /// How often each value of the old graph is read, by nodes or as an output.
    reads: Vec<usize>,
    nodes: Vec<Node>,
    /// Tensors of the nodes that are new.
    tensors: Weights,
    /// What stands for each old value so far.
    new: Vec<NodeId>,
}

/// Copies a model; for each node in order `replace` may add nodes and name the one that stands for it.
/// Nodes that nothing reads any more are left out, with their tensors.
///
/// # Errors
/// The model is not valid, or `replace` fails, or what it made is not valid.
pub(super) fn rewrite(
    model: &Model,
    mut replace: impl FnMut(&mut Rewriter<'_>, NodeId, &Node) -> Result<Option<NodeId>>,
) -> Result<Model> {
    model.graph.validate()?;
    model.weights.check(&model.graph)?;
    let mut rewriter =
        Rewriter { model, reads: model.graph.reads(), nodes: Vec::new(), tensors: Weights::new(), new: Vec::new() };
    for (id, node) in model.graph.iter() {
        let new = match replace(&mut rewriter, id, node)? {
            Some(new) => new,
            None => rewriter.copy(node),
        };
        rewriter.new.push(new);
    }
    rewriter.finish()
}

/// As [`rewrite`], again and again until `pass` finds nothing more to replace.
pub(super) fn to_the_end(model: &Model, pass: impl Fn(&Model) -> Result<Model>) -> Result<Model> {
    let mut before = pass(model)?;
    loop {
        let after = pass(&before)?;
        if after.graph == before.graph {
            return Ok(after);
        }
        before = after;
    }
}

/// Leaves out the nodes that are not `kept` and lets every reader of a node read what `stands_for` it, which is
/// kept.
pub(super) fn compact(graph: &mut Graph, stands_for: &[usize], kept: &[bool]) {
    let mut new_index = Vec::with_capacity(kept.len());
    let mut next = 0;
    for &kept in kept {
        new_index.push(next);
        next += usize::from(kept);
    }
    let renumber = |id: &mut NodeId| *id = NodeId::new(new_index[stands_for[id.index()]]);
    for node in &mut graph.nodes {
        node.inputs.iter_mut().for_each(renumber);
    }
    graph.inputs.iter_mut().for_each(renumber);
    graph.outputs.iter_mut().for_each(renumber);
    let mut kept = kept.iter();
    graph.nodes.retain(|_| kept.next().copied().unwrap_or(false));
}

impl<'a> Rewriter<'a> {
    /// The old node that computes a node's first input, if nothing else reads it.
    pub(super) fn only_reader_of(&self, node: &Node) -> Option<(NodeId, &'a Node)> {
        let input = *node.inputs.first()?;
        (self.reads[input.index()] == 1).then(|| self.model.graph.node(input).map(|node| (input, node)))?
    }

    /// A node of the old graph; ids come from it.
    pub(super) fn old(&self, id: NodeId) -> &'a Node {
        &self.model.graph.nodes[id.index()]
    }

    /// Whether a single node, or output, reads an old value.
    pub(super) fn is_read_once(&self, id: NodeId) -> bool {
        self.reads[id.index()] == 1
    }

    /// An old node's tensor.
    ///
    /// # Errors
    /// There is none of this name.
    pub(super) fn tensor(&self, node: &Node, name: &str) -> Result<&'a Tensor> {
        self.model.weights.get(&format!("{}.{name}", node.path))
    }

    /// What stands for an old value that came before.
    pub(super) fn new_id(&self, old: NodeId) -> NodeId {
        self.new[old.index()]
    }

    /// A path for what replaces the nodes of these paths: `name` in the scope that they share, or the last one's own
    /// where that is taken.
    pub(super) fn path(&self, replaced: &[&str], name: &str) -> String {
        let last = replaced.last().copied().unwrap_or(name);
        let mut shared: Vec<&str> = last.split('.').collect();
        shared.pop();
        for path in replaced {
            let same = shared.iter().zip(path.split('.')).take_while(|(a, b)| **a == *b).count();
            shared.truncate(same);
        }
        shared.push(name);
        let path = shared.join(".");
        let stays = |node: &Node| node.path == path && !replaced.contains(&node.path.as_str());
        let taken = self.model.graph.nodes.iter().chain(&self.nodes).any(stays);
        if taken { last.to_owned() } else { path }
    }

    /// Adds a node that reads new values, with its tensors by name.
    pub(super) fn add(
        &mut self,
        path: &str,
        op: impl Into<Op>,
        inputs: &[NodeId],
        tensors: Vec<(&str, Tensor)>,
    ) -> NodeId {
        for (name, tensor) in tensors {
            self.tensors.insert(format!("{path}.{name}"), tensor);
        }
        self.nodes.push(Node { path: path.to_owned(), op: op.into(), inputs: inputs.to_vec() });
        NodeId::new(self.nodes.len() - 1)
    }

    fn copy(&mut self, node: &Node) -> NodeId {
        let inputs = node.inputs.iter().map(|&input| self.new_id(input)).collect();
        self.nodes.push(Node { inputs, ..node.clone() });
        NodeId::new(self.nodes.len() - 1)
    }

    fn finish(self) -> Result<Model> {
        let Self { model, nodes, mut tensors, new, .. } = self;
        let translate = |ids: &[NodeId]| ids.iter().map(|id| new[id.index()]).collect::<Vec<_>>();
        let (inputs, outputs) = (translate(&model.graph.inputs), translate(&model.graph.outputs));
        let mut live = vec![false; nodes.len()];
        inputs.iter().chain(&outputs).for_each(|id| live[id.index()] = true);
        for index in (0..nodes.len()).rev() {
            if live[index] {
                nodes[index].inputs.iter().for_each(|input| live[input.index()] = true);
            }
        }
        let mut graph = Graph { name: model.graph.name.clone(), nodes, inputs, outputs };
        let itself: Vec<usize> = (0..live.len()).collect();
        compact(&mut graph, &itself, &live);
        graph.validate()?;
        let mut weights = Weights::new();
        for spec in graph.params()? {
            let tensor = match tensors.remove(&spec.path) {
                Some(tensor) => tensor,
                None => model.weights.get(&spec.path)?.clone(),
            };
            weights.insert(spec.path, tensor);
        }
        weights.check(&graph)?;
        Ok(Model { graph, weights, meta: model.meta.clone() })
    }
}
