//! Depthwise convolutions of several domains, mixed by gates.

use crate::{Concat, Graph, Node, NodeId, Op, Result};

/// A layer whose depthwise kernels are those of several domains: a [`GatedSum`](crate::GatedSum) of convolutions that
/// are called after their domains, `LAYER.DOMAIN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gated {
    /// The path of the sum, which is that of the depthwise convolution it stands for.
    pub layer: String,
    /// The node that computes the gate, a share for each domain.
    pub gate: NodeId,
    /// The domains with the convolutions of their kernels, in the gate's order.
    pub kernels: Vec<(String, NodeId)>,
}

/// The softly shared layers of a network, in its order. A sum of anything else than convolutions that are called after
/// domains is none.
#[must_use]
pub fn gated(graph: &Graph) -> Vec<Gated> {
    let layer = |(_, node): (NodeId, &Node)| {
        let (Op::GatedSum(_), [gate, kernels @ ..]) = (&node.op, &node.inputs[..]) else { return None };
        let kernel = |&id: &NodeId| {
            let kernel = graph.node(id).filter(|kernel| matches!(kernel.op, Op::Conv2d(_)))?;
            let domain = kernel.path.strip_prefix(&node.path)?.strip_prefix('.')?;
            Some((domain.to_owned(), id))
        };
        let kernels = kernels.iter().map(kernel).collect::<Option<Vec<_>>>()?;
        Some(Gated { layer: node.path.clone(), gate: *gate, kernels })
    };
    graph.iter().filter_map(layer).collect()
}

/// The network whose output is the gates of these layers of `graph`, one after the other; it has the same parameters.
///
/// # Errors
/// There is no layer, or they are of another graph.
pub fn gates_of(graph: &Graph, layers: &[Gated]) -> Result<Graph> {
    let mut graph = graph.clone();
    let gates: Vec<NodeId> = layers.iter().map(|layer| layer.gate).collect();
    graph.outputs = gates.clone();
    if gates.len() > 1 {
        graph.outputs = vec![NodeId::new(graph.nodes.len())];
        graph.nodes.push(Node { path: "domains.gates".into(), op: Concat { axis: 0 }.into(), inputs: gates });
    }
    graph.validate()?;
    Ok(graph)
}
