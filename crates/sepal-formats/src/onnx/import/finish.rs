//! From what was made to a graph with weights.

use sepal_graph::{Graph, Node, NodeId, Weights};

use super::{Fail, Importer, names};
use crate::error::{FormatError, Result};

/// The graph of all that the output depends on, and its weights. `own` says that the file was written here, so that
/// names are paths already.
pub(super) fn finish(mut importer: Importer<'_>, output: NodeId, name: String, own: bool) -> Result<(Graph, Weights)> {
    let made = std::mem::take(&mut importer.built.nodes);
    let mut needed = vec![false; made.len()];
    // Inputs stay, used or not: they are the network's interface.
    for id in importer.built.inputs.iter().chain([&output]) {
        needed[id.index()] = true;
    }
    for index in (0..made.len()).rev() {
        if needed[index] {
            made[index].inputs.iter().for_each(|input| needed[input.index()] = true);
        }
    }
    let mut new_index = Vec::with_capacity(made.len());
    let mut next = 0;
    for &needed in &needed {
        new_index.push(NodeId::new(next));
        next += usize::from(needed);
    }
    let renumber = |id: &NodeId| new_index[id.index()];
    let kept: Vec<_> = made.iter().zip(&needed).filter(|(_, needed)| **needed).map(|(made, _)| made).collect();
    let paths = names::paths(&kept, own);
    let nodes = (kept.iter().zip(paths)).map(|(made, path)| Node {
        path,
        op: made.op.clone(),
        inputs: made.inputs.iter().map(renumber).collect(),
    });
    let inputs = importer.built.inputs.iter().map(renumber).collect();
    let name = if name.is_empty() { "onnx".to_owned() } else { name };
    let file = importer.file.to_owned();
    let fail = |source| FormatError::Model { file: file.clone(), source };
    let graph = Graph::new(name, nodes.collect(), inputs, vec![renumber(&output)]).map_err(fail)?;
    let mut weights = Weights::new();
    for spec in graph.params().map_err(fail)? {
        let (Some(node), Some(made)) = (graph.node(spec.node), kept.get(spec.node.index())) else { continue };
        let name = spec.path.strip_prefix(node.path.as_str()).and_then(|name| name.strip_prefix('.'));
        let Some(param) = made.params.iter().find(|param| Some(param.name) == name) else { continue };
        let tensor = importer.tensor(param, spec.shape).map_err(|error| match error {
            Fail::Graph(source) => fail(source.at(&node.path)),
            Fail::Wrong(reason) | Fail::Missing(reason) => {
                let at = format!("node `{}` ({})", made.name, node.op.kind());
                FormatError::Onnx { file: file.clone(), at, reason }
            }
            Fail::Follows => fail(sepal_graph::Error::NoTensor { path: spec.path.clone(), nearest: None }),
        })?;
        weights.insert(spec.path, tensor);
    }
    Ok((graph, weights))
}
