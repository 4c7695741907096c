//! Writing a model as ONNX.

mod activation;
mod ops;
mod writer;

use sepal_graph::{Model, NodeId, Op, Shape};

use super::meta;
use super::proto::{
    Dimension, Extent, GraphProto, ModelProto, OperatorSetIdProto, TensorShapeProto, TensorType, TypeProto,
    ValueInfoProto, dtype,
};
use crate::error::{FormatError, Result};
use writer::Writer;

/// The version of the file's layout: later ones are refused by runtimes still in use.
const IR_VERSION: i64 = 8;
/// Versions of the operator set that can be written.
pub const OPSETS: std::ops::RangeInclusive<i64> = 15..=17;
/// The name of the batch dimension.
const BATCH: &str = "N";

/// What an exported file looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportOptions {
    /// Version of the standard operator set, one of [`OPSETS`]. Layer norms need 17.
    pub opset: i64,
    /// How many images a run takes; any number, the dimension `N`, if `None`.
    pub batch: Option<usize>,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self { opset: 17, batch: None }
    }
}

/// The model as a message.
pub(super) fn model(model: &Model, options: &ExportOptions, file: &str) -> Result<ModelProto> {
    model.check().map_err(|source| FormatError::Model { file: file.to_owned(), source })?;
    let wrong = |reason: String| FormatError::Onnx { file: file.to_owned(), at: "the options".into(), reason };
    if !OPSETS.contains(&options.opset) {
        let (first, last) = (OPSETS.start(), OPSETS.end());
        return Err(wrong(format!("opset {} is not written; {first} to {last} are", options.opset)));
    }
    let batch = match options.batch.map(i64::try_from) {
        None => Extent::Param(BATCH.to_owned()),
        Some(Ok(n @ 1..)) => Extent::Value(n),
        Some(_) => return Err(wrong("a batch has at least one image".into())),
    };
    let graph = graph(model, options, &batch, file)?;
    Ok(ModelProto {
        ir_version: Some(IR_VERSION),
        producer_name: Some("sepal".into()),
        producer_version: Some(env!("CARGO_PKG_VERSION").into()),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(options.opset) }],
        metadata_props: meta::write(&model.meta),
    })
}

fn graph(model: &Model, options: &ExportOptions, batch: &Extent, file: &str) -> Result<GraphProto> {
    let Model { graph, weights, .. } = model;
    let fail = |source| FormatError::Model { file: file.to_owned(), source };
    let shapes = graph.shapes().map_err(fail)?;
    let mut writer = Writer::new(graph, weights, &shapes).map_err(fail)?;
    for (id, node) in graph.iter() {
        if matches!(node.op, Op::LayerNorm(_)) && options.opset < 17 {
            return Err(FormatError::Onnx {
                file: file.to_owned(),
                at: format!("node `{}`", node.path),
                reason: format!("LayerNormalization needs opset 17, not {}", options.opset),
            });
        }
        ops::write(&mut writer, id, node).map_err(|e| fail(e.at(&node.path)))?;
    }
    let inputs = interface(&shapes, batch, &graph.inputs, |id| Ok(writer.value(id).to_owned()))?;
    let outputs = interface(&shapes, batch, &graph.outputs.clone(), |id| writer.output(id).map_err(fail))?;
    Ok(GraphProto {
        name: Some(graph.name.clone()),
        node: writer.nodes,
        initializer: writer.initializers,
        input: inputs,
        output: outputs,
    })
}

/// Names and types of the network's inputs or outputs.
fn interface(
    shapes: &[Shape],
    batch: &Extent,
    ids: &[NodeId],
    mut name: impl FnMut(NodeId) -> Result<String>,
) -> Result<Vec<ValueInfoProto>> {
    let mut list = Vec::with_capacity(ids.len());
    for &id in ids {
        let shape = shapes.get(id.index()).map_or(&[][..], Shape::dims);
        let extents = std::iter::once(batch.clone()).chain(shape.iter().map(|&n| Extent::Value(n as i64)));
        let dim = extents.map(|value| Dimension { value: Some(value) }).collect();
        let tensor_type = TensorType { elem_type: Some(dtype::FLOAT), shape: Some(TensorShapeProto { dim }) };
        list.push(ValueInfoProto { name: Some(name(id)?), kind: Some(TypeProto { tensor_type: Some(tensor_type) }) });
    }
    Ok(list)
}
