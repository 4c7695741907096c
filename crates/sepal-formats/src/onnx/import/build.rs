//! The graph while it is being made.

use std::rc::Rc;

use sepal_graph::limits::MAX_NODES;
use sepal_graph::{Error, Input, NodeId, Op, Shape, Tensor};

use crate::onnx::array::Array;
use crate::onnx::proto::NodeProto;

use super::{Constant, Fail, Importer, Origin, Res};

/// A parameter and how it comes from the file.
#[derive(Clone)]
pub(super) struct Param<'a> {
    /// `weight`, `bias`, …
    pub(super) name: &'static str,
    pub(super) source: Source<'a>,
}

/// Values of a parameter.
#[derive(Clone)]
pub(super) enum Source<'a> {
    /// A constant's, in its order, times a factor.
    Scaled(Constant<'a>, f32),
    /// As `Scaled`, of a matrix that is transposed.
    Transposed(Constant<'a>, f32),
    /// One number.
    Fill(f32),
}

impl<'a> Param<'a> {
    /// A constant's values as they are.
    pub(super) fn of(name: &'static str, constant: Constant<'a>) -> Self {
        Self { name, source: Source::Scaled(constant, 1.0) }
    }
}

/// A node of the graph with what the file says of it.
pub(super) struct Made<'a> {
    pub(super) op: Op,
    pub(super) inputs: Vec<NodeId>,
    pub(super) shape: Shape,
    pub(super) params: Vec<Param<'a>>,
    /// The name it has in the file.
    pub(super) name: &'a str,
}

/// All nodes so far.
#[derive(Default)]
pub(super) struct Built<'a> {
    pub(super) nodes: Vec<Made<'a>>,
    pub(super) inputs: Vec<NodeId>,
}

impl<'a> Built<'a> {
    pub(super) fn input(&mut self, name: &'a str, input: Input) -> sepal_graph::Result<NodeId> {
        let id = self.add(name, input, &[], Vec::new())?;
        self.inputs.push(id);
        Ok(id)
    }

    /// Adds a node if its operator takes inputs of these shapes.
    pub(super) fn add(
        &mut self,
        name: &'a str,
        op: impl Into<Op>,
        inputs: &[NodeId],
        params: Vec<Param<'a>>,
    ) -> sepal_graph::Result<NodeId> {
        let op = op.into();
        // Parts of patterns count until they are dropped.
        if self.nodes.len() >= 4 * MAX_NODES {
            return Err(Error::TooManyNodes { nodes: self.nodes.len() });
        }
        let expected = op.operator().arity();
        if !expected.contains(&inputs.len()) {
            return Err(Error::Arity { op: op.kind(), expected, actual: inputs.len() });
        }
        let shapes = inputs.iter().map(|input| self.shape(*input)).collect::<sepal_graph::Result<Vec<_>>>()?;
        op.operator().check()?;
        let shape = op.operator().output(&shapes)?;
        self.nodes.push(Made { op, inputs: inputs.to_vec(), shape, params, name });
        Ok(NodeId::new(self.nodes.len() - 1))
    }

    pub(super) fn get(&self, id: NodeId) -> sepal_graph::Result<&Made<'a>> {
        self.nodes.get(id.index()).ok_or_else(|| Error::Interface(format!("node {id} does not exist")))
    }

    pub(super) fn shape(&self, id: NodeId) -> sepal_graph::Result<&Shape> {
        Ok(&self.get(id)?.shape)
    }
}

impl<'a> Importer<'a> {
    /// Adds what a node of the file becomes.
    pub(super) fn add(
        &mut self,
        node: &'a NodeProto,
        op: impl Into<Op>,
        inputs: &[NodeId],
        params: Vec<Param<'a>>,
    ) -> Res<NodeId> {
        Ok(self.built.add(name_of(node), op, inputs, params)?)
    }

    pub(super) fn dims(&self, id: NodeId) -> Res<Vec<usize>> {
        Ok(self.built.shape(id)?.dims().to_vec())
    }

    /// A constant as a node of those dimensions; one node however often it is asked for.
    pub(super) fn constant_node(&mut self, constant: &Constant<'a>, dims: Vec<usize>) -> Res<NodeId> {
        let key = (constant.label, dims.clone());
        if let Some(id) = self.constants.get(&key) {
            return Ok(*id);
        }
        let learnt = matches!(constant.from, Origin::Stored(_)) && dims.iter().any(|&size| size > 1);
        let op = sepal_graph::Constant { shape: Shape::new(dims)?, learnt };
        let params = vec![Param::of("value", constant.clone())];
        let id = self.built.add(constant.label, op, &[], params)?;
        self.constants.insert(key, id);
        Ok(id)
    }

    /// A number as a constant that is broadcast against a value.
    pub(super) fn number(&mut self, label: &'a str, value: f32, like: NodeId) -> Res<NodeId> {
        let dims = vec![1; self.dims(like)?.len()];
        let array = Rc::new(Array::floats(Vec::new(), vec![value]));
        let op = sepal_graph::Constant { shape: Shape::new(dims)?, learnt: false };
        let params = vec![Param::of("value", Constant { label, from: Origin::Array(array) })];
        Ok(self.built.add(label, op, &[], params)?)
    }

    /// A parameter's tensor of the shape that its operator asks for.
    pub(super) fn tensor(&mut self, param: &Param<'a>, shape: Vec<usize>) -> Res<Tensor> {
        let count = shape.iter().product::<usize>();
        self.spend(count)?;
        let (constant, factor, turned) = match &param.source {
            Source::Fill(value) => return Ok(Tensor::full(shape, *value)?),
            Source::Scaled(constant, factor) => (constant, *factor, false),
            Source::Transposed(constant, factor) => (constant, *factor, true),
        };
        let array = self.array(constant)?;
        let depends = || Fail::wrong(format!("its {} depends on the batch size", param.name));
        let mut data = match Rc::try_unwrap(array) {
            Ok(Array { data: super::Data::Float(data), .. }) => data,
            Ok(array) => array.to_floats().ok_or_else(depends)?,
            Err(shared) => shared.to_floats().ok_or_else(depends)?,
        };
        if data.len() == 1 && count > 1 {
            data = vec![data.first().copied().unwrap_or_default(); count];
        }
        if data.len() != count {
            return Err(Fail::wrong(format!(
                "its {} `{}` has {} values where {shape:?} asks for {count}",
                param.name,
                constant.label,
                data.len()
            )));
        }
        if let (true, &[rows, columns]) = (turned, shape.as_slice()) {
            data = (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))).map(|(r, c)| data[c * rows + r]).collect();
        }
        if factor != 1.0 {
            data.iter_mut().for_each(|v| *v *= factor);
        }
        Ok(Tensor::new(shape, data)?)
    }
}

/// The name that a node of the file has, or that of its first value.
pub(super) fn name_of(node: &NodeProto) -> &str {
    let name = node.name.as_deref().filter(|name| !name.is_empty());
    name.or_else(|| node.output.first().map(String::as_str)).unwrap_or_default()
}
