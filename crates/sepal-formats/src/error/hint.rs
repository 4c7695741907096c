//! What the user could do about an error.

use std::io;

use super::{FormatError, MissingOperator};

impl FormatError {
    /// What the user could do about it, where there is something to say beyond the message.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::TooShort { .. } | Self::HeaderLength { .. } | Self::CutShort { .. } | Self::Protobuf { .. } => {
                Some("copy or download the file again; a file written here is complete or absent")
            }
            Self::Version { .. } => Some("read it with the version that wrote it, or a later one"),
            Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("free some space; the file that was there before is unchanged")
            }
            Self::WeightsOnly { .. } | Self::NoNetwork { .. } => {
                Some("say which network: sepal import FILE --model SPEC -o OUT")
            }
            Self::IsBundle { .. } => Some("take a domain out: sepal domains extract BUNDLE --domain NAME -o FILE"),
            Self::NotABundle { .. } => Some("begin one with: sepal domains init RUN -o BUNDLE --name NAME"),
            Self::DomainTaken { .. } => Some("choose another --name, or remove that one: sepal domains remove"),
            Self::DomainNeeded { .. } => Some("remove those first"),
            Self::TrunkDomain { .. } => Some("take the others out (sepal domains extract) and begin a bundle of them"),
            Self::NotARun { .. } => Some("give a model file, or the folder that training wrote"),
            Self::Model { source: sepal_graph::Error::NotFinite { .. }, .. } => {
                Some("the training that wrote it diverged: use an earlier checkpoint or a lower learning rate")
            }
            Self::OnnxOperators { missing, .. } if missing.iter().any(MissingOperator::is_of_quantised) => {
                Some("quantised networks are not read: export the network in float")
            }
            Self::Model { source: sepal_graph::Error::Mismatch { missing, unexpected, misshapen, .. }, .. }
                if missing.is_empty() && unexpected.is_empty() && misshapen.len() <= 2 =>
            {
                Some("if only the classifier differs, say the number of classes: it is then reset and trained anew")
            }
            _ => None,
        }
    }
}
