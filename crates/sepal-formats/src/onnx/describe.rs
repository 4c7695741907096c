//! What a file holds, without importing it.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::Serialize;

use super::load;
use super::proto::{EXTERNAL, Extent, ModelProto, TensorProto, ValueInfoProto, dtype};
use crate::error::Result;

/// An ONNX file at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// Version of the file's layout.
    pub ir_version: i64,
    /// Versions of the operator sets by domain; the standard one is `ai.onnx`.
    pub opsets: BTreeMap<String, i64>,
    /// The tool that wrote it, and its version.
    pub producer: String,
    /// The graph's name.
    pub name: String,
    /// What must be given.
    pub inputs: Vec<Value>,
    /// What comes out.
    pub outputs: Vec<Value>,
    /// How many nodes there are of each operator; those of other domains with the domain before a dot.
    pub operators: BTreeMap<String, usize>,
    /// The tensors stored in the file, or beside it.
    pub tensors: Vec<Value>,
    /// The metadata.
    pub metadata: BTreeMap<String, String>,
}

/// A named tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Value {
    /// Its name.
    pub name: String,
    /// The type of its elements, such as `float`.
    pub dtype: String,
    /// Its dimensions: numbers, names of those that are not fixed, or `?`.
    pub dims: Vec<String>,
    /// Whether its values are in another file.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
}

/// Describes the file at `path`, whatever its operators.
///
/// # Errors
/// [`FormatError::Read`](crate::FormatError::Read), [`FormatError::Protobuf`](crate::FormatError::Protobuf), or
/// [`FormatError::Onnx`](crate::FormatError::Onnx) if it has no graph.
pub fn describe(path: impl AsRef<Path>) -> Result<Description> {
    let path = path.as_ref();
    description(&load::file(path)?, &path.display().to_string())
}

fn description(model: &ModelProto, file: &str) -> Result<Description> {
    let graph = load::graph(model, file)?;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut operators = BTreeMap::new();
    for node in &graph.node {
        let (domain, op) = (node.domain.as_deref().unwrap_or_default(), node.op_type.as_deref().unwrap_or_default());
        let name = if is_standard(domain) { op.to_owned() } else { format!("{domain}.{op}") };
        *operators.entry(name).or_default() += 1;
    }
    let opset = |set: &super::proto::OperatorSetIdProto| {
        let domain = set.domain.as_deref().unwrap_or_default();
        let domain = if is_standard(domain) { "ai.onnx" } else { domain };
        (domain.to_owned(), set.version.unwrap_or_default())
    };
    let tensors: Vec<Value> = graph.initializer.iter().map(tensor).collect();
    // Before layout version 4 every stored tensor was also listed as an input.
    let stored: HashSet<&str> = tensors.iter().map(|t| t.name.as_str()).collect();
    let producer = format!("{} {}", text(&model.producer_name), text(&model.producer_version));
    Ok(Description {
        ir_version: model.ir_version.unwrap_or_default(),
        opsets: model.opset_import.iter().map(opset).collect(),
        producer: producer.trim().to_owned(),
        name: text(&graph.name),
        inputs: graph.input.iter().map(value).filter(|v| !stored.contains(v.name.as_str())).collect(),
        outputs: graph.output.iter().map(value).collect(),
        operators,
        metadata: model.metadata_props.iter().map(|entry| (text(&entry.key), text(&entry.value))).collect(),
        tensors,
    })
}

/// Whether a domain is that of the standard operator set.
pub(super) fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

fn tensor(tensor: &TensorProto) -> Value {
    Value {
        name: tensor.name.clone().unwrap_or_default(),
        dtype: dtype::name(tensor.data_type.unwrap_or_default()),
        dims: tensor.dims.iter().map(i64::to_string).collect(),
        external: tensor.data_location == Some(EXTERNAL),
    }
}

fn value(info: &ValueInfoProto) -> Value {
    let kind = info.kind.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let shape = kind.and_then(|kind| kind.shape.as_ref());
    let dims = shape.map_or(&[][..], |shape| &shape.dim).iter().map(|dim| match &dim.value {
        Some(Extent::Value(size)) => size.to_string(),
        Some(Extent::Param(name)) if !name.is_empty() => name.clone(),
        Some(Extent::Param(_)) | None => "?".to_owned(),
    });
    Value {
        name: info.name.clone().unwrap_or_default(),
        dtype: kind.and_then(|kind| kind.elem_type).map_or_else(|| "not a tensor".into(), dtype::name),
        dims: dims.collect(),
        external: false,
    }
}
