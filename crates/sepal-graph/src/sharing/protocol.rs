//! How a network on a further domain shares its parameters with the first.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// What a domain's network shares with the trunk, the network of a bundle's first domain. Guo et al. 2019,
/// arXiv:1902.00927, §3 and §4.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// Nothing, not even the weights to start from.
    Scratch,
    /// Nothing but the weights to start from.
    Finetune,
    /// Everything but the classifier; norms use the trunk's statistics.
    Features,
    /// The pointwise weights.
    SharePointwise,
    /// The depthwise kernels.
    ShareDepthwise,
    /// The pointwise weights, and the depthwise kernels of several domains, which gates mix.
    Soft,
}

impl Protocol {
    /// All protocols.
    pub const ALL: [Self; 6] =
        [Self::Scratch, Self::Finetune, Self::Features, Self::SharePointwise, Self::ShareDepthwise, Self::Soft];

    /// The name in recipes, files and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scratch => "scratch",
            Self::Finetune => "finetune",
            Self::Features => "features",
            Self::SharePointwise => "share-pointwise",
            Self::ShareDepthwise => "share-depthwise",
            Self::Soft => "soft",
        }
    }

    /// What is shared, for people.
    #[must_use]
    pub fn shared(self) -> &'static str {
        match self {
            Self::Scratch => "nothing",
            Self::Finetune => "nothing, but it starts from the trunk's weights",
            Self::Features => "everything but the classifier",
            Self::SharePointwise => "pointwise weights",
            Self::ShareDepthwise => "depthwise kernels",
            Self::Soft => "pointwise weights and the depthwise kernels of several domains",
        }
    }

    /// What is the domain's own and trained, for people.
    #[must_use]
    pub fn private(self) -> &'static str {
        match self {
            Self::Scratch | Self::Finetune => "everything",
            Self::Features => "classifier",
            Self::SharePointwise => "depthwise kernels, norms, biases, classifier",
            Self::ShareDepthwise => "pointwise weights, norms, biases, classifier",
            Self::Soft => "gates, norms, biases, classifier",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Protocol {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|protocol| protocol.name() == name);
        found.ok_or_else(|| Error::UnknownProtocol { name: name.to_owned() })
    }
}
