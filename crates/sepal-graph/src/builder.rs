//! Building graphs by scoped names.

use std::collections::HashSet;

use crate::graph::{check_path, infer};
use crate::{
    Activation, Add, BatchNorm, Concat, Conv2d, Dropout, Error, Flatten, GlobalAvgPool, Graph, Input, Linear, Multiply,
    Node, NodeId, Op, Result, Shape,
};

/// Builds a [`Graph`] node by node, inferring and checking shapes at every call.
///
/// Names are joined with dots to the scopes they stand in. Every error names the full path.
#[derive(Debug, Clone)]
pub struct Builder {
    name: String,
    nodes: Vec<Node>,
    shapes: Vec<Shape>,
    paths: HashSet<String>,
    inputs: Vec<NodeId>,
    scope: Vec<String>,
}

impl Builder {
    /// An empty graph of the given name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            nodes: Vec::new(),
            shapes: Vec::new(),
            paths: HashSet::new(),
            inputs: Vec::new(),
            scope: Vec::new(),
        }
    }

    /// Runs `f` with `name.` before every name.
    pub fn scope<R>(&mut self, name: &str, f: impl FnOnce(&mut Self) -> R) -> R {
        self.scope.push(name.to_owned());
        let result = f(self);
        self.scope.pop();
        result
    }

    /// The full path that `name` would get here.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        let mut path = self.scope.join(".");
        if !path.is_empty() {
            path.push('.');
        }
        path + name
    }

    /// Adds a node and returns its value.
    ///
    /// # Errors
    /// The path is taken or malformed, an attribute is out of range, or the operator cannot take
    /// inputs of these shapes; with the full path.
    pub fn node(&mut self, name: &str, op: impl Into<Op>, inputs: &[NodeId]) -> Result<NodeId> {
        let path = self.path(name);
        check_path(&path)?;
        if self.paths.contains(&path) {
            return Err(Error::DuplicatePath.at(&path));
        }
        let node = Node { path, op: op.into(), inputs: inputs.to_vec() };
        let shape = infer(&node, &self.shapes).map_err(|error| error.at(&node.path))?;
        let id = NodeId::new(self.nodes.len());
        if matches!(node.op, Op::Input(_)) {
            self.inputs.push(id);
        }
        self.paths.insert(node.path.clone());
        self.nodes.push(node);
        self.shapes.push(shape);
        Ok(id)
    }

    /// The shape of a value, without the batch dimension.
    ///
    /// # Errors
    /// The value is not of this builder.
    pub fn shape(&self, x: NodeId) -> Result<&Shape> {
        self.shapes.get(x.index()).ok_or_else(|| Error::Interface(format!("value {x} is not of this builder")))
    }

    /// The channels (or features) of a value.
    ///
    /// # Errors
    /// The value is not of this builder.
    pub fn channels(&self, x: NodeId) -> Result<usize> {
        Ok(self.shape(x)?.channels())
    }

    /// An input of the network.
    ///
    /// # Errors
    /// As [`Builder::node`].
    pub fn input(&mut self, name: &str, shape: Shape) -> Result<NodeId> {
        self.node(name, Input { shape }, &[])
    }

    /// A convolution.
    ///
    /// # Errors
    /// As [`Builder::node`].
    pub fn conv(&mut self, name: &str, x: NodeId, conv: Conv2d) -> Result<NodeId> {
        self.node(name, conv, &[x])
    }

    /// A batch norm with PyTorch's defaults.
    ///
    /// # Errors
    /// As [`Builder::node`].
    pub fn batch_norm(&mut self, name: &str, x: NodeId) -> Result<NodeId> {
        self.node(name, BatchNorm::default(), &[x])
    }

    /// An activation.
    ///
    /// # Errors
    /// As [`Builder::node`].
    pub fn activation(&mut self, name: &str, x: NodeId, act: Activation) -> Result<NodeId> {
        self.node(name, act, &[x])
    }

    /// The sum of two values of one shape.
    ///
    /// # Errors
    /// As [`Builder::node`].
    pub fn add(&mut self, name: &str, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.node(name, Add {}, &[a, b])
    }

    /// The product of two values; see [`Multiply`] for shapes that differ.
    ///
    /// # Errors
    /// As [`Builder::node`].
    pub fn multiply(&mut self, name: &str, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.node(name, Multiply {}, &[a, b])
    }

    /// Maps one after the other along their channels.
    ///
    /// # Errors
    /// As [`Builder::node`].
    pub fn concat(&mut self, name: &str, inputs: &[NodeId]) -> Result<NodeId> {
        self.node(name, Concat { axis: 0 }, inputs)
    }

    /// The mean over height and width: `[C, H, W]` to `[C]`.
    ///
    /// # Errors
    /// As [`Builder::node`].
    pub fn global_avg_pool(&mut self, name: &str, x: NodeId) -> Result<NodeId> {
        self.node(name, GlobalAvgPool::default(), &[x])
    }

    /// A linear layer with bias.
    ///
    /// # Errors
    /// As [`Builder::node`].
    pub fn linear(&mut self, name: &str, x: NodeId, out_features: usize) -> Result<NodeId> {
        self.node(name, Linear::new(out_features), &[x])
    }

    /// A dropout of probability `p`.
    ///
    /// # Errors
    /// As [`Builder::node`].
    pub fn dropout(&mut self, name: &str, x: NodeId, p: f32) -> Result<NodeId> {
        self.node(name, Dropout { p }, &[x])
    }

    /// A map as a vector: `[C, H, W]` to `[C·H·W]`.
    ///
    /// # Errors
    /// As [`Builder::node`].
    pub fn flatten(&mut self, name: &str, x: NodeId) -> Result<NodeId> {
        self.node(name, Flatten {}, &[x])
    }

    /// The graph with these outputs.
    ///
    /// # Errors
    /// As [`Graph::validate`].
    pub fn finish(self, outputs: &[NodeId]) -> Result<Graph> {
        Graph::new(self.name, self.nodes, self.inputs, outputs.to_vec())
    }
}
