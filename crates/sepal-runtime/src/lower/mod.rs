//! From operators to steps, a file per family.

mod activation;
mod batch_norm;
mod conv;
mod pool;
mod shape;

use sepal_graph::{Graph, Model, Node, Op, Shape, Tensor, Weights};

use crate::error::{Result, RuntimeError};
use crate::ir::{Kind, Program, Step, Value};

/// A node on its way to a step.
struct Lowering<'a> {
    node: &'a Node,
    weights: &'a mut Weights,
    /// Shape of its first input; of its output for a node without inputs.
    input: &'a Shape,
    output: &'a Shape,
}

impl Lowering<'_> {
    /// Takes a parameter of this node out of the weights.
    fn param(&mut self, name: &str) -> Result<Vec<f32>> {
        let path = format!("{}.{name}", self.node.path);
        // Asking first gives the error that names the nearest path.
        self.weights.get(&path)?;
        Ok(self.weights.remove(&path).map(Tensor::into_data).unwrap_or_default())
    }
}

/// The program of a valid model whose weights fit; they move into its steps.
///
/// # Errors
/// The network has more than one input or output, or a tensor is missing.
pub(crate) fn lower(model: Model) -> Result<Program> {
    let Model { graph, mut weights, .. } = model;
    let graph = &graph;
    let shapes = graph.shapes()?;
    let input = only(graph, "input")?;
    let output = only(graph, "output")?;
    let mut steps = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.iter() {
        let output = &shapes[id.index()];
        let input = node.inputs.first().map_or(output, |input| &shapes[input.index()]);
        if let Some(kind) = kind(&mut Lowering { node, weights: &mut weights, input, output })? {
            let inputs = node.inputs.iter().map(|input| input.index()).collect();
            steps.push(Step { path: node.path.clone(), kind, inputs, output: id.index() });
        }
    }
    let values = graph.nodes.iter().zip(shapes).map(|(node, shape)| Value { path: node.path.clone(), shape });
    Ok(Program { values: values.collect(), steps, input, output })
}

/// What a node does; nothing for the network's input.
fn kind(lowering: &mut Lowering<'_>) -> Result<Option<Kind>> {
    Ok(Some(match &lowering.node.op {
        Op::Input(_) => return Ok(None),
        Op::Conv2d(op) => conv::conv2d(lowering, op)?,
        Op::Linear(op) => conv::linear(lowering, op)?,
        Op::BatchNorm(op) => batch_norm::batch_norm(lowering, op)?,
        Op::Activation(op) => activation::activation(lowering, *op)?,
        Op::Add(_) => Kind::Add,
        Op::MaxPool(op) => pool::max(lowering, op),
        Op::AvgPool(op) => pool::average(lowering, op),
        Op::GlobalAvgPool(_) => Kind::GlobalAverage,
        Op::Dropout(_) => Kind::Identity,
        Op::Flatten(_) => shape::flatten(lowering),
        Op::Subtract(_)
        | Op::Multiply(_)
        | Op::Divide(_)
        | Op::Constant(_)
        | Op::Concat(_)
        | Op::Slice(_)
        | Op::Pad(_)
        | Op::ConvTranspose2d(_)
        | Op::Interpolate(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Softmax(_)
        | Op::Mean(_)
        | Op::LayerNorm(_)
        | Op::GatedSum(_) => {
            let what = lowering.node.op.kind().to_owned();
            return Err(RuntimeError::Unsupported { path: lowering.node.path.clone(), what });
        }
    }))
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
