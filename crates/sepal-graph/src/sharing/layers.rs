//! What each node of a network is, as far as sharing is concerned.

use super::Protocol;
use crate::{Conv2d, Error, Graph, NodeId, Op, Result, Shape};

/// Layers named in an error; there may be hundreds.
const MAX_SHOWN: usize = 6;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    /// The layer that tells classes apart.
    Classifier,
    /// A convolution of one kernel for each channel.
    Depthwise,
    /// One of those whose sum a gate weighs.
    Gated,
    /// A 1×1 convolution of all channels, or a linear layer.
    Pointwise,
    /// A linear layer of a gate.
    Gate,
    /// A convolution that looks at neighbours and mixes channels, before any depthwise one.
    Stem,
    /// The same after a depthwise one.
    Inseparable,
    /// A norm, an activation, or what has no parameters.
    Other,
}

/// What every node is.
pub(super) fn layers(graph: &Graph) -> Result<Vec<Layer>> {
    let shapes = graph.shapes()?;
    let classifier = graph.classifier();
    let mut layers = Vec::with_capacity(graph.nodes.len());
    let mut after_depthwise = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.iter() {
        let below = node.inputs.iter().any(|input| after_depthwise[input.index()]);
        let mixing = if below { Layer::Inseparable } else { Layer::Stem };
        let channels = node.inputs.first().map_or(0, |input| shapes[input.index()].channels());
        let layer = match &node.op {
            _ if Some(id) == classifier => Layer::Classifier,
            Op::Conv2d(conv) if conv.is_pointwise() => Layer::Pointwise,
            Op::Conv2d(conv) if is_depthwise(conv, channels) => Layer::Depthwise,
            Op::Conv2d(_) | Op::ConvTranspose2d(_) => mixing,
            Op::Linear(_) => Layer::Pointwise,
            Op::Input(_)
            | Op::BatchNorm(_)
            | Op::Activation(_)
            | Op::Add(_)
            | Op::Subtract(_)
            | Op::Multiply(_)
            | Op::Divide(_)
            | Op::Constant(_)
            | Op::Concat(_)
            | Op::Slice(_)
            | Op::Pad(_)
            | Op::Interpolate(_)
            | Op::Reshape(_)
            | Op::Transpose(_)
            | Op::Softmax(_)
            | Op::Mean(_)
            | Op::LayerNorm(_)
            | Op::GatedSum(_)
            | Op::MaxPool(_)
            | Op::AvgPool(_)
            | Op::GlobalAvgPool(_)
            | Op::Dropout(_)
            | Op::Flatten(_) => Layer::Other,
        };
        after_depthwise.push(below || layer == Layer::Depthwise);
        layers.push(layer);
    }
    mark_gates(graph, &shapes, &mut layers);
    Ok(layers)
}

/// One kernel, or several, for each channel.
fn is_depthwise(conv: &Conv2d, channels: usize) -> bool {
    conv.is_depthwise(channels) || (conv.groups == channels && channels > 1)
}

/// The kernels of gated sums, and the linear layers that lead to their gates, back to where those read a map.
fn mark_gates(graph: &Graph, shapes: &[Shape], layers: &mut [Layer]) {
    for node in &graph.nodes {
        let (Op::GatedSum(_), [gate, kernels @ ..]) = (&node.op, &node.inputs[..]) else { continue };
        for kernel in kernels.iter().filter(|id| layers[id.index()] == Layer::Depthwise).copied().collect::<Vec<_>>() {
            layers[kernel.index()] = Layer::Gated;
        }
        let mut open: Vec<NodeId> = vec![*gate];
        while let Some(id) = open.pop().filter(|id| shapes[id.index()].rank() == 1) {
            if layers[id.index()] == Layer::Pointwise {
                layers[id.index()] = Layer::Gate;
            }
            open.extend(graph.node(id).into_iter().flat_map(|node| &node.inputs));
        }
    }
}

/// Refuses a network that cannot be taken apart into depthwise and pointwise.
pub(super) fn check_separable(protocol: Protocol, graph: &Graph, layers: &[Layer]) -> Result<()> {
    let separable = layers.iter().any(|layer| matches!(layer, Layer::Depthwise | Layer::Gated));
    let wrong = |layer: Layer| layer == Layer::Inseparable || (!separable && layer == Layer::Stem);
    let found = graph.nodes.iter().zip(layers).filter(|(_, layer)| wrong(**layer));
    let named: Vec<String> = found.map(|(node, _)| describe(&node.path, &node.op)).collect();
    if separable && named.is_empty() {
        return Ok(());
    }
    let more = named.len().saturating_sub(MAX_SHOWN);
    let layers = named.into_iter().take(MAX_SHOWN).collect();
    Err(Error::NotSeparable { protocol, graph: graph.name.clone(), layers, more })
}

fn describe(path: &str, op: &Op) -> String {
    let ([h, w], groups) = match op {
        Op::Conv2d(conv) => (conv.kernel, conv.groups),
        Op::ConvTranspose2d(conv) => (conv.kernel, conv.groups),
        _ => return format!("`{path}`"),
    };
    let groups = if groups > 1 { format!(", {groups} groups") } else { String::new() };
    format!("`{path}` ({h}×{w}{groups})")
}
