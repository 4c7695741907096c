//! Which data sets are a model's weights, and what they are.

use std::collections::{BTreeMap, HashMap};

use hdf5_pure::{AttrValue, File, Group};

use super::convert::Kind;
use super::keras;
use crate::error::Result;

/// Groups within groups of Keras 3: models within models.
const MAX_DEPTH: usize = 16;
/// Tensors of a file, and groups visited.
const MAX_ITEMS: usize = 1 << 15;
/// Strings of the file that are kept as metadata, and their longest.
const METADATA: [&str; 2] = ["keras_version", "backend"];
const MAX_TEXT: usize = 256;
/// Parts of an attribute too long for HDF5's limit of 64 KiB.
const MAX_PARTS: usize = 256;
/// Groups that Keras 3 keeps layers in.
const CONTAINERS: [&str; 2] = ["layers", "_layer_checkpoint_dependencies"];

/// A tensor to read.
pub(super) struct Part {
    pub(super) path: String,
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// What to read of a file.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) parts: Vec<Part>,
    pub(super) skipped: Vec<(String, String)>,
    pub(super) metadata: BTreeMap<String, String>,
    /// Whether parts stand in the order of the layers.
    pub(super) ordered: bool,
    /// Whether some layer has no name but its class and number.
    pub(super) by_class: bool,
}

type Attributes = HashMap<String, AttrValue>;

pub(super) fn plan(file: &File, name: &str) -> Result<Plan> {
    let wrong = |e: hdf5_pure::Error| keras(name, format!("HDF5: {e}"));
    let root = file.root();
    let groups = root.groups().map_err(wrong)?;
    let mut attributes = root.attrs().map_err(wrong)?;
    let mut plan = Plan::default();
    let mut prefix = "";
    if strings(&attributes, "layer_names").is_none() && groups.iter().any(|group| group == "model_weights") {
        prefix = "model_weights/";
        attributes.extend(root.group("model_weights").and_then(|group| group.attrs()).map_err(wrong)?);
    }
    for key in METADATA {
        if let Some(value) = attributes.get(key).and_then(AttrValue::as_str).filter(|v| v.len() <= MAX_TEXT) {
            plan.metadata.insert(key.to_owned(), value.to_owned());
        }
    }
    if let Some(layers) = strings(&attributes, "layer_names") {
        plan.metadata.insert("layout".to_owned(), "keras h5".to_owned());
        plan.ordered = true;
        for layer in layers {
            let group = format!("{prefix}{layer}");
            let attributes = file.group(&group).and_then(|group| group.attrs()).map_err(wrong)?;
            let weights = strings(&attributes, "weight_names").unwrap_or_default();
            if plan.parts.len() + weights.len() > MAX_ITEMS {
                return Err(keras(name, format!("it has more than {MAX_ITEMS} tensors")));
            }
            named_weights(&mut plan, &group, &layer, &weights);
        }
        return Ok(plan);
    }
    plan.metadata.insert("layout".to_owned(), "keras 3".to_owned());
    let mut visited = 0;
    for container in CONTAINERS.into_iter().filter(|&container| groups.iter().any(|group| group == container)) {
        let group = root.group(container).map_err(wrong)?;
        layers(&mut plan, &group, container, 0, &mut visited).map_err(|reason| keras(name, reason))?;
    }
    if plan.parts.is_empty() {
        let found = groups.iter().take(8).map(|g| g.chars().take(64).collect()).collect::<Vec<String>>().join(", ");
        let reason = format!("it has neither layer_names nor model_weights nor layers; its groups are: {found}");
        return Err(keras(name, reason));
    }
    Ok(plan)
}

/// A list of strings, perhaps cut into `key0`, `key1`, ….
fn strings(attributes: &Attributes, key: &str) -> Option<Vec<String>> {
    let list = |value: &AttrValue| value.as_strings().map(<[String]>::to_vec);
    if let Some(value) = attributes.get(key) {
        // An empty list is stored as numbers.
        return Some(list(value).unwrap_or_default());
    }
    let parts = (0..MAX_PARTS).map_while(|i| attributes.get(&format!("{key}{i}")).and_then(list));
    let all: Vec<Vec<String>> = parts.collect();
    (!all.is_empty()).then(|| all.concat())
}

/// A layer of the older layout, which lists its tensors as `layer/kernel:0`, in Keras 1 as `layer_W:0`.
fn named_weights(plan: &mut Plan, group: &str, layer: &str, weights: &[String]) {
    let last = |weight: &str| {
        let name = weight.rsplit('/').next().unwrap_or_default();
        let name = name.split(':').next().unwrap_or_default();
        name.strip_prefix(layer).and_then(|rest| rest.strip_prefix('_')).unwrap_or(name).to_owned()
    };
    let roles: Vec<String> = weights.iter().map(|weight| last(weight)).collect();
    let separable = roles.iter().any(|role| role == "pointwise_kernel");
    // Keras 3 calls a depthwise kernel `kernel`; only the layer's name tells it from another's.
    let depthwise = layer.contains("depthwise") || layer.contains("_dw");
    for (weight, role) in weights.iter().zip(&roles) {
        // The layer of a model within the model is named by the weight.
        let scope = weight.rsplit_once('/').map_or(layer, |(scope, _)| scope);
        let scope = if scope == layer || scope.starts_with(&format!("{layer}/")) { layer } else { scope };
        push(plan, format!("{group}/{weight}"), scope, role, separable, depthwise);
    }
}

/// A group of Keras 3: `vars/0`, `vars/1`, … are the tensors of the layer whose class the group is named by; its own
/// name is an attribute.
fn layers(
    plan: &mut Plan,
    group: &Group,
    path: &str,
    depth: usize,
    visited: &mut usize,
) -> std::result::Result<(), String> {
    let wrong = |e: hdf5_pure::Error| format!("HDF5: {e}");
    for child in group.groups().map_err(wrong)? {
        *visited += 1;
        if *visited > MAX_ITEMS || depth > MAX_DEPTH {
            return Err(format!("its groups are more than {MAX_ITEMS}, or nested more than {MAX_DEPTH} deep"));
        }
        let here = format!("{path}/{child}");
        let inner = group.group(&child).map_err(wrong)?;
        if child != "vars" {
            layers(plan, &inner, &here, depth + 1, visited)?;
            continue;
        }
        let numbered = path.rsplit('/').next().unwrap_or_default();
        let given = inner.attrs().map_err(wrong)?;
        let own = given.get("name").and_then(AttrValue::as_str).filter(|name| !name.is_empty());
        let layer = own.unwrap_or(numbered);
        let class = numbered.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
        let sets = inner.datasets().map_err(wrong)?.len();
        let roles: &[&str] = match (class, sets) {
            (class, _) if class.starts_with("separable_conv") => &["depthwise_kernel", "pointwise_kernel", "bias"],
            (class, _) if class.starts_with("depthwise_conv") => &["depthwise_kernel", "bias"],
            (class, _) if class.starts_with("conv") || class == "dense" => &["kernel", "bias"],
            ("batch_normalization", 4) => &["gamma", "beta", "moving_mean", "moving_variance"],
            ("batch_normalization", 3) => &["beta", "moving_mean", "moving_variance"],
            ("batch_normalization", 2) => &["moving_mean", "moving_variance"],
            ("p_re_lu", _) => &["alpha"],
            _ => &[],
        };
        plan.by_class |= own.is_none() && !roles.is_empty();
        for i in 0..sets {
            match roles.get(i) {
                Some(role) => {
                    push(plan, format!("{here}/{i}"), layer, role, class.starts_with("separable_conv"), false);
                }
                None => plan.skipped.push((format!("{layer}.{i}"), format!("a variable of a layer `{class}`"))),
            }
        }
    }
    Ok(())
}

fn push(plan: &mut Plan, path: String, layer: &str, role: &str, separable: bool, depthwise: bool) {
    let kernel = if depthwise { Kind::Depthwise } else { Kind::Kernel };
    let (part, kind) = match role {
        "kernel" | "W" => ("weight", kernel),
        "depthwise_kernel" if separable => ("depthwise.weight", Kind::Depthwise),
        "depthwise_kernel" => ("weight", Kind::Depthwise),
        "pointwise_kernel" => ("pointwise.weight", Kind::Kernel),
        "bias" | "b" if separable => ("pointwise.bias", Kind::Plain),
        "bias" | "b" | "beta" => ("bias", Kind::Plain),
        "gamma" | "alpha" => ("weight", Kind::Plain),
        "moving_mean" | "running_mean" => ("running_mean", Kind::Plain),
        // Keras 1 calls it so; it always was the variance.
        "moving_variance" | "running_std" => ("running_var", Kind::Plain),
        other => (other, Kind::Plain),
    };
    plan.parts.push(Part { path, name: format!("{layer}.{part}"), kind });
}
