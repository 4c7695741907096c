//! The layers whose units are measured, and a network whose output is what is measured of them.

use sepal_graph::{Activation, Concat, Conv2d, GlobalAvgPool, Graph, MaxPool, Model, Node, NodeId, Op};

use super::LayerKind;
use crate::error::Result;

/// A depthwise or pointwise layer.
pub(super) struct Layer {
    pub(super) path: String,
    pub(super) kind: LayerKind,
    pub(super) kernel: [usize; 2],
    pub(super) channels: usize,
    /// The value that is its output, after norm and activation.
    read: NodeId,
    /// Height and width of that.
    map: [usize; 2],
}

/// The depthwise and pointwise layers of a network in the order in which they compute. Pointwise convolutions of single
/// pixels, such as those of squeeze-and-excite, are not among them.
pub(super) fn layers(graph: &Graph) -> Result<Vec<Layer>> {
    let shapes = graph.shapes()?;
    let consumers = graph.consumers();
    let depthwise = |node: &Node, conv: &Conv2d| {
        let channels = shapes[node.inputs[0].index()].channels();
        channels > 1 && conv.is_depthwise(channels)
    };
    let mut layers = Vec::new();
    for (id, node) in graph.iter() {
        let Op::Conv2d(conv) = &node.op else { continue };
        let Some([channels, height, width]) = shapes[id.index()].as_chw() else { continue };
        let reads_depthwise = match source(graph, node) {
            Some(Node { op: Op::Conv2d(before), inputs, .. }) => {
                let channels = shapes[inputs[0].index()].channels();
                channels > 1 && before.is_depthwise(channels)
            }
            _ => false,
        };
        let kind = if depthwise(node, conv) {
            LayerKind::Depthwise
        } else if conv.groups == 1 && (reads_depthwise || conv.kernel == [1, 1] && height * width > 1) {
            LayerKind::Pointwise
        } else {
            continue;
        };
        let read = reading_point(graph, &consumers, id);
        layers.push(Layer { path: node.path.clone(), kind, kernel: conv.kernel, channels, read, map: [height, width] });
    }
    Ok(layers)
}

fn is_norm_or_activation(op: &Op) -> bool {
    matches!(op, Op::BatchNorm(_) | Op::Activation(_))
}

/// The layer that a layer reads, through norms and activations.
fn source<'a>(graph: &'a Graph, node: &'a Node) -> Option<&'a Node> {
    let mut before = graph.node(*node.inputs.first()?)?;
    while is_norm_or_activation(&before.op) {
        before = graph.node(*before.inputs.first()?)?;
    }
    Some(before)
}

/// The last of a layer, its norm and its activation, as far as nothing else reads what is between.
fn reading_point(graph: &Graph, consumers: &[Vec<NodeId>], layer: NodeId) -> NodeId {
    let mut at = layer;
    while let [next] = consumers[at.index()][..] {
        match graph.node(next) {
            Some(node) if is_norm_or_activation(&node.op) => at = next,
            _ => break,
        }
    }
    at
}

/// The network with another output: for all units the mean over space of the positive part, then for all units the
/// maximum over space.
pub(super) fn probe(model: &Model, layers: &[Layer]) -> Result<Model> {
    let mut model = model.clone();
    let graph = &mut model.graph;
    let add = |graph: &mut Graph, path: String, op: Op, inputs: Vec<NodeId>| {
        graph.nodes.push(Node { path, op, inputs });
        NodeId::new(graph.nodes.len() - 1)
    };
    let (mut means, mut maxima) = (Vec::new(), Vec::new());
    for Layer { path, read, map, .. } in layers {
        let positive = add(graph, format!("{path}.unit_act"), Op::Activation(Activation::Relu), vec![*read]);
        let pool = GlobalAvgPool { keep_dims: true };
        means.push(add(graph, format!("{path}.unit_mean"), Op::GlobalAvgPool(pool), vec![positive]));
        let pool = MaxPool { kernel: *map, stride: [1, 1], padding: [0; 4] };
        maxima.push(add(graph, format!("{path}.unit_max"), Op::MaxPool(pool), vec![*read]));
    }
    means.append(&mut maxima);
    let all = add(graph, "units".into(), Op::Concat(Concat { axis: 0 }), means);
    graph.outputs = vec![all];
    graph.validate()?;
    Ok(model)
}
