//! From operators to steps, a file per family.
//!
//! A value lies in memory in some order of its dimensions ([`View`]), chosen by who makes it. What asks for
//! another order, as for the last dimension to be the channels, gets a rearranged copy.

mod activation;
mod arithmetic;
mod batch_norm;
mod conv;
mod part;
mod pool;
mod reduce;
mod resize;
mod shape;

use std::collections::HashMap;
use std::sync::Arc;

use sepal_graph::{Graph, Model, Node, Op, Shape, Tensor, Weights};
use sepal_kernels::elementwise::Binary;

use crate::error::{Result, RuntimeError};
use crate::ir::{Kind, Param, Program, Step, Value, ValueId};
use crate::rearrange::Rearrange;
use crate::view::View;

/// A node on its way to steps.
struct Lowering<'a> {
    node: &'a Node,
    /// Shape of its output.
    output: &'a Shape,
    /// The values that it reads.
    inputs: Vec<ValueId>,
    weights: &'a mut Weights,
    program: &'a mut Program,
    /// The elements of values that are known, in the order of their shapes.
    known: &'a mut HashMap<ValueId, Arc<[f32]>>,
    /// Whether other models have the same tensor.
    shared: &'a dyn Fn(&str) -> bool,
}

impl Lowering<'_> {
    /// Takes a parameter of this node out of the weights.
    fn param(&mut self, name: &str) -> Result<Param> {
        let path = format!("{}.{name}", self.node.path);
        // Asking first gives the error that names the nearest path.
        self.weights.get(&path)?;
        let values = self.weights.remove(&path).map(Tensor::into_data).unwrap_or_default();
        Ok(Param { values, shared: (self.shared)(&path) })
    }

    /// The first input; a graph that is valid has as many as its operators read.
    fn input(&self) -> ValueId {
        self.inputs[0]
    }

    fn view(&self, value: ValueId) -> &View {
        &self.program.values[value].view
    }

    /// A new value of this node, without a step that writes it.
    fn value(&mut self, view: View) -> ValueId {
        self.program.values.push(Value { path: self.node.path.clone(), view, within: None });
        self.program.values.len() - 1
    }

    /// A step that writes a new value.
    fn step(&mut self, kind: Kind, inputs: Vec<ValueId>, view: View) -> ValueId {
        let output = self.value(view);
        self.program.steps.push(Step { path: self.node.path.clone(), kind, inputs, output });
        output
    }

    /// A step that keeps the first input's shape and order.
    fn map(&mut self, kind: Kind, input: ValueId) -> ValueId {
        let view = self.view(input).clone();
        self.step(kind, vec![input], view)
    }

    /// The same value, rearranged if it does not lie in memory in this order.
    fn ordered(&mut self, value: ValueId, order: &[usize]) -> ValueId {
        let from = self.view(value).clone();
        if from.order == order {
            return value;
        }
        let to = View { shape: from.shape.clone(), order: order.to_vec() };
        let kind = if from.lies_as(order) { Kind::Identity } else { Kind::Rearrange(Rearrange::reshape(&from, &to)) };
        self.step(kind, vec![value], to)
    }

    /// The same value in the order of its shape: the first dimension is the channels.
    fn natural(&mut self, value: ValueId) -> ValueId {
        let order: Vec<usize> = (0..self.view(value).order.len()).collect();
        self.ordered(value, &order)
    }

    /// The same value with the dimension `axis` as its channels.
    fn led_by(&mut self, value: ValueId, axis: usize) -> ValueId {
        let view = self.view(value);
        if view.channels() == axis {
            return value;
        }
        let order = View::leading(view.shape.clone(), axis).order;
        self.ordered(value, &order)
    }
}

/// The program of a valid model whose weights fit; they move into its steps. `shared` says which tensors other models
/// have, too.
///
/// # Errors
/// The network has more than one input or output, or a tensor is missing.
pub(crate) fn lower(model: Model, shared: &dyn Fn(&str) -> bool) -> Result<Program> {
    let Model { graph, mut weights, .. } = model;
    let graph = &graph;
    let shapes = graph.shapes()?;
    let input = only(graph, "input")?;
    let output = only(graph, "output")?;
    let mut program = Program { values: Vec::new(), steps: Vec::new(), input: 0, output: 0 };
    let mut known = HashMap::new();
    // The value of each node.
    let mut values: Vec<ValueId> = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.iter() {
        let mut lowering = Lowering {
            node,
            output: &shapes[id.index()],
            inputs: node.inputs.iter().map(|input| values[input.index()]).collect(),
            weights: &mut weights,
            program: &mut program,
            known: &mut known,
            shared,
        };
        let mut value = lower_node(&mut lowering)?;
        if id.index() == output {
            value = lowering.natural(value);
        }
        values.push(value);
    }
    (program.input, program.output) = (values[input], values[output]);
    Ok(program)
}

/// The steps of a node; returns its value.
fn lower_node(lowering: &mut Lowering<'_>) -> Result<ValueId> {
    Ok(match &lowering.node.op {
        Op::Input(op) => lowering.value(View::natural(op.shape.clone())),
        Op::Conv2d(op) => conv::conv2d(lowering, op)?,
        Op::ConvTranspose2d(op) => conv::transposed(lowering, op)?,
        Op::Linear(op) => conv::linear(lowering, op)?,
        Op::BatchNorm(op) => batch_norm::batch_norm(lowering, op)?,
        Op::Activation(op) => activation::activation(lowering, *op)?,
        Op::Add(_) => arithmetic::binary(lowering, Binary::Add),
        Op::Subtract(_) => arithmetic::binary(lowering, Binary::Subtract),
        Op::Multiply(_) => arithmetic::binary(lowering, Binary::Multiply),
        Op::Divide(_) => arithmetic::binary(lowering, Binary::Divide),
        Op::GatedSum(_) => arithmetic::gated_sum(lowering),
        Op::Constant(_) => arithmetic::constant(lowering)?,
        Op::MaxPool(op) => pool::max(lowering, op),
        Op::AvgPool(op) => pool::average(lowering, op),
        Op::GlobalAvgPool(_) => reduce::mean(lowering, &[1, 2]),
        Op::Mean(op) => reduce::mean(lowering, &op.axes),
        Op::Softmax(op) => reduce::softmax(lowering, op),
        Op::LayerNorm(op) => reduce::layer_norm(lowering, op)?,
        Op::Concat(op) => part::concat(lowering, op),
        Op::Slice(op) => part::slice(lowering, op),
        Op::Pad(op) => part::pad(lowering, op),
        Op::Interpolate(op) => resize::interpolate(lowering, op),
        Op::Transpose(op) => shape::transpose(lowering, &op.order),
        Op::Reshape(_) | Op::Flatten(_) => shape::reshape(lowering, lowering.input(), lowering.output.clone()),
        Op::Dropout(_) => lowering.map(Kind::Identity, lowering.input()),
    })
}

/// The index of the graph's only input or output.
fn only(graph: &Graph, what: &'static str) -> Result<usize> {
    let ids = if what == "input" { &graph.inputs } else { &graph.outputs };
    match ids.as_slice() {
        [id] => Ok(id.index()),
        _ => {
            let paths = ids.iter().filter_map(|id| graph.node(*id)).map(|node| node.path.clone()).collect();
            Err(RuntimeError::Interface { what, paths })
        }
    }
}
