//! Pointwise non-linearities.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Operator, channels, only};
use crate::{Error, OpParam, Result, Role, Shape, limits};

/// A non-linearity applied to every value on its own. Keeps the shape.
///
/// Parses from and displays as its name in [`Activation::NAMES`]; parameters stand
/// in brackets: `elu(0.5)`, `leaky_relu(0.1)`, `clip(-1,1)`.
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
    /// tanh(x).
    Tanh,
    /// x above 0, slope·x below.
    LeakyRelu {
        /// The slope below 0.
        slope: f32,
    },
    /// x·Φ(x), the normal distribution's. Hendrycks & Gimpel 2016, arXiv:1606.08415.
    Gelu,
    /// GELU by its approximation x/2·(1 + tanh(√(2/π)·(x + 0.044715x³))).
    GeluTanh,
    /// x·tanh(ln(1 + eˣ)). Misra 2020, arXiv:1908.08681.
    Mish,
    /// min(max(x, min), max).
    Clip {
        /// The least value.
        min: f32,
        /// The greatest value, not below `min`.
        max: f32,
    },
}

impl Activation {
    /// The names that [`Activation::from_str`] takes.
    pub const NAMES: [&str; 13] = [
        "relu",
        "relu6",
        "elu",
        "prelu",
        "silu",
        "hard_swish",
        "hard_sigmoid",
        "sigmoid",
        "tanh",
        "leaky_relu",
        "gelu",
        "gelu_tanh",
        "mish",
    ];

    /// ELU with α = 1.
    pub const ELU: Self = Self::Elu { alpha: 1.0 };

    /// PyTorch's leaky ReLU, of slope 0.01.
    pub const LEAKY_RELU: Self = Self::LeakyRelu { slope: 0.01 };

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
            Self::Tanh => "tanh",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_tanh",
            Self::Mish => "mish",
            Self::Clip { .. } => "clip",
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elu { alpha } if *alpha != 1.0 => write!(f, "elu({alpha})"),
            Self::LeakyRelu { slope } if *slope != 0.01 => write!(f, "leaky_relu({slope})"),
            Self::Clip { min, max } => write!(f, "clip({min},{max})"),
            _ => f.pad(self.name()),
        }
    }
}

impl FromStr for Activation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || Error::UnknownActivation { name: text.into() };
        let (name, arguments) = match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            Some((name, arguments)) => (name, Some(arguments)),
            None => (text, None),
        };
        let numbers =
            arguments.map_or(Some(Vec::new()), |list| list.split(',').map(|n| n.trim().parse().ok()).collect());
        let act = match (name, numbers.ok_or_else(unknown)?.as_slice()) {
            ("relu", []) => Self::Relu,
            ("relu6", []) => Self::Relu6,
            ("elu", []) => Self::ELU,
            ("elu", &[alpha]) => Self::Elu { alpha },
            ("prelu", []) => Self::Prelu,
            ("silu", []) => Self::Silu,
            ("hard_swish", []) => Self::HardSwish,
            ("hard_sigmoid", []) => Self::HardSigmoid,
            ("sigmoid", []) => Self::Sigmoid,
            ("tanh", []) => Self::Tanh,
            ("leaky_relu", []) => Self::LEAKY_RELU,
            ("leaky_relu", &[slope]) => Self::LeakyRelu { slope },
            ("gelu", []) => Self::Gelu,
            ("gelu_tanh", []) => Self::GeluTanh,
            ("mish", []) => Self::Mish,
            ("clip", &[min, max]) => Self::Clip { min, max },
            _ => return Err(unknown()),
        };
        act.check()?;
        Ok(act)
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
            Self::Tanh => "Tanh".into(),
            Self::LeakyRelu { slope } => format!("LeakyReLU ({slope})"),
            Self::Gelu => "GELU".into(),
            Self::GeluTanh => "GELU (tanh)".into(),
            Self::Mish => "Mish".into(),
            Self::Clip { min, max } => format!("Clip ({min} to {max})"),
        }
    }

    fn check(&self) -> Result<()> {
        match self {
            Self::Elu { alpha } => limits::real("alpha", *alpha, true, "a finite number"),
            Self::LeakyRelu { slope } => limits::real("slope", *slope, true, "a finite number"),
            Self::Clip { min, max } => {
                limits::real("min", *min, true, "a finite number")?;
                limits::real("max", *max, max >= min, "a finite number, not below min")
            }
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
