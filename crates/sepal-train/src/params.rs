//! Parameters, gradients and running statistics in flat buffers indexed by path.

use std::collections::HashMap;
use std::ops::Range;

use sepal_graph::{Graph, NodeId, ParamSpec, Role, Tensor, Weights};
use sepal_kernels::{Buffer, LANES};

/// One tensor's place in a flat buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Parameter path, such as `block1.depthwise.weight`.
    pub path: String,
    /// The node it belongs to.
    pub node: NodeId,
    /// What it is for.
    pub role: Role,
    /// Shape in PyTorch's order.
    pub shape: Vec<usize>,
    /// Its floats. Starts on a cache line; zeros fill up to the next slot, so that a vector of
    /// one float per channel can be read in whole channel blocks.
    pub range: Range<usize>,
    /// Whether it stays as it is. A norm whose running statistics do uses them in training, too.
    pub frozen: bool,
}

impl Slot {
    /// The slot's floats and the zeros behind them, up to the end of its last cache line.
    pub(crate) fn padded(&self) -> Range<usize> {
        self.range.start..self.range.start + self.range.len().next_multiple_of(LANES)
    }
}

/// The state of a network in training: what the graph's parameters are, and their gradients.
///
/// Tensors are flat so that an optimizer updates them in one pass, one buffer holds all gradients,
/// and a checkpoint is a few long writes.
pub struct Params {
    /// Learnable tensors, in the graph's order.
    pub slots: Vec<Slot>,
    /// Values of the learnable tensors.
    pub values: Buffer,
    /// Gradients of the learnable tensors, laid out as the values.
    pub grads: Buffer,
    /// Running means and variances, in the graph's order.
    pub buffer_slots: Vec<Slot>,
    /// Values of the running statistics.
    pub buffers: Buffer,
    index: HashMap<(NodeId, &'static str), usize>,
}

impl Params {
    /// Parameters of `graph` with the values of `weights`.
    ///
    /// # Errors
    /// The graph is not valid, or `weights` does not fit it.
    pub fn new(graph: &Graph, weights: &Weights) -> sepal_graph::Result<Self> {
        weights.check(graph)?;
        let (mut slots, mut buffer_slots) = (Vec::new(), Vec::new());
        let (mut len, mut buffers_len) = (0, 0);
        let mut index = HashMap::new();
        for spec in graph.params()? {
            let (list, end) =
                if spec.role.is_learnable() { (&mut slots, &mut len) } else { (&mut buffer_slots, &mut buffers_len) };
            let range = *end..*end + spec.elements();
            *end = range.end.next_multiple_of(LANES);
            index.insert((spec.node, part(spec.role)), list.len());
            let ParamSpec { path, node, shape, role, .. } = spec;
            list.push(Slot { path, node, role, shape, range, frozen: false });
        }
        let [mut values, mut buffers] = [Buffer::zeroed(len), Buffer::zeroed(buffers_len)];
        for (list, floats) in [(&slots, &mut values), (&buffer_slots, &mut buffers)] {
            for slot in list {
                floats[slot.range.clone()].copy_from_slice(weights.get(&slot.path)?.data());
            }
        }
        Ok(Self { slots, values, grads: Buffer::zeroed(len), buffer_slots, buffers, index })
    }

    /// Has those parameters and running statistics stay as they are whose paths `stays` picks; an engine has to be
    /// compiled afterwards.
    pub fn freeze(&mut self, stays: impl Fn(&str) -> bool) {
        for slot in self.slots.iter_mut().chain(&mut self.buffer_slots) {
            slot.frozen = stays(&slot.path);
        }
    }

    /// The present weights.
    ///
    /// # Errors
    /// Never for parameters of a valid graph; [`Tensor::new`] checks again.
    pub fn to_weights(&self) -> sepal_graph::Result<Weights> {
        self.to_weights_from(&self.values, &self.buffers)
    }

    /// Weights from other flat buffers of the same layout, such as a moving average of the values.
    ///
    /// # Errors
    /// As [`Params::to_weights`].
    pub fn to_weights_from(&self, values: &[f32], buffers: &[f32]) -> sepal_graph::Result<Weights> {
        let learnable = self.slots.iter().map(|slot| (slot, values));
        let running = self.buffer_slots.iter().map(|slot| (slot, buffers));
        learnable
            .chain(running)
            .map(|(slot, floats)| {
                let tensor = Tensor::new(slot.shape.clone(), floats[slot.range.clone()].to_vec())?;
                Ok((slot.path.clone(), tensor))
            })
            .collect()
    }

    /// The parameters of a node that are trained.
    pub(crate) fn trained(&self, node: Option<NodeId>) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(move |slot| Some(slot.node) == node && !slot.frozen)
    }

    /// The slot that a node's learnable parameter, or running statistic, has.
    pub(crate) fn slot(&self, node: NodeId, role: Role) -> Option<&Slot> {
        let list = if role.is_learnable() { &self.slots } else { &self.buffer_slots };
        self.index.get(&(node, part(role))).and_then(|&at| list.get(at))
    }
}

/// Which of a node's parameters a role is; a node has at most one of each.
fn part(role: Role) -> &'static str {
    match role {
        Role::ConvWeight | Role::DepthwiseWeight | Role::PointwiseWeight | Role::LinearWeight | Role::NormScale => {
            "weight"
        }
        Role::Slope => "slope",
        Role::Bias | Role::NormShift => "bias",
        Role::NormMean => "running_mean",
        Role::NormVar => "running_var",
        Role::Value | Role::Constant => "value",
    }
}
