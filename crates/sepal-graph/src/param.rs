//! What parameters an operator has.

use serde::{Deserialize, Serialize};

use crate::{NodeId, Result, limits};

/// What a parameter is for. Decides its initial value, whether it is trained, and whether weight
/// decay applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Kernels of a standard or grouped convolution, `[O, I/groups, kH, kW]`.
    ConvWeight,
    /// Kernels of a depthwise convolution, `[O, 1, kH, kW]`.
    DepthwiseWeight,
    /// Kernels of a 1×1 convolution, `[O, I, 1, 1]`.
    PointwiseWeight,
    /// Matrix of a linear layer, `[O, I]`.
    LinearWeight,
    /// Bias of a convolution or linear layer, `[O]`.
    Bias,
    /// Scale (γ) of a norm, `[C]`.
    NormScale,
    /// Shift (β) of a norm, `[C]`.
    NormShift,
    /// Running mean of a norm, `[C]`.
    NormMean,
    /// Running variance of a norm, `[C]`.
    NormVar,
    /// Slope of a PReLU, `[C]`.
    Slope,
    /// A learnt tensor of any shape that is no layer's.
    Value,
    /// A tensor that is never learnt.
    Constant,
}

impl Role {
    /// Whether gradients reach the parameter. Running statistics and constants are stored, not
    /// learnt.
    #[must_use]
    pub fn is_learnable(self) -> bool {
        !matches!(self, Self::NormMean | Self::NormVar | Self::Constant)
    }
}

/// A parameter as its operator declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpParam {
    /// `weight`, `bias`, `running_mean` or `running_var`, as PyTorch names them.
    pub name: &'static str,
    /// Shape in PyTorch's order.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
    /// Products summed into one output: k²·I/groups for a convolution, I for a linear layer,
    /// 1 otherwise.
    pub fan_in: usize,
    /// Outputs reached by one input: k²·O/groups for a convolution, O for a linear layer,
    /// 1 otherwise.
    pub fan_out: usize,
}

impl OpParam {
    /// One scalar per channel.
    pub(crate) fn per_channel(name: &'static str, channels: usize, role: Role) -> Self {
        Self { name, shape: vec![channels], role, fan_in: 1, fan_out: 1 }
    }
}

/// A parameter of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamSpec {
    /// Node path, a dot, and `weight`, `bias`, `running_mean` or `running_var`.
    pub path: String,
    /// The node it belongs to.
    pub node: NodeId,
    /// Shape in PyTorch's order (O, I/groups, kH, kW).
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
    /// See [`OpParam::fan_in`].
    pub fan_in: usize,
    /// See [`OpParam::fan_out`].
    pub fan_out: usize,
}

impl ParamSpec {
    pub(crate) fn new(path: &str, node: NodeId, param: OpParam) -> Result<Self> {
        limits::elements(&param.shape)?;
        Ok(Self {
            path: format!("{path}.{}", param.name),
            node,
            shape: param.shape,
            role: param.role,
            fan_in: param.fan_in,
            fan_out: param.fan_out,
        })
    }

    /// Number of scalars; within [`limits::MAX_ELEMENTS`] for a spec that a graph gave.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}
