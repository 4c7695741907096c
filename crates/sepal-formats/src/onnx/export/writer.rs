//! Nodes, initializers and names of a file being written.

use std::collections::HashSet;

use prost::bytes::Bytes;
use sepal_graph::{Error, Graph, NodeId, Result, Shape, Tensor, Weights};

use crate::onnx::proto::{AttributeProto, NodeProto, TensorProto, attribute, dtype};

/// Collects what the operators of a graph become.
pub(super) struct Writer<'a> {
    weights: &'a Weights,
    shapes: &'a [Shape],
    graph: &'a Graph,
    pub(super) nodes: Vec<NodeProto>,
    pub(super) initializers: Vec<TensorProto>,
    /// All names of values, those of parameters reserved from the start.
    names: HashSet<String>,
    /// The name of every node's value.
    values: Vec<String>,
    /// Whether a value has a row for each image; one that comes from constants alone has a single row.
    batched: Vec<bool>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(graph: &'a Graph, weights: &'a Weights, shapes: &'a [Shape]) -> Result<Self> {
        let mut names: HashSet<String> = graph.params()?.into_iter().map(|spec| spec.path).collect();
        let values = graph.nodes.iter().map(|node| unique(&mut names, &node.path)).collect();
        let mut batched: Vec<bool> = Vec::with_capacity(graph.nodes.len());
        for node in &graph.nodes {
            let any = node.inputs.iter().any(|input| batched.get(input.index()) == Some(&true));
            batched.push(any || graph.inputs.contains(&NodeId::new(batched.len())));
        }
        Ok(Self { weights, shapes, graph, nodes: Vec::new(), initializers: Vec::new(), names, values, batched })
    }

    /// The name of a node's value.
    pub(super) fn value(&self, id: NodeId) -> &str {
        self.values.get(id.index()).map_or("", String::as_str)
    }

    /// The shape of a node's value, without the batch dimension.
    pub(super) fn shape(&self, id: NodeId) -> Result<&'a Shape> {
        self.shapes.get(id.index()).ok_or_else(|| Error::Interface(format!("node {id} does not exist")))
    }

    pub(super) fn is_batched(&self, id: NodeId) -> bool {
        self.batched.get(id.index()) == Some(&true)
    }

    /// A node's parameter.
    pub(super) fn tensor(&self, path: &str, name: &str) -> Result<&'a Tensor> {
        self.weights.get(&format!("{path}.{name}"))
    }

    /// The node of the standard operator set that computes a graph node's value, and bears its name.
    pub(super) fn node(&mut self, id: NodeId, op: &str, input: Vec<String>, attribute: Vec<AttributeProto>) {
        let path = self.graph.node(id).map(|node| node.path.clone());
        let output = vec![self.value(id).to_owned()];
        self.nodes.push(NodeProto { input, output, name: path, op_type: Some(op.into()), attribute, domain: None });
    }

    /// A node that helps to compute it, named `path/what`, and the name of its value.
    pub(super) fn helper(
        &mut self,
        path: &str,
        what: &str,
        op: &str,
        input: Vec<String>,
        attribute: Vec<AttributeProto>,
    ) -> String {
        let name = unique(&mut self.names, &format!("{path}/{what}"));
        self.nodes.push(NodeProto {
            input,
            output: vec![name.clone()],
            name: Some(name.clone()),
            op_type: Some(op.into()),
            attribute,
            domain: None,
        });
        name
    }

    /// A parameter as an initializer of the given dimensions, and its name.
    pub(super) fn param(&mut self, path: &str, name: &str, dims: &[usize]) -> Result<String> {
        let data = self.tensor(path, name)?.data();
        let name = format!("{path}.{name}");
        self.initializers.push(floats(name.clone(), dims, data));
        Ok(name)
    }

    /// As [`Writer::param`], with other values than the parameter's.
    pub(super) fn param_of(&mut self, path: &str, name: &str, dims: &[usize], data: &[f32]) -> String {
        let name = format!("{path}.{name}");
        self.initializers.push(floats(name.clone(), dims, data));
        name
    }

    /// Numbers that are no parameter, named `path/what`.
    pub(super) fn floats(&mut self, path: &str, what: &str, dims: &[usize], data: &[f32]) -> String {
        let name = unique(&mut self.names, &format!("{path}/{what}"));
        self.initializers.push(floats(name.clone(), dims, data));
        name
    }

    /// A scalar, named `path/what`.
    pub(super) fn scalar(&mut self, path: &str, what: &str, value: f32) -> String {
        self.floats(path, what, &[], &[value])
    }

    /// Whole numbers, named `path/what`.
    pub(super) fn ints(&mut self, path: &str, what: &str, data: &[i64]) -> String {
        let name = unique(&mut self.names, &format!("{path}/{what}"));
        let raw: Vec<u8> = data.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.initializers.push(TensorProto {
            dims: vec![data.len() as i64],
            data_type: Some(dtype::INT64),
            name: Some(name.clone()),
            raw_data: Some(raw.into()),
            ..TensorProto::default()
        });
        name
    }

    /// A value with a row for each image, for operators that do not repeat a single row by themselves.
    pub(super) fn repeated(&mut self, id: NodeId, path: &str) -> Result<String> {
        let name = self.value(id).to_owned();
        if self.is_batched(id) {
            return Ok(name);
        }
        let rank = self.shape(id)?.rank();
        let shape = self.batch_and(path, &vec![1; rank])?;
        Ok(self.helper(path, "repeat", "Expand", vec![name, shape], Vec::new()))
    }

    /// The name of a graph's output, which has a row for each image.
    pub(super) fn output(&mut self, id: NodeId) -> Result<String> {
        let path = self.graph.node(id).map(|node| node.path.clone()).unwrap_or_default();
        self.repeated(id, &path)
    }

    /// A shape: the batch size, then `dims`.
    pub(super) fn batch_and(&mut self, path: &str, dims: &[usize]) -> Result<String> {
        let first = self.graph.inputs.first().copied();
        let input = first.ok_or_else(|| Error::Interface("the graph has no input".into()))?;
        let input = self.value(input).to_owned();
        let shape = self.helper(path, "shape", "Shape", vec![input], vec![int("end", 1)]);
        let dims: Vec<i64> = dims.iter().map(|&size| size as i64).collect();
        let rest = self.ints(path, "size", &dims);
        Ok(self.helper(path, "dims", "Concat", vec![shape, rest], vec![int("axis", 0)]))
    }
}

/// `name`, or the first of `name_1`, `name_2`, … that is not taken.
fn unique(names: &mut HashSet<String>, name: &str) -> String {
    let numbered = (1..).map(|i| format!("{name}_{i}"));
    let free = std::iter::once(name.to_owned()).chain(numbered).find(|name| !names.contains(name));
    let free = free.unwrap_or_default();
    names.insert(free.clone());
    free
}

/// A tensor of f32.
pub(super) fn floats(name: String, dims: &[usize], data: &[f32]) -> TensorProto {
    let raw: Vec<u8> = data.iter().flat_map(|v| v.to_le_bytes()).collect();
    TensorProto {
        dims: dims.iter().map(|&size| size as i64).collect(),
        data_type: Some(dtype::FLOAT),
        name: Some(name),
        raw_data: Some(Bytes::from(raw)),
        ..TensorProto::default()
    }
}

fn attribute(name: &str, kind: i32) -> AttributeProto {
    AttributeProto { name: Some(name.into()), kind: Some(kind), ..AttributeProto::default() }
}

/// A whole number as attribute.
pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, attribute::INT) }
}

/// Whole numbers as attribute.
pub(super) fn ints(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto { ints: values.iter().map(|&v| v as i64).collect(), ..attribute(name, attribute::INTS) }
}

/// A real number as attribute.
pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { f: Some(value), ..attribute(name, attribute::FLOAT) }
}

/// A word as attribute.
pub(super) fn word(name: &str, value: &'static str) -> AttributeProto {
    AttributeProto { s: Some(Bytes::from_static(value.as_bytes())), ..attribute(name, attribute::STRING) }
}

/// A tensor as attribute.
pub(super) fn tensor(name: &str, value: TensorProto) -> AttributeProto {
    AttributeProto { t: Some(value), ..attribute(name, attribute::TENSOR) }
}
