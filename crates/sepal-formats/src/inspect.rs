//! What a file holds, without knowing its architecture.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::error::Result;
use crate::source::Source;
use crate::state::StateDict;
use crate::{npy, onnx, tensors};

/// A file at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// What kind of file it is, such as `a PyTorch file (.pth)`.
    pub kind: String,
    /// The strings it keeps beside the tensors.
    pub metadata: BTreeMap<String, String>,
    /// Its tensors, in its order.
    pub tensors: Vec<TensorInfo>,
    /// What else it holds, and what is odd about it.
    pub notes: Vec<String>,
}

/// A tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorInfo {
    /// Its name; that of an array is empty.
    pub name: String,
    /// The type of its elements in the file, such as `F32`.
    pub dtype: String,
    /// Its dimensions, in PyTorch's order; none for a scalar.
    pub shape: Vec<u64>,
}

impl TensorInfo {
    /// Number of elements, if it is one.
    #[must_use]
    pub fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d))
    }
}

impl Inspection {
    /// Number of elements of all tensors.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.tensors.iter().filter_map(TensorInfo::elements).fold(0, u64::saturating_add)
    }
}

fn dims(shape: &[usize]) -> Vec<u64> {
    shape.iter().map(|&d| d as u64).collect()
}

/// A state dict that was read; tensors that are not finite are noted.
pub(crate) fn of_state(state: StateDict) -> Inspection {
    let mut notes: Vec<String> = state.skipped.iter().map(|(name, what)| format!("`{name}` is {what}")).collect();
    let mut infos = Vec::with_capacity(state.tensors.len());
    for named in state.tensors {
        if let Some(at) = named.tensor.data().iter().position(|v| !v.is_finite()) {
            notes.push(format!("`{}` is not finite at index {at}", named.name));
        }
        let shape = dims(named.tensor.shape());
        infos.push(TensorInfo { name: named.name, dtype: named.dtype.to_owned(), shape });
    }
    Inspection { metadata: state.metadata, tensors: infos, notes, ..Inspection::default() }
}

/// The header of a safetensors file.
pub(crate) fn safetensors(path: &Path) -> Result<Inspection> {
    let header = tensors::header(&mut Source::open(path)?)?;
    let info = |entry: tensors::Entry| TensorInfo {
        name: entry.name,
        dtype: entry.dtype.name().to_owned(),
        shape: dims(&entry.shape),
    };
    let tensors = header.entries.into_iter().map(info).collect();
    Ok(Inspection { metadata: header.metadata, tensors, ..Inspection::default() })
}

/// A NumPy array.
pub(crate) fn array(path: &Path) -> Result<Inspection> {
    let (dtype, tensor) = npy::describe(path)?;
    let info = TensorInfo { name: String::new(), dtype, shape: dims(tensor.shape()) };
    let mut notes = Vec::new();
    let finite = tensor.data().iter().copied().filter(|v| v.is_finite());
    let (low, high) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low <= high {
        notes.push(format!("values from {low} to {high}"));
    }
    let odd = tensor.data().iter().filter(|v| !v.is_finite()).count();
    if odd > 0 {
        notes.push(format!("{odd} values are not finite"));
    }
    Ok(Inspection { tensors: vec![info], notes, ..Inspection::default() })
}

/// An ONNX model: its stored tensors; what goes in and out, and its operators, are notes.
pub(crate) fn onnx_model(path: &Path) -> Result<Inspection> {
    let found = onnx::describe(path)?;
    let value = |value: &onnx::Value| format!("{} {}[{}]", value.name, value.dtype, value.dims.join(", "));
    let list = |values: &[onnx::Value]| values.iter().map(value).collect::<Vec<_>>().join(", ");
    let operators = found.operators.iter().map(|(name, n)| format!("{n} {name}")).collect::<Vec<_>>().join(", ");
    let notes = vec![
        format!("inputs: {}", list(&found.inputs)),
        format!("outputs: {}", list(&found.outputs)),
        format!("operators: {operators}"),
    ];
    let mut metadata = found.metadata;
    metadata.insert("ir_version".to_owned(), found.ir_version.to_string());
    metadata.insert("producer".to_owned(), found.producer);
    metadata.insert("graph".to_owned(), found.name);
    for (domain, version) in found.opsets {
        metadata.insert(format!("opset {domain}"), version.to_string());
    }
    let info = |value: onnx::Value| TensorInfo {
        name: value.name,
        dtype: value.dtype,
        shape: value.dims.iter().filter_map(|d| d.parse().ok()).collect(),
    };
    let tensors = found.tensors.into_iter().map(info).collect();
    Ok(Inspection { metadata, tensors, notes, ..Inspection::default() })
}
