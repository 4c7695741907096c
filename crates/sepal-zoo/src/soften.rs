//! Soft sharing in a network that was built without it. Guo et al. 2019, arXiv:1902.00927, §3.3.

use sepal_graph::{Builder, GatedSum, Graph, NodeId, Op, Result};

use crate::blocks;

/// Replaces every depthwise convolution by one for each of `domains`, on the same input and with the same attributes,
/// and their sum weighted by a gate. The sum has the convolution's path, `LAYER`; the kernels are `LAYER.DOMAIN`, the
/// gate's layers `LAYER.gate.…` ([`sepal_graph::sharing::gated`] finds them again). Other nodes stay as they are, so that
/// their weights still fit.
///
/// # Errors
/// The graph is not valid, or becomes too large.
pub fn soften(graph: &Graph, domains: &[&str]) -> Result<Graph> {
    let shapes = graph.shapes()?;
    let mut b = Builder::new(&graph.name);
    let mut new: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|input| new[input.index()]).collect();
        let value = match (&node.op, &inputs[..]) {
            (Op::Conv2d(conv), &[x]) if conv.is_depthwise(shapes[node.inputs[0].index()].channels()) => {
                let mut terms = vec![b.scope(&node.path, |b| blocks::gate(b, x, domains.len()))?];
                for domain in domains {
                    terms.push(b.conv(&format!("{}.{domain}", node.path), x, conv.clone())?);
                }
                b.node(&node.path, GatedSum {}, &terms)?
            }
            (op, inputs) => b.node(&node.path, op.clone(), inputs)?,
        };
        new.push(value);
    }
    let outputs: Vec<NodeId> = graph.outputs.iter().map(|output| new[output.index()]).collect();
    b.finish(&outputs)
}
