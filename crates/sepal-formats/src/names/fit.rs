//! Fitting a file's tensors to a graph.

use std::collections::{HashMap, HashSet};

use sepal_graph::{Error, Graph, ParamSpec, Role, Tensor, Weights};

use super::map::Foreign;
use super::{Naming, TRACKED, candidates, keras};
use crate::error::{FormatError, Result};
use crate::state::{Named, StateDict};

/// Tensors of heads that are only there for training.
const AUXILIARY: [&str; 2] = ["AuxLogits.", "aux."];

/// What loading may leave out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Keep initial values where the file's classifier is for another number of classes, or is not there.
    pub reset_classifier: bool,
    /// Seed of these initial values.
    pub seed: u64,
}

/// How a file was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Whose names the file had; `None` if none were known, and its tensors were taken in their order.
    pub naming: Option<Naming>,
    /// Parameters that kept their initial values.
    pub reset: Vec<String>,
    /// Parameters that the file leaves out because they are constant there (the scale of Keras norms without one).
    pub constant: Vec<String>,
    /// Tensors of the file that nothing here needs: counts of batches, heads for training.
    pub ignored: Vec<String>,
}

/// Finds the tensors of `state` that are the parameters of `graph`, whoever named them.
///
/// Of the namings that are known for the graph's family (the part of its name before a colon) the one that finds most
/// is taken. If none finds anything, a file that keeps the order of layers may also be taken in that order, when it has
/// as many tensors as the graph parameters and every kind and shape agrees. Shapes agree if they do without dimensions
/// of one.
///
/// # Errors
/// [`FormatError::Model`] with everything that is missing, unexpected or misshapen under those names, each with the
/// nearest; or if the graph is not valid, or weights are not finite.
pub fn load(graph: &Graph, state: StateDict, options: &LoadOptions) -> Result<(Weights, Report)> {
    let file = state.file.clone();
    let wrong = |source: Error| FormatError::Model { file: file.clone(), source };
    let specs = graph.params().map_err(wrong)?;
    let (ordered, by_class) = (state.ordered, state.by_class);
    let mut report = Report::default();
    let mut tensors = Vec::with_capacity(state.tensors.len());
    for named in state.tensors {
        let tracked = named.name.rsplit('.').next() == Some(TRACKED);
        if tracked || AUXILIARY.iter().any(|prefix| named.name.starts_with(prefix)) {
            report.ignored.push(named.name);
        } else {
            tensors.push(named);
        }
    }

    let ranked = keras::ranked(tensors.iter().map(|named| named.name.as_str()));
    let plain: HashSet<&str> = tensors.iter().map(|named| named.name.as_str()).collect();
    let by_rank: HashSet<&str> =
        tensors.iter().zip(&ranked).map(|(named, ranked)| ranked.as_deref().unwrap_or(&named.name)).collect();
    let found = |naming: Naming, names: &[Foreign]| {
        let there = if naming.is_keras() { &by_rank } else { &plain };
        names.iter().filter(|foreign| there.contains(foreign.name.as_str())).count()
    };
    let mut candidates = candidates(graph, &specs);
    // Both number layers, but count in another order: the shapes might agree and the weights be another layer's.
    candidates.retain(|(naming, _)| *naming != if by_class { Naming::Keras } else { Naming::KerasClasses });
    let scored = candidates.iter().map(|(naming, names)| (found(*naming, names), *naming, names));
    // The first of the best, so that torchvision's names are timm's where they are the same.
    let Some((count, naming, names)) = scored.rev().max_by_key(|(count, ..)| *count) else {
        return Err(wrong(Error::Interface("the graph has no names".into())));
    };
    if count == 0
        && ordered
        && let Some(weights) = in_order(&specs, &tensors).map_err(wrong)?
    {
        weights.check_finite().and_then(|()| weights.check_variances(graph)).map_err(wrong)?;
        return Ok((weights, report));
    }
    report.naming = Some(naming);
    let names = names.clone();
    let mut given: HashMap<String, Tensor> = HashMap::with_capacity(tensors.len());
    let mut order = Vec::with_capacity(tensors.len());
    for (Named { name, tensor, .. }, ranked) in tensors.into_iter().zip(ranked) {
        let name = ranked.filter(|_| naming.is_keras()).unwrap_or(name);
        order.push(name.clone());
        given.insert(name, tensor);
    }
    let initial =
        if options.reset_classifier { Some(Weights::init(graph, options.seed).map_err(wrong)?) } else { None };
    let head = graph.nodes.iter().position(|node| node.path.rsplit('.').next() == Some("classifier"));

    let mut weights = Weights::new();
    let (mut missing, mut misshapen) = (Vec::new(), Vec::new());
    for (spec, foreign) in specs.iter().zip(&names) {
        let tensor = given.remove(&foreign.name);
        let shape = tensor.as_ref().map(|tensor| tensor.shape().to_vec());
        if let Some(tensor) = tensor.and_then(|tensor| reshape(tensor, &spec.shape)) {
            weights.insert(spec.path.clone(), tensor);
        } else if let Some(tensor) = constant(naming, spec, shape.is_none()).map_err(wrong)? {
            report.constant.push(spec.path.clone());
            weights.insert(spec.path.clone(), tensor);
        } else if let (Some(initial), true) = (&initial, head.is_some_and(|head| spec.node.index() >= head)) {
            report.reset.push(spec.path.clone());
            weights.insert(spec.path.clone(), initial.get(&spec.path).map_err(wrong)?.clone());
        } else {
            match shape {
                Some(shape) => misshapen.push((foreign.name.clone(), foreign.shape.clone(), shape)),
                None => missing.push(foreign.name.clone()),
            }
        }
    }
    let unexpected: Vec<String> = order.into_iter().filter(|name| given.contains_key(name)).collect();
    if !missing.is_empty() || !unexpected.is_empty() || !misshapen.is_empty() {
        let network = match naming {
            Naming::Sepal => graph.name.clone(),
            _ => format!("{} by the names of {naming}", graph.name),
        };
        return Err(wrong(Error::mismatch(network, &missing, &unexpected, misshapen)));
    }
    weights.check_finite().and_then(|()| weights.check_variances(graph)).map_err(wrong)?;
    Ok((weights, report))
}

/// What a parameter is that Keras leaves out: norms may have no scale there.
fn constant(naming: Naming, spec: &ParamSpec, absent: bool) -> sepal_graph::Result<Option<Tensor>> {
    let value = match spec.role {
        Role::NormScale => 1.0,
        Role::NormShift => 0.0,
        _ => return Ok(None),
    };
    if !absent || !naming.is_keras() {
        return Ok(None);
    }
    Tensor::full(spec.shape.clone(), value).map(Some)
}

/// The tensor in another shape, if both are the same without dimensions of one.
fn reshape(tensor: Tensor, shape: &[usize]) -> Option<Tensor> {
    if tensor.shape() == shape {
        return Some(tensor);
    }
    agrees(tensor.shape(), shape).then(|| Tensor::new(shape.to_vec(), tensor.into_data()).ok()).flatten()
}

fn agrees(a: &[usize], b: &[usize]) -> bool {
    a.iter().filter(|d| **d != 1).eq(b.iter().filter(|d| **d != 1))
}

/// The tensors in their order, if there are as many as parameters, and each has the last name and shape of its
/// parameter.
fn in_order(specs: &[ParamSpec], tensors: &[Named]) -> sepal_graph::Result<Option<Weights>> {
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
    let fits = specs.len() == tensors.len()
        && specs
            .iter()
            .zip(tensors)
            .all(|(spec, named)| last(&spec.path) == last(&named.name) && agrees(&spec.shape, named.tensor.shape()));
    if !fits {
        return Ok(None);
    }
    let pairs = specs.iter().zip(tensors);
    let weights = pairs
        .map(|(spec, named)| Ok((spec.path.clone(), Tensor::new(spec.shape.clone(), named.tensor.data().to_vec())?)));
    weights.collect::<sepal_graph::Result<Weights>>().map(Some)
}
