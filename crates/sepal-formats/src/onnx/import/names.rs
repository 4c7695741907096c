//! Paths from the names in a file.
//!
//! The best name is that of a weight: `features.0.weight` says that PyTorch called the module `features.0`. Next comes
//! the node's own: PyTorch writes `/layer1/layer1.0/conv1/Conv`, where a part that begins with the one before it
//! replaces it, and the operator at the end matters only if the module has several.

use std::collections::{HashMap, HashSet};

use sepal_graph::Op;
use sepal_graph::limits::MAX_PATH;

use super::build::{Made, Source};

/// Room that is left for a number and a parameter's name.
const LONGEST: usize = MAX_PATH - 32;

/// A path for every node, all different.
pub(super) fn paths(nodes: &[&Made<'_>], own: bool) -> Vec<String> {
    let mut scopes: HashMap<String, usize> = HashMap::new();
    for node in nodes {
        for scope in scopes_of(node.name) {
            *scopes.entry(scope).or_default() += 1;
        }
    }
    let mut taken = HashSet::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let path = |node: &&Made<'_>| {
        let wanted = if own { own_name(node) } else { wanted(node, &scopes) };
        let wanted = clean(&wanted);
        let wanted = if wanted.is_empty() { node.op.kind().to_owned() } else { wanted };
        let mut path = wanted.clone();
        while !taken.insert(path.clone()) {
            let number = numbers.entry(wanted.clone()).or_default();
            *number += 1;
            path = format!("{wanted}_{number}");
        }
        path
    };
    nodes.iter().map(path).collect()
}

/// The path that our export gave a node. A learnt constant is stored as its parameter.
fn own_name(node: &Made<'_>) -> String {
    let stored = matches!(node.op, Op::Constant(_)).then(|| node.name.strip_suffix(".value")).flatten();
    stored.unwrap_or(node.name).to_owned()
}

fn wanted(node: &Made<'_>, scopes: &HashMap<String, usize>) -> String {
    if let Op::Constant(_) = node.op {
        let name = node.name.trim_start_matches('/');
        let name = name.strip_suffix(".value").or_else(|| name.strip_suffix("_output_0")).unwrap_or(name);
        return name.replace(['/', ':'], ".");
    }
    for param in &node.params {
        if let Source::Scaled(constant, _) | Source::Transposed(constant, _) = &param.source
            && let Some(module) = constant.label.strip_suffix(param.name).and_then(|name| name.strip_suffix('.'))
            && !module.is_empty()
        {
            return module.to_owned();
        }
    }
    let Some(scope) = scopes_of(node.name).pop() else {
        return node.name.trim_start_matches('/').replace(['/', ':'], ".");
    };
    let last = node.name.rsplit('/').next().unwrap_or_default();
    match scopes.get(&scope) {
        Some(1) => scope,
        _ => format!("{scope}.{}", snake(last)),
    }
}

/// The dotted paths of the modules that a name such as `/layer1/layer1.0/conv1/Conv` goes through, outermost first.
fn scopes_of(name: &str) -> Vec<String> {
    let Some(name) = name.strip_prefix('/') else { return Vec::new() };
    let mut scopes: Vec<String> = Vec::new();
    let mut before = "";
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in parts {
        let nested = !before.is_empty() && part.strip_prefix(before).is_some_and(|rest| rest.starts_with('.'));
        let scope = match scopes.last() {
            Some(outer) if nested => format!("{}{}", outer, &part[before.len()..]),
            Some(outer) => format!("{outer}.{part}"),
            None => part.to_owned(),
        };
        // No path is longer, and a hostile name has no more parts than that.
        if scope.len() > MAX_PATH {
            break;
        }
        scopes.push(scope);
        before = part;
    }
    scopes
}

/// An operator's name as a part of a path: `GlobalAveragePool_1` as `global_average_pool_1`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut after_small = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && after_small {
            out.push('_');
        }
        after_small = c.is_ascii_lowercase() || c.is_ascii_digit();
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// A name without what a path cannot hold.
fn clean(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars().map(|c| if c.is_control() { '_' } else { c }) {
        if out.len() + c.len_utf8() > LONGEST {
            break;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pytorch() {
        let scopes = |name| scopes_of(name).pop().unwrap_or_default();
        assert_eq!(scopes("/layer1/layer1.0/conv1/Conv"), "layer1.0.conv1");
        assert_eq!(scopes("/features/features.0/features.0.1/Relu"), "features.0.1");
        assert_eq!(scopes("/blocks/blocks.0/blocks.0.0/se/gate/Sigmoid"), "blocks.0.0.se.gate");
        assert_eq!(scopes("/Flatten"), "");
        assert_eq!(scopes("Conv_0"), "");
        assert_eq!(snake("GlobalAveragePool_1"), "global_average_pool_1");
        assert_eq!(clean("a\nb"), "a_b");
        assert_eq!(clean(&"é".repeat(400)).len(), LONGEST);
    }
}
