//! Who owns which parameter where one network serves several domains.
//!
//! A network's first domain owns the *trunk*. A further domain has the same network with another classifier; a
//! [`Protocol`] says which parameters it has in common with the trunk and which are its own, and [`Sharing`] says it of
//! every parameter of a graph. It goes by what operators are and where they stand, not by their names.

mod classifier;
mod gates;
mod layers;
mod protocol;

pub use gates::{Gated, gated, gates_of};
pub use protocol::Protocol;

use crate::{Error, Graph, ParamSpec, Result, Role};
use layers::{Layer, layers};

/// The parameters of a network, running statistics among them, by owner.
///
/// | protocol | shared | private |
/// |---|---|---|
/// | `scratch`, `finetune` | – | all |
/// | `features` | all but the classifier, running statistics too | classifier |
/// | `share-pointwise` | weights of pointwise convolutions, and of linear layers that are neither classifier nor gate | the rest |
/// | `share-depthwise` | kernels of depthwise convolutions | the rest |
/// | `soft` | both; what belongs to gated kernels | the rest |
///
/// A constant that is never learnt is shared wherever anything is. Convolutions that no depthwise one precedes, such as
/// the first of MobileNet and Xception, are the *stem*: it is private, for it looks at pixels, which domains have of
/// their own.
#[derive(Debug, Clone, PartialEq)]
pub struct Sharing {
    /// What the domain has in common with the trunk (or, of gated kernels, with other domains), in the graph's order.
    pub shared: Vec<ParamSpec>,
    /// What it has of its own, in the graph's order.
    pub private: Vec<ParamSpec>,
}

impl Sharing {
    /// The parameters of `graph` under `protocol`.
    ///
    /// # Errors
    /// The graph is not valid, or has no classifier; [`Error::NotSeparable`] where the protocol asks for separable
    /// convolutions, [`Error::NotSoft`] where it asks for gates.
    pub fn new(protocol: Protocol, graph: &Graph) -> Result<Self> {
        let layers = layers(graph)?;
        if graph.classifier().is_none() {
            return Err(Error::Interface("the network's output is not that of a classifier".into()));
        }
        match protocol {
            Protocol::Scratch | Protocol::Finetune | Protocol::Features => {}
            Protocol::SharePointwise | Protocol::ShareDepthwise => layers::check_separable(protocol, graph, &layers)?,
            Protocol::Soft => {
                if gated(graph).is_empty() {
                    return Err(Error::NotSoft { graph: graph.name.clone() });
                }
                layers::check_separable(protocol, graph, &layers)?;
            }
        }
        let is_shared = |spec: &ParamSpec| is_shared(protocol, layers[spec.node.index()], spec.role);
        let (shared, private) = graph.params()?.into_iter().partition(is_shared);
        Ok(Self { shared, private })
    }

    /// Learnable scalars that are shared.
    #[must_use]
    pub fn shared_params(&self) -> u64 {
        learnable(&self.shared)
    }

    /// Learnable scalars that are the domain's own.
    #[must_use]
    pub fn private_params(&self) -> u64 {
        learnable(&self.private)
    }
}

fn learnable(specs: &[ParamSpec]) -> u64 {
    specs.iter().filter(|spec| spec.role.is_learnable()).map(|spec| spec.elements() as u64).sum()
}

fn is_shared(protocol: Protocol, layer: Layer, role: Role) -> bool {
    let is_weight = match role {
        Role::ConvWeight | Role::DepthwiseWeight | Role::PointwiseWeight | Role::LinearWeight => true,
        Role::Bias | Role::NormScale | Role::NormShift | Role::NormMean | Role::NormVar => false,
        Role::Slope | Role::Value | Role::Constant => false,
    };
    let pointwise = layer == Layer::Pointwise && is_weight;
    let depthwise = matches!(layer, Layer::Depthwise | Layer::Gated) && is_weight;
    match protocol {
        Protocol::Scratch | Protocol::Finetune => false,
        Protocol::Features => layer != Layer::Classifier,
        Protocol::SharePointwise => pointwise || role == Role::Constant,
        Protocol::ShareDepthwise => depthwise || role == Role::Constant,
        Protocol::Soft => pointwise || depthwise || layer == Layer::Gated || role == Role::Constant,
    }
}
