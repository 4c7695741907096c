//! The depthwise separable convolution.

use std::fmt;
use std::str::FromStr;

use sepal_graph::{Activation, Builder, NodeId, Result};

use super::{BlockRow, Place, Style, depthwise, pointwise};
use crate::Error;
use crate::error::nearest;

pub(super) const ROW: BlockRow = BlockRow {
    name: "dsc",
    title: "Depthwise separable convolution",
    paper: "Chollet 2017, arXiv:1610.02357; Howard et al. 2017, arXiv:1704.04861",
    weights: "k²·M + M·N",
    macs: "D²·(k²·M + M·N)",
    options: &["between"],
    drop_in: true,
    half: Some(depthwise),
    build: separable,
};

/// What stands between depthwise and pointwise. Chollet 2017 (arXiv:1610.02357, figure 10) finds
/// nothing best, then ELU, then ReLU; MobileNet has norm and ReLU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Between {
    /// Nothing.
    #[default]
    None,
    /// A batch norm.
    Bn,
    /// A batch norm and the network's activation, which is ReLU unless chosen otherwise.
    BnRelu,
    /// A ReLU.
    Relu,
    /// An ELU with α = 1.
    Elu,
}

impl Between {
    /// The names that [`Between::from_str`] takes.
    pub const NAMES: [&str; 5] = ["none", "bn", "bn_relu", "relu", "elu"];

    /// The name in a spec.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bn => "bn",
            Self::BnRelu => "bn_relu",
            Self::Relu => "relu",
            Self::Elu => "elu",
        }
    }

    /// Adds what stands between: `depthwise_bn`, `depthwise_act`.
    pub(super) fn build(self, b: &mut Builder, mut x: NodeId, style: &Style) -> Result<NodeId> {
        let (norm, activation) = match self {
            Self::None => (false, None),
            Self::Bn => (true, None),
            Self::BnRelu => (true, Some(style.activation)),
            Self::Relu => (false, Some(Activation::Relu)),
            Self::Elu => (false, Some(Activation::ELU)),
        };
        if norm {
            x = style.norm(b, "depthwise_bn", x)?;
        }
        if let Some(activation) = activation {
            x = b.activation("depthwise_act", x, activation)?;
        }
        Ok(x)
    }
}

impl fmt::Display for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Between {
    type Err = Error;

    fn from_str(name: &str) -> crate::Result<Self> {
        Ok(match name {
            "none" => Self::None,
            "bn" => Self::Bn,
            "bn_relu" => Self::BnRelu,
            "relu" => Self::Relu,
            "elu" => Self::Elu,
            _ => {
                return Err(Error::BadValue {
                    network: ROW.name,
                    option: "between",
                    value: name.to_owned(),
                    nearest: nearest(name, &Self::NAMES),
                    expected: format!("one of {}", Self::NAMES.join(", ")),
                });
            }
        })
    }
}

/// A depthwise separable convolution: `depthwise`, what `style.between` says
/// (`depthwise_bn`, `depthwise_act`), `pointwise`. The stride is the depthwise one's. Howard et
/// al. 2017, arXiv:1704.04861, equation (5).
///
/// # Errors
/// The input is no map.
pub fn separable(b: &mut Builder, x: NodeId, place: Place, style: &Style) -> Result<NodeId> {
    let x = depthwise(b, x, place, style)?;
    let x = style.between.build(b, x, style)?;
    pointwise(b, x, place.stride(1), style)
}
