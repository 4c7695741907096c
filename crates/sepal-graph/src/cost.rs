//! What a network costs.

use serde::Serialize;

use crate::graph::input_shapes;
use crate::limits::{self, MAX_TOTAL_PARAMS};
use crate::{Error, Graph, Op, Result, Shape};

/// Cost of a whole network for one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Every learnable scalar: convolutions, linear layers, norms' scale and shift, slopes.
    pub params: u64,
    /// Multiply-adds of convolutions and linear layers; one is a multiplication and an addition.
    pub macs: u64,
    /// Bytes of all nodes' outputs in f32, as if none were shared.
    pub activation_bytes: u64,
    /// One row per node, in node order.
    pub rows: Vec<CostRow>,
}

impl Cost {
    /// Floating-point operations: twice the MACs.
    #[must_use]
    pub fn flops(&self) -> u64 {
        self.macs.saturating_mul(2)
    }
}

/// Cost of one node for one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CostRow {
    /// The node's path.
    pub path: String,
    /// What the node is, for people: `Conv2d (depthwise)`, `BatchNorm`, `ReLU`.
    pub op: String,
    /// Shape of its first input; of its output for an input node.
    pub input: Shape,
    /// Shape of its output.
    pub output: Shape,
    /// Kernel height and width of convolutions and pools.
    pub kernel: Option<[usize; 2]>,
    /// Groups of a convolution.
    pub groups: Option<usize>,
    /// Learnable scalars.
    pub params: u64,
    /// Multiply-adds of convolutions and linear layers, 0 for others.
    pub macs: u64,
    /// Bytes of its output in f32.
    pub activation_bytes: u64,
}

impl Graph {
    /// Counts parameters, multiply-adds and activation bytes, in total and per node, at the
    /// graph's input shape and batch 1.
    ///
    /// # Errors
    /// The graph is not valid, or a count is beyond [`limits`].
    pub fn cost(&self) -> Result<Cost> {
        let shapes = self.shapes()?;
        let specs = self.params()?;
        let mut cost = Cost { params: 0, macs: 0, activation_bytes: 0, rows: Vec::with_capacity(self.nodes.len()) };
        for (node, output) in self.nodes.iter().zip(&shapes) {
            let inputs = input_shapes(node, &shapes)?;
            let operator = node.op.operator();
            let macs = operator.macs(&inputs, output);
            let macs = macs.ok_or_else(|| Error::macs().at(&node.path))?;
            let (kernel, groups) = window(&node.op);
            let row = CostRow {
                path: node.path.clone(),
                op: operator.title(&inputs),
                input: (*inputs.first().unwrap_or(&output)).clone(),
                output: output.clone(),
                kernel,
                groups,
                params: 0,
                macs,
                activation_bytes: 4 * output.elements() as u64,
            };
            cost.macs = add(cost.macs, macs).ok_or_else(Error::macs)?;
            cost.activation_bytes = add(cost.activation_bytes, row.activation_bytes).ok_or_else(Error::bytes)?;
            cost.rows.push(row);
        }
        for spec in specs.iter().filter(|spec| spec.role.is_learnable()) {
            let n = limits::elements(&spec.shape)?;
            cost.params = add(cost.params, n).filter(|&n| n <= MAX_TOTAL_PARAMS).ok_or_else(Error::total_params)?;
            if let Some(row) = cost.rows.get_mut(spec.node.index()) {
                row.params += n;
            }
        }
        Ok(cost)
    }
}

fn add(a: u64, b: u64) -> Option<u64> {
    a.checked_add(b)
}

/// Kernel and groups of the operators that have them.
fn window(op: &Op) -> (Option<[usize; 2]>, Option<usize>) {
    match op {
        Op::Conv2d(conv) => (Some(conv.kernel), Some(conv.groups)),
        Op::ConvTranspose2d(conv) => (Some(conv.kernel), Some(conv.groups)),
        Op::MaxPool(pool) => (Some(pool.kernel), None),
        Op::AvgPool(pool) => (Some(pool.kernel), None),
        Op::Input(_)
        | Op::BatchNorm(_)
        | Op::Activation(_)
        | Op::Add(_)
        | Op::Subtract(_)
        | Op::Multiply(_)
        | Op::Divide(_)
        | Op::Constant(_)
        | Op::Concat(_)
        | Op::Slice(_)
        | Op::Pad(_)
        | Op::Interpolate(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Softmax(_)
        | Op::Mean(_)
        | Op::LayerNorm(_)
        | Op::GatedSum(_)
        | Op::GlobalAvgPool(_)
        | Op::Linear(_)
        | Op::Dropout(_)
        | Op::Flatten(_) => (None, None),
    }
}
