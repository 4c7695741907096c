//! Reading ONNX as a model.
//!
//! The nodes are visited in topological order. What depends on constants alone is computed (`fold`), so shapes that a
//! file works out by itself are numbers by the time a node needs them, the batch size standing for itself. What depends
//! on pictures becomes operators of the graph (`lower/`), patterns of several nodes one operator (`patterns`). Parts of
//! a pattern that nothing else reads are left behind at the end (`finish`), where paths are chosen too (`names`).

mod build;
mod finish;
mod fold;
mod lower;
mod names;
mod node;
mod patterns;
mod sort;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use prost::bytes::Bytes;
use sepal_graph::{Input, Model, NodeId, Shape};

use super::array::{self, Array, Data};
use super::describe::is_standard;
use super::external::Folder;
use super::proto::{Extent, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use super::{load, meta};
use crate::error::{FormatError, MissingOperator, Result};
use build::Built;
use sort::Sorted;

/// Versions of the standard operator set whose meaning is known here.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=24;
/// Values that computing constants may touch besides four times the file's own.
const WORK: u64 = 1 << 25;

/// Why a node cannot be read.
enum Fail {
    /// It contradicts itself, or is used in a way that is not supported.
    Wrong(String),
    /// Its operator is missing, or is in this use; all of these are reported together.
    Missing(String),
    /// It reads what a missing operator computes.
    Follows,
    /// The graph does not take it.
    Graph(sepal_graph::Error),
}

impl Fail {
    fn wrong(reason: impl Into<String>) -> Self {
        Self::Wrong(reason.into())
    }
}

impl From<sepal_graph::Error> for Fail {
    fn from(error: sepal_graph::Error) -> Self {
        Self::Graph(error)
    }
}

type Res<T> = std::result::Result<T, Fail>;

/// A constant: its name in the file, which may become a path, and its values.
#[derive(Clone)]
struct Constant<'a> {
    label: &'a str,
    from: Origin<'a>,
}

/// Where a constant's values are.
#[derive(Clone)]
enum Origin<'a> {
    /// In the file, not yet decoded.
    Stored(&'a TensorProto),
    /// Computed.
    Array(Rc<Array>),
}

/// What a name of the file stands for.
#[derive(Clone)]
enum Value<'a> {
    /// A value of the graph, with the batch as a dimension before its own.
    Node(NodeId),
    Constant(Constant<'a>),
    /// What a missing operator computes, or part of a pattern.
    Missing,
}

struct Importer<'a> {
    file: &'a str,
    opset: i64,
    nodes: &'a [NodeProto],
    /// The node that makes a value.
    producers: HashMap<&'a str, usize>,
    folder: &'a Folder,
    values: HashMap<&'a str, Value<'a>>,
    built: Built<'a>,
    /// Constants that have become nodes, by label and dimensions.
    constants: HashMap<(&'a str, Vec<usize>), NodeId>,
    /// Operators that are missing, by node.
    missing: BTreeMap<usize, String>,
    /// The batch size, if the file fixes it.
    batch: Option<i64>,
    /// Values that may still be touched.
    work: u64,
}

/// The model that a file describes.
pub(super) fn model(model: &ModelProto, folder: &Folder, file: &str) -> Result<Model> {
    let graph = load::graph(model, file)?;
    let wrong = |at: &str, reason: String| FormatError::Onnx { file: file.to_owned(), at: at.to_owned(), reason };
    let sets = model.opset_import.iter().filter(|set| is_standard(set.domain.as_deref().unwrap_or_default()));
    let opset = sets.filter_map(|set| set.version).max().unwrap_or_default();
    if !OPSETS.contains(&opset) {
        let (first, last) = (OPSETS.start(), OPSETS.end());
        return Err(wrong("the model", format!("uses opset {opset}; {first} to {last} are read")));
    }
    let [output] = graph.output.as_slice() else {
        let names: Vec<&str> = graph.output.iter().filter_map(|output| output.name.as_deref()).collect();
        let reason = format!("has {} outputs ({}); one is read", names.len(), names.join(", "));
        return Err(wrong("the graph", reason));
    };
    let output = output.name.as_deref().unwrap_or_default();
    let sorted = Sorted::new(graph, output).map_err(|(at, reason)| wrong(&at, reason))?;
    unknown_operators(graph, &sorted, opset, file)?;
    let bytes: u64 = graph.initializer.iter().map(|t| t.raw_data.as_ref().map_or(0, Bytes::len) as u64).sum();
    let mut importer = Importer {
        file,
        opset,
        nodes: &graph.node,
        producers: sorted.producers,
        folder,
        values: HashMap::new(),
        built: Built::default(),
        constants: HashMap::new(),
        missing: BTreeMap::new(),
        batch: None,
        work: WORK.saturating_add(bytes),
    };
    for tensor in &graph.initializer {
        let label = tensor.name.as_deref().unwrap_or_default();
        importer.values.insert(label, Value::Constant(Constant { label, from: Origin::Stored(tensor) }));
    }
    importer.inputs(graph, model)?;
    for index in sorted.order {
        importer.visit(index)?;
    }
    let output = importer.result(output)?;
    let own = model.producer_name.as_deref() == Some("sepal");
    let name = graph.name.clone().unwrap_or_default();
    let (graph, weights) = finish::finish(importer, output, name, own)?;
    let meta = meta::read(&model.metadata_props, &graph);
    Model::new(graph, weights, meta).map_err(|source| FormatError::Model { file: file.to_owned(), source })
}

/// An error with every operator of the file that is not read.
fn unknown_operators(graph: &GraphProto, sorted: &Sorted<'_>, opset: i64, file: &str) -> Result<()> {
    let nodes = sorted.order.iter().filter_map(|&index| Some((index, graph.node.get(index)?)));
    let unknown = nodes.filter(|(_, node)| {
        !is_standard(node.domain.as_deref().unwrap_or_default()) || !lower::OPERATORS.contains(&node.op())
    });
    let missing: Vec<MissingOperator> = unknown
        .map(|(index, node)| {
            let domain = node.domain.as_deref().filter(|domain| !is_standard(domain));
            let operator = domain.map_or_else(|| node.op().to_owned(), |domain| format!("{domain}.{}", node.op()));
            MissingOperator { operator, node: label(node, index), opset }
        })
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(FormatError::OnnxOperators { file: file.to_owned(), missing }) }
}

/// What an error calls a node: its name, else its output's, else its position.
fn label(node: &NodeProto, index: usize) -> String {
    let name = node.name.as_deref().filter(|name| !name.is_empty());
    let output = || node.output.iter().map(String::as_str).find(|name| !name.is_empty());
    name.or_else(output).map_or_else(|| format!("#{index}"), str::to_owned)
}

impl<'a> Importer<'a> {
    /// The network's inputs, those among the file's that no stored tensor fills.
    fn inputs(&mut self, graph: &'a GraphProto, model: &ModelProto) -> Result<()> {
        for info in &graph.input {
            let name = info.name.as_deref().unwrap_or_default();
            if matches!(self.values.get(name), Some(Value::Constant(_))) {
                continue;
            }
            let fail = |reason: String| FormatError::Onnx {
                file: self.file.to_owned(),
                at: format!("input `{name}`"),
                reason,
            };
            let (batch, dims) = input_dims(info, meta::input_size(&model.metadata_props)).map_err(fail)?;
            let shape = Shape::new(dims).map_err(|e| fail(e.to_string()))?;
            let id = self.built.input(name, Input { shape }).map_err(|e| fail(e.to_string()))?;
            self.batch = self.batch.or(batch);
            self.values.insert(name, Value::Node(id));
        }
        Ok(())
    }

    /// Computes a node, makes operators of it, or notes that it cannot be read.
    fn visit(&mut self, index: usize) -> Result<()> {
        let Some(node) = self.nodes.get(index) else { return Ok(()) };
        let wrong = |reason: String| FormatError::Onnx {
            file: self.file.to_owned(),
            at: format!("node `{}` ({})", label(node, index), node.op()),
            reason,
        };
        let values = match self.outputs(node) {
            Ok(values) => values,
            Err(Fail::Follows) => Vec::new(),
            Err(Fail::Missing(operator)) => {
                self.missing.insert(index, operator);
                Vec::new()
            }
            Err(Fail::Wrong(reason)) => return Err(wrong(reason)),
            Err(Fail::Graph(error)) => return Err(wrong(error.to_string())),
        };
        let values = values.into_iter().chain(std::iter::repeat(Value::Missing));
        for (name, value) in node.output.iter().zip(values) {
            if !name.is_empty() {
                self.values.insert(name, value);
            }
        }
        Ok(())
    }

    fn outputs(&mut self, node: &'a NodeProto) -> Res<Vec<Value<'a>>> {
        if let Some(value) = self.folded(node)? {
            return Ok(vec![value]);
        }
        if let Some(id) = self.pattern(node)? {
            return Ok(vec![Value::Node(id)]);
        }
        self.lower(node)
    }

    /// The graph's value that the network returns, unless something on the way to it is missing.
    fn result(&mut self, output: &'a str) -> Result<NodeId> {
        match self.values.get(output) {
            Some(Value::Node(id)) => Ok(*id),
            Some(Value::Missing) => {
                Err(FormatError::OnnxOperators { file: self.file.to_owned(), missing: self.missing_before(output) })
            }
            Some(Value::Constant(_)) | None => Err(FormatError::Onnx {
                file: self.file.to_owned(),
                at: format!("output `{output}`"),
                reason: "does not depend on any input".into(),
            }),
        }
    }

    /// The missing operators that keep a value from being known.
    fn missing_before(&self, name: &'a str) -> Vec<MissingOperator> {
        let mut found = BTreeMap::new();
        let (mut seen, mut open) = (BTreeSet::new(), vec![name]);
        while let Some(name) = open.pop() {
            let Some(&index) = self.producers.get(name) else { continue };
            let Some(node) = self.nodes.get(index) else { continue };
            if !matches!(self.values.get(name), Some(Value::Missing)) || !seen.insert(index) {
                continue;
            }
            match self.missing.get(&index) {
                Some(operator) => {
                    let (operator, node) = (operator.clone(), label(node, index));
                    found.insert(index, MissingOperator { operator, node, opset: self.opset });
                }
                None => open.extend(node.input.iter().map(String::as_str)),
            }
        }
        found.into_values().collect()
    }

    /// A value by name.
    fn value(&self, name: &str) -> Option<&Value<'a>> {
        self.values.get(name)
    }

    /// A node's input as a value of the graph; a constant becomes one if it has a single row.
    fn input(&mut self, node: &'a NodeProto, i: usize) -> Res<NodeId> {
        let name = node.given(i).ok_or_else(|| Fail::wrong(format!("input {i} is left out")))?;
        match self.value(name).cloned() {
            Some(Value::Node(id)) => Ok(id),
            Some(Value::Constant(constant)) => {
                let dims = self.dims_of(&constant)?;
                match dims.split_first() {
                    Some((1, dims)) if !dims.is_empty() => self.constant_node(&constant, dims.to_vec()),
                    _ => Err(Fail::wrong(format!(
                        "the constant `{name}` of dimensions {dims:?} stands where a value for each image is read"
                    ))),
                }
            }
            Some(Value::Missing) | None => Err(Fail::Follows),
        }
    }

    /// A node's input, if it is given and a constant.
    fn constant(&self, node: &'a NodeProto, i: usize) -> Option<Constant<'a>> {
        match self.value(node.given(i)?) {
            Some(Value::Constant(constant)) => Some(constant.clone()),
            _ => None,
        }
    }

    /// A node's input that must be a constant: a weight.
    fn weight(&self, node: &'a NodeProto, i: usize, what: &str) -> Res<Constant<'a>> {
        let name = node.given(i).ok_or_else(|| Fail::wrong(format!("has no {what}")))?;
        match self.value(name) {
            Some(Value::Constant(constant)) => Ok(constant.clone()),
            Some(Value::Node(_)) => Err(Fail::Missing(format!("{} with a computed {what}", node.op()))),
            Some(Value::Missing) | None => Err(Fail::Follows),
        }
    }

    fn dims_of(&self, constant: &Constant<'a>) -> Res<Vec<usize>> {
        match &constant.from {
            Origin::Stored(tensor) => array::dims(tensor).map_err(|reason| tensor_fail(constant.label, &reason)),
            Origin::Array(array) => Ok(array.dims.clone()),
        }
    }

    /// A constant's values. Counts what is decoded.
    fn array(&mut self, constant: &Constant<'a>) -> Res<Rc<Array>> {
        match &constant.from {
            Origin::Array(array) => Ok(Rc::clone(array)),
            Origin::Stored(tensor) => {
                let count = array::elements(&self.dims_of(constant)?).unwrap_or_default();
                self.spend(count)?;
                let raw = self.folder.raw(tensor);
                let array = raw.and_then(|raw| array::decode(tensor, raw.as_ref()));
                array.map(Rc::new).map_err(|reason| tensor_fail(constant.label, &reason))
            }
        }
    }

    /// Counts values that are about to be touched or allocated.
    fn spend(&mut self, values: usize) -> Res<()> {
        let left = self.work.checked_sub(values as u64);
        self.work = left.ok_or_else(|| Fail::wrong("the file's constants take more work than its size warrants"))?;
        Ok(())
    }

    /// The only element of a constant, if it has just one.
    fn scalar(&mut self, name: &str) -> Option<f32> {
        let Some(Value::Constant(constant)) = self.value(name).cloned() else { return None };
        if array::elements(&self.dims_of(&constant).ok()?)? != 1 {
            return None;
        }
        self.array(&constant).ok()?.to_floats()?.first().copied()
    }

    /// A constant input of whole numbers that do not depend on the batch size.
    fn known_ints(&mut self, node: &'a NodeProto, i: usize, what: &str) -> Res<Option<Vec<i64>>> {
        if node.given(i).is_none() {
            return Ok(None);
        }
        let constant = self.weight(node, i, what)?;
        let array = self.array(&constant)?;
        match &array.data {
            Data::Int(_) => match array.known_ints() {
                Some(list) => Ok(Some(list)),
                None => Err(Fail::wrong(format!("its {what} depends on the batch size"))),
            },
            Data::Float(_) => Err(Fail::wrong(format!("its {what} is not of whole numbers"))),
        }
    }
}

fn tensor_fail(name: &str, reason: &str) -> Fail {
    Fail::Wrong(format!("tensor `{name}`: {reason}"))
}

/// The batch size, if fixed, and the other dimensions of an input; `size` stands for a height and width left open.
fn input_dims(
    info: &ValueInfoProto,
    size: Option<[usize; 2]>,
) -> std::result::Result<(Option<i64>, Vec<usize>), String> {
    let shape = info.kind.as_ref().and_then(|kind| kind.tensor_type.as_ref()).and_then(|kind| kind.shape.as_ref());
    let shape = shape.ok_or("has no shape; export the model with one")?;
    let extents: Vec<Option<i64>> = (shape.dim.iter())
        .map(|dim| match dim.value {
            Some(Extent::Value(size)) => Some(size),
            Some(Extent::Param(_)) | None => None,
        })
        .collect();
    let Some((batch, rest)) = extents.split_first().filter(|(_, rest)| !rest.is_empty()) else {
        return Err(format!("has {} dimensions; a batch and at least one more are read", extents.len()));
    };
    let mut dims = Vec::with_capacity(rest.len());
    for (i, extent) in rest.iter().enumerate() {
        let open = || size.filter(|_| rest.len() == 3 && i > 0).and_then(|size| size.get(i - 1).copied());
        match extent {
            Some(n) => dims.push(usize::try_from(*n).map_err(|_| format!("has a dimension of {n}"))?),
            None => dims.push(open().ok_or_else(|| {
                format!("leaves dimension {} open; export the model with a fixed size (only the batch may vary)", i + 1)
            })?),
        }
    }
    Ok((*batch, dims))
}
