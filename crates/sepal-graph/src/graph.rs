//! The graph: operators in topological order.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{self, MAX_NODES, MAX_PATH, MAX_TOTAL_PARAMS};
use crate::{Error, Op, OpParam, ParamSpec, Result, Shape};

/// Index of a node in its graph, and of the value it computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(usize);

impl NodeId {
    /// The node at `index` of [`Graph::nodes`]. Whether there is one is for
    /// [`Graph::validate`] to say.
    #[must_use]
    pub fn new(index: usize) -> Self {
        Self(index)
    }

    /// Position in [`Graph::nodes`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One operator of a graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Unique dotted path, such as `block1.depthwise`. Its parameters' names start with it.
    pub path: String,
    /// What it computes.
    pub op: Op,
    /// The values it reads, each of an earlier node.
    pub inputs: Vec<NodeId>,
}

/// A network's structure.
///
/// A graph that came from [`Builder::finish`](crate::Builder::finish), from
/// [`Graph::new`] or from deserialisation is valid; one changed through its fields may not be,
/// which every method that could notice returns as an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Graph {
    /// The network's name, such as `mobilenet_v1`.
    pub name: String,
    /// All operators in topological order.
    pub nodes: Vec<Node>,
    /// The input nodes, in the order in which tensors are given.
    pub inputs: Vec<NodeId>,
    /// The nodes whose values are the network's results.
    pub outputs: Vec<NodeId>,
}

/// A graph as it stands in a file, before validation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    name: String,
    nodes: Vec<Node>,
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
}

impl TryFrom<Unchecked> for Graph {
    type Error = Error;

    fn try_from(raw: Unchecked) -> Result<Self> {
        Self::new(raw.name, raw.nodes, raw.inputs, raw.outputs)
    }
}

impl Graph {
    /// A graph from its parts.
    ///
    /// # Errors
    /// As [`Graph::validate`].
    pub fn new(name: String, nodes: Vec<Node>, inputs: Vec<NodeId>, outputs: Vec<NodeId>) -> Result<Self> {
        let graph = Self { name, nodes, inputs, outputs };
        graph.validate()?;
        Ok(graph)
    }

    /// Adds a node after all others. Whether it may be there, [`Graph::validate`] says.
    pub fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    /// Checks everything that makes a graph usable: paths are unique, every node reads earlier
    /// nodes only, attributes are in range, shapes infer, tensors and counts are within
    /// [`limits`], inputs and outputs exist.
    ///
    /// # Errors
    /// The first thing wrong, with the path of its node. Allocates nothing of a size that the
    /// graph's numbers decide.
    pub fn validate(&self) -> Result<()> {
        if self.nodes.len() > MAX_NODES {
            return Err(Error::TooManyNodes { nodes: self.nodes.len() });
        }
        let mut paths = HashSet::new();
        for node in &self.nodes {
            check_path(&node.path)?;
            if !paths.insert(node.path.as_str()) {
                return Err(Error::DuplicatePath.at(&node.path));
            }
        }
        let given: HashSet<_> = self.inputs.iter().copied().collect();
        if given.len() != self.inputs.len() {
            return Err(Error::Interface("an input is listed twice".into()));
        }
        for (index, node) in self.nodes.iter().enumerate() {
            let is_input = matches!(node.op, Op::Input(_));
            if is_input != given.contains(&NodeId(index)) {
                let text = if is_input {
                    "is an input node that the graph's inputs do not list"
                } else {
                    "is listed among the graph's inputs but is no input node"
                };
                return Err(Error::Interface(text.into()).at(&node.path));
            }
        }
        for (what, list) in [("input", &self.inputs), ("output", &self.outputs)] {
            if list.is_empty() {
                return Err(Error::Interface(format!("the graph has no {what}")));
            }
            if let Some(id) = list.iter().find(|id| id.0 >= self.nodes.len()) {
                let n = self.nodes.len();
                let text = format!("{what} {id} does not exist, the graph has {n} nodes");
                return Err(Error::Interface(text));
            }
        }
        // The cost visits shapes, parameters and every count, each checked.
        self.cost().map(drop)
    }

    /// The node of an id that came from this graph.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0)
    }

    /// The node with this path, and its id.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<(NodeId, &Node)> {
        let index = self.nodes.iter().position(|node| node.path == path)?;
        Some((NodeId(index), self.nodes.get(index)?))
    }

    /// All nodes with their ids, in topological order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (NodeId, &Node)> {
        (self.nodes.iter().enumerate()).map(|(index, node)| (NodeId(index), node))
    }

    /// For every node the nodes that read its value, once per reading input, in topological
    /// order. An input that is out of range is left out.
    #[must_use]
    pub fn consumers(&self) -> Vec<Vec<NodeId>> {
        let mut consumers = vec![Vec::new(); self.nodes.len()];
        for (id, node) in self.iter() {
            for input in &node.inputs {
                if let Some(list) = consumers.get_mut(input.0) {
                    list.push(id);
                }
            }
        }
        consumers
    }

    /// How often each node's value is read, by nodes or as an output of the network.
    #[must_use]
    pub fn reads(&self) -> Vec<usize> {
        let mut reads: Vec<usize> = self.consumers().iter().map(Vec::len).collect();
        for output in &self.outputs {
            if let Some(count) = reads.get_mut(output.0) {
                *count += 1;
            }
        }
        reads
    }

    /// The shape of every node's value, without the batch dimension.
    ///
    /// # Errors
    /// A node that cannot take its inputs, with its path.
    pub fn shapes(&self) -> Result<Vec<Shape>> {
        let mut shapes = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let shape = infer(node, &shapes).map_err(|error| error.at(&node.path))?;
            shapes.push(shape);
        }
        Ok(shapes)
    }

    /// The shape of the first input.
    ///
    /// # Errors
    /// The graph is not valid.
    pub fn input_shape(&self) -> Result<&Shape> {
        match self.inputs.first().and_then(|id| self.node(*id)) {
            Some(Node { op: Op::Input(input), .. }) => Ok(&input.shape),
            _ => Err(Error::Interface("the graph has no input".into())),
        }
    }

    /// The shape of the first output.
    ///
    /// # Errors
    /// The graph is not valid.
    pub fn output_shape(&self) -> Result<Shape> {
        let shapes = self.shapes()?;
        let shape = self.outputs.first().and_then(|id| shapes.get(id.0));
        shape.cloned().ok_or_else(|| Error::Interface("the graph has no output".into()))
    }

    /// The same network on an input of another shape (its only input, or its first).
    ///
    /// # Errors
    /// The network cannot take that shape: the node that cannot, by path, for example where a
    /// kernel is larger than its padded input.
    pub fn with_input_shape(&self, shape: Shape) -> Result<Self> {
        let mut graph = self.clone();
        let first = graph.inputs.first().copied();
        match first.and_then(|id| graph.nodes.get_mut(id.0)) {
            Some(Node { op: Op::Input(input), .. }) => input.shape = shape,
            _ => return Err(Error::Interface("the graph has no input".into())),
        }
        graph.validate()?;
        Ok(graph)
    }

    /// All parameters in node order: within a node weight, bias, then running statistics.
    ///
    /// # Errors
    /// The graph is not valid, or a parameter or their sum is beyond [`limits`].
    pub fn params(&self) -> Result<Vec<ParamSpec>> {
        let shapes = self.shapes()?;
        let mut specs = Vec::new();
        let mut total = 0_u64;
        for (id, node) in self.iter() {
            let params = node_params(node, &shapes);
            for param in params.map_err(|error| error.at(&node.path))? {
                let spec = ParamSpec::new(&node.path, id, param);
                let spec = spec.map_err(|error| error.at(&node.path))?;
                total = total
                    .checked_add(limits::elements(&spec.shape)?)
                    .filter(|&n| n <= MAX_TOTAL_PARAMS)
                    .ok_or_else(|| Error::total_params().at(&node.path))?;
                specs.push(spec);
            }
        }
        Ok(specs)
    }
}

/// Checks that a path is usable as a name and as the start of parameter names.
pub(crate) fn check_path(path: &str) -> Result<()> {
    if path.is_empty() || path.len() > MAX_PATH || path.chars().any(char::is_control) {
        let path = path.chars().take(80).collect();
        return Err(Error::Path { path });
    }
    Ok(())
}

/// The shapes of a node's inputs among those of earlier nodes.
pub(crate) fn input_shapes<'a>(node: &Node, earlier: &'a [Shape]) -> Result<Vec<&'a Shape>> {
    let expected = node.op.operator().arity();
    if !expected.contains(&node.inputs.len()) {
        return Err(Error::Arity { op: node.op.kind(), expected, actual: node.inputs.len() });
    }
    let shape = |id: &NodeId| earlier.get(id.0).ok_or(Error::ForwardReference { input: id.0, node: earlier.len() });
    node.inputs.iter().map(shape).collect()
}

/// The shape of a node's value, given those of all earlier nodes.
pub(crate) fn infer(node: &Node, earlier: &[Shape]) -> Result<Shape> {
    let inputs = input_shapes(node, earlier)?;
    node.op.operator().check()?;
    node.op.operator().output(&inputs)
}

/// A node's parameters, given the shapes of at least all earlier nodes.
pub(crate) fn node_params(node: &Node, shapes: &[Shape]) -> Result<Vec<OpParam>> {
    let inputs = input_shapes(node, shapes)?;
    Ok(node.op.operator().params(&inputs))
}
