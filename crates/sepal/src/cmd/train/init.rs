//! Weights to start from.

use std::path::Path;

use sepal_graph::{Graph, Model, Weights};

use crate::failure::{Failure, Result};

/// What was taken from another model.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Tensors that were taken.
    pub(crate) tensors: usize,
    /// Paths of those that start anew.
    pub(crate) anew: Vec<String>,
}

/// Copies the tensors of `from` into `weights` where path and shape agree. The classifier starts anew if its classes
/// are not `classes`: the same number of outputs would not make them mean the same.
pub(crate) fn transfer(
    from: &Model,
    file: &Path,
    graph: &Graph,
    classes: &[String],
    weights: &mut Weights,
) -> Result<Taken> {
    let classifier = graph.classifier().and_then(|id| graph.node(id)).map_or("", |node| node.path.as_str());
    let other_classes = from.meta.classes != classes;
    let of_classifier = |path: &str| path.strip_prefix(classifier).is_some_and(|rest| rest.starts_with('.'));
    let mut taken = Taken { tensors: 0, anew: Vec::new() };
    for (path, tensor) in weights.iter_mut() {
        match from.weights.get(path) {
            Ok(found) if found.shape() == tensor.shape() && !(other_classes && of_classifier(path)) => {
                tensor.data_mut().copy_from_slice(found.data());
                taken.tensors += 1;
            }
            _ => taken.anew.push(path.to_owned()),
        }
    }
    if taken.tensors == 0 {
        let text = format!("{}: no tensor of `{}` fits `{}`", file.display(), from.graph.name, graph.name);
        return Err(Failure::failed(text).hint("give the network it was made with as --model, or leave --model out"));
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use sepal_graph::Meta;

    use super::*;

    fn model(spec: &str, names: &[&str], seed: u64) -> Model {
        let graph = sepal_zoo::build(&spec.parse().unwrap(), Some([32, 32]), names.len()).unwrap();
        let weights = Weights::init(&graph, seed).unwrap();
        let meta = Meta { classes: names.iter().map(ToString::to_string).collect(), ..Meta::default() };
        Model::new(graph, weights, meta).unwrap()
    }

    #[test]
    fn all_but_the_classifier_of_other_classes() {
        let from = model("mobilenet_v1:width=0.25", &["cat", "dog"], 1);
        let mut to = model("mobilenet_v1:width=0.25", &["cat", "cow"], 2);
        let taken = transfer(&from, Path::new("f"), &to.graph, &to.meta.classes, &mut to.weights).unwrap();
        assert_eq!(taken.anew, ["classifier.bias", "classifier.weight"]);
        assert_eq!(from.weights.get("stem.conv.weight").unwrap(), to.weights.get("stem.conv.weight").unwrap());
        let same = transfer(&from, Path::new("f"), &to.graph, &from.meta.classes, &mut to.weights).unwrap();
        assert!(same.anew.is_empty());
        assert_eq!(to.weights, from.weights);
    }

    #[test]
    fn a_network_of_other_shapes_is_refused() {
        let from = model("mobilenet_v1:width=0.5", &["cat", "dog"], 1);
        let mut to = model("mobilenet_v1:width=2", &["cat", "cow", "hen"], 2);
        assert!(transfer(&from, Path::new("f"), &to.graph, &to.meta.classes, &mut to.weights).is_err());
    }
}
