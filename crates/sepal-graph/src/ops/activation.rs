//! Pointwise non-linearities.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Operator, channels, only};
use crate::{Error, OpParam, Result, Role, Shape, limits};

/// A non-linearity applied to every value on its own. Keeps the shape.
///
/// Parses from and displays as its name in [`Activation::NAMES`]; ELU with another α than 1
/// reads `elu(0.5)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Activation {
    /// max(0, x).
    Relu,
    /// min(max(0, x), 6).
    Relu6,
    /// x above 0, α(eˣ − 1) below. Clevert et al. 2016, arXiv:1511.07289.
    Elu {
        /// The limit towards −∞ is −α.
        alpha: f32,
    },
    /// x above 0, slope·x below, one learnt slope per channel. He et al. 2015,
    /// arXiv:1502.01852.
    Prelu,
    /// x·sigmoid(x), also called swish.
    Silu,
    /// x·relu6(x + 3) / 6. Howard et al. 2019, arXiv:1905.02244, §5.2.
    HardSwish,
    /// relu6(x + 3) / 6.
    HardSigmoid,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
}

impl Activation {
    /// The names that [`Activation::from_str`] takes.
    pub const NAMES: [&str; 8] = ["relu", "relu6", "elu", "prelu", "silu", "hard_swish", "hard_sigmoid", "sigmoid"];

    /// ELU with α = 1.
    pub const ELU: Self = Self::Elu { alpha: 1.0 };

    /// The name without a parameter.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::Elu { .. } => "elu",
            Self::Prelu => "prelu",
            Self::Silu => "silu",
            Self::HardSwish => "hard_swish",
            Self::HardSigmoid => "hard_sigmoid",
            Self::Sigmoid => "sigmoid",
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elu { alpha } if *alpha != 1.0 => write!(f, "elu({alpha})"),
            _ => f.pad(self.name()),
        }
    }
}

impl FromStr for Activation {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let unknown = || Error::UnknownActivation { name: name.into() };
        Ok(match name {
            "relu" => Self::Relu,
            "relu6" => Self::Relu6,
            "elu" => Self::ELU,
            "prelu" => Self::Prelu,
            "silu" => Self::Silu,
            "hard_swish" => Self::HardSwish,
            "hard_sigmoid" => Self::HardSigmoid,
            "sigmoid" => Self::Sigmoid,
            _ => {
                let alpha = name
                    .strip_prefix("elu(")
                    .and_then(|rest| rest.strip_suffix(')'))
                    .and_then(|alpha| alpha.parse().ok())
                    .ok_or_else(unknown)?;
                let elu = Self::Elu { alpha };
                elu.check()?;
                elu
            }
        })
    }
}

impl Operator for Activation {
    fn title(&self, _: &[&Shape]) -> String {
        match self {
            Self::Relu => "ReLU".into(),
            Self::Relu6 => "ReLU6".into(),
            Self::Elu { alpha } if *alpha == 1.0 => "ELU".into(),
            Self::Elu { alpha } => format!("ELU (α = {alpha})"),
            Self::Prelu => "PReLU".into(),
            Self::Silu => "SiLU".into(),
            Self::HardSwish => "HardSwish".into(),
            Self::HardSigmoid => "HardSigmoid".into(),
            Self::Sigmoid => "Sigmoid".into(),
        }
    }

    fn check(&self) -> Result<()> {
        match self {
            Self::Elu { alpha } => limits::real("alpha", *alpha, true, "a finite number"),
            _ => Ok(()),
        }
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        only("activation", inputs).cloned()
    }

    fn params(&self, inputs: &[&Shape]) -> Vec<OpParam> {
        match self {
            Self::Prelu => vec![OpParam::per_channel("weight", channels(inputs), Role::Slope)],
            _ => Vec::new(),
        }
    }
}
