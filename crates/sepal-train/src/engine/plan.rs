//! From a graph to a plan: what every unit computes, and where its tensors lie in one arena.

use std::ops::Range;

use sepal_graph::{Activation, Graph, NodeId, Op, Role, Shape};
use sepal_kernels::{Dims, LANES, Write, conv, depthwise, elementwise, loss, norm};
use sepal_runtime::arena::{self, Request};

use super::kind::Kind;
use super::lower::lower;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::units::{Producer, Unit};

/// A network compiled for one batch size.
pub(super) struct Plan {
    pub(super) units: Vec<UnitPlan>,
    /// The unit whose value the loss reads.
    pub(super) logits: usize,
    /// Scratch of the loss.
    pub(super) loss_scratch: Range<usize>,
    /// Floats of the arena.
    pub(super) arena: usize,
}

/// One unit: what it computes, and where.
pub(super) struct UnitPlan {
    pub(super) kind: Kind,
    /// Size of the stored tensor.
    pub(super) dims: Dims,
    pub(super) inputs: Vec<Edge>,
    pub(super) norm: Option<Norm>,
    pub(super) act: Option<ActPlan>,
    /// Whether its operator's weight is trained.
    pub(super) trains_weight: bool,
    /// Whether its operator's bias is trained.
    pub(super) trains_bias: bool,
    /// Whether anything of it is trained, norm and activation included.
    learns: bool,
    /// Whether the loss depends on it; what does not is never computed.
    pub(super) live: bool,
    /// Whether anything that is trained lies in it or above.
    pub(super) has_gradient: bool,
    /// The stored tensor, in the arena.
    pub(super) z: Range<usize>,
    /// Gradient of the unit's value, in the arena; `None` where nothing that is trained lies above.
    pub(super) g: Option<Range<usize>>,
    pub(super) forward: Working,
    pub(super) backward: Working,
}

/// Short-lived memory of one step, in the arena.
#[derive(Default)]
pub(super) struct Working {
    pub(super) scratch: Range<usize>,
    /// Packed weights.
    pub(super) packed: Range<usize>,
    /// Partial sums of the norm: statistics forward, gradient sums backward.
    pub(super) sums: Range<usize>,
}

/// A unit's input.
#[derive(Clone, Copy)]
pub(super) struct Edge {
    pub(super) unit: usize,
    /// How this reader's part of the input's gradient is written; `None` where nobody needs it.
    pub(super) dx: Option<Write>,
    /// Whether this reader takes the sums of the input's norm while it writes the gradient.
    pub(super) sums: bool,
}

/// A unit's batch norm. Ranges are of parameters, running statistics and the engine's channel vectors.
pub(super) struct Norm {
    pub(super) eps: f32,
    pub(super) momentum: f32,
    /// Whether it uses its running statistics, which stay.
    pub(super) frozen: bool,
    /// Whether its scale or shift is trained.
    pub(super) learns: bool,
    pub(super) gamma: Option<Range<usize>>,
    pub(super) beta: Option<Range<usize>>,
    pub(super) running: [Range<usize>; 2],
    /// mean, inv_std, scale, shift, k1, k2, k3.
    pub(super) vectors: [Range<usize>; 7],
    /// Rows of a chunk of the statistics.
    pub(super) stat_rows: usize,
    /// Whether the operator takes the statistics itself while its result is in cache.
    pub(super) by_producer: bool,
    /// Chunks of the gradient's sums where the reader takes them.
    pub(super) grad_chunks: Option<usize>,
}

/// A unit's activation.
#[derive(Clone)]
pub(super) enum ActPlan {
    Plain(Activation),
    /// Slopes, among the parameters.
    Prelu(Range<usize>),
}

/// Floats of the engine's channel vectors, and a place among them for every unit that needs some.
#[derive(Default)]
pub(super) struct Vectors(pub(super) usize);

impl Vectors {
    fn take(&mut self, dims: &Dims) -> Range<usize> {
        let start = self.0;
        self.0 += dims.blocks() * LANES;
        start..self.0
    }
}

/// Everything the compiler reads.
pub(super) struct Source<'a> {
    pub(super) graph: &'a Graph,
    pub(super) shapes: &'a [Shape],
    pub(super) units: &'a [Unit],
    pub(super) unit_of: &'a [usize],
    pub(super) params: &'a Params,
    pub(super) threads: usize,
}

/// Compiles a batch size; returns the plan and the floats of channel vectors it uses, which do not
/// depend on the batch size.
pub(super) fn compile(source: &Source<'_>, batch: usize) -> Result<(Plan, usize)> {
    let [output] = source.graph.outputs[..] else {
        return Err(Error::Batch(format!("training needs one output, the graph has {}", source.graph.outputs.len())));
    };
    let logits = source.unit_of[output.index()];
    let mut vectors = Vectors::default();
    let mut units = Vec::with_capacity(source.units.len());
    for unit in source.units {
        units.push(unit_plan(source, unit, batch, &mut vectors)?);
    }
    connect(&mut units, logits);
    let (loss_scratch, arena) = place(&mut units, logits, source.threads);
    Ok((Plan { units, logits, loss_scratch, arena }, vectors.0))
}

/// Size of a value of this shape: the first dimension is the channels, the others are pixels.
pub(super) fn dims(shape: &Shape, batch: usize) -> Dims {
    match *shape.dims() {
        [c, h, ref rest @ ..] => Dims::new(batch, c, h, rest.iter().product()),
        [c] => Dims::new(batch, c, 1, 1),
        [] => Dims::new(batch, 1, 1, 1),
    }
}

fn unit_plan(source: &Source<'_>, unit: &Unit, batch: usize, vectors: &mut Vectors) -> Result<UnitPlan> {
    let size = |id: NodeId| dims(&source.shapes[id.index()], batch);
    let dims = size(unit.value);
    let kind = match unit.producer {
        Producer::Copy => Kind::Copy,
        Producer::Node(id) => lower(source, id, batch)?,
    };
    let norm = unit.norm.map(|id| norm_plan(source, id, &kind, &dims, vectors)).transpose()?;
    let act = unit.act.map(|id| act_plan(source, id)).transpose()?;
    let producer = match unit.producer {
        Producer::Copy => None,
        Producer::Node(id) => Some(id),
    };
    let trained = |id: Option<NodeId>| source.params.trained(id).map(|slot| slot.role == Role::Bias);
    let [trains_bias, trains_weight] = [true, false].map(|bias| trained(producer).any(|is_bias| is_bias == bias));
    let learns = [producer, unit.norm, unit.act].into_iter().any(|id| trained(id).next().is_some());
    Ok(UnitPlan {
        kind,
        dims,
        inputs: unit.inputs.iter().map(|&unit| Edge { unit, dx: None, sums: false }).collect(),
        norm,
        act,
        trains_weight,
        trains_bias,
        learns,
        live: false,
        has_gradient: false,
        z: 0..0,
        g: None,
        forward: Working::default(),
        backward: Working::default(),
    })
}

/// Whether pictures stay dense: channel blocks would hold mostly padding, and a first convolution
/// gathers its taps anyway.
pub(super) fn takes_pixels(source: &Source<'_>, input: NodeId, dims: Dims) -> bool {
    let unit = source.unit_of[input.index()];
    let mut readers = source.units.iter().filter(|reader| reader.inputs.contains(&unit));
    let is_conv = |reader: &Unit| match reader.producer {
        Producer::Copy => false,
        Producer::Node(id) => match &source.graph.nodes[id.index()].op {
            Op::Conv2d(op) => !(op.is_depthwise(dims.c) && dims.c > 1),
            _ => false,
        },
    };
    dims.c < LANES && readers.all(is_conv)
}

fn norm_plan(source: &Source<'_>, id: NodeId, kind: &Kind, dims: &Dims, vectors: &mut Vectors) -> Result<Norm> {
    let node = &source.graph.nodes[id.index()];
    let Op::BatchNorm(op) = &node.op else {
        return Err(Error::Unsupported { path: node.path.clone(), what: "is not a batch norm".into() });
    };
    let range = |role| source.params.slot(id, role).map(|slot| slot.range.clone());
    let stays = |role| source.params.slot(id, role).is_some_and(|slot| slot.frozen);
    let frozen = stays(Role::NormMean) || stays(Role::NormVar);
    if dims.rows() < 2 && !frozen {
        let what =
            format!("batch norm needs two values per channel, got {}: use a larger batch or picture", dims.rows());
        return Err(Error::Unsupported { path: node.path.clone(), what });
    }
    let (stat_rows, by_producer) = match kind {
        Kind::Conv { conv, .. } => (conv::stat_rows(conv), true),
        Kind::Depthwise { conv, .. } => (depthwise::stat_rows(conv), true),
        _ => (norm::stat_rows(dims), false),
    };
    Ok(Norm {
        eps: op.eps,
        momentum: op.momentum,
        frozen,
        learns: source.params.trained(Some(id)).next().is_some(),
        gamma: range(Role::NormScale),
        beta: range(Role::NormShift),
        running: [Role::NormMean, Role::NormVar].map(|role| range(role).unwrap_or_default()),
        vectors: std::array::from_fn(|_| vectors.take(dims)),
        stat_rows,
        by_producer: by_producer && !frozen,
        grad_chunks: None,
    })
}

fn act_plan(source: &Source<'_>, id: NodeId) -> Result<ActPlan> {
    let node = &source.graph.nodes[id.index()];
    match &node.op {
        Op::Activation(Activation::Prelu) => {
            Ok(ActPlan::Prelu(source.params.slot(id, Role::Slope).map(|slot| slot.padded()).unwrap_or_default()))
        }
        Op::Activation(act) => Ok(ActPlan::Plain(*act)),
        _ => unreachable!("units take only activations as theirs"),
    }
}

/// Decides what is computed at all, which gradients are needed, and who writes each first.
fn connect(units: &mut [UnitPlan], logits: usize) {
    let mut live = vec![false; units.len()];
    live[logits] = true;
    for unit in (0..units.len()).rev() {
        if live[unit] {
            units[unit].inputs.iter().for_each(|edge| live[edge.unit] = true);
        }
    }
    let mut learns = vec![false; units.len()];
    for unit in 0..units.len() {
        units[unit].live = live[unit];
        learns[unit] = live[unit] && (units[unit].learns || units[unit].inputs.iter().any(|edge| learns[edge.unit]));
    }
    let mut written = vec![false; units.len()];
    for unit in (0..units.len()).rev().filter(|&unit| learns[unit]) {
        units[unit].has_gradient = true;
        for edge in units[unit].inputs.iter_mut().filter(|edge| learns[edge.unit]) {
            edge.dx = Some(if written[edge.unit] { Write::Add } else { Write::Set });
            written[edge.unit] = true;
        }
    }
    for unit in (0..units.len()).filter(|&unit| unit != logits) {
        take_sums(units, unit);
    }
}

/// Has the one reader of a normed value take the norm's sums, if it can.
fn take_sums(units: &mut [UnitPlan], unit: usize) {
    let edges = |reader: &UnitPlan| reader.inputs.iter().filter(|edge| edge.unit == unit && edge.dx.is_some()).count();
    let mut readers = (0..units.len()).filter(|&reader| units[reader].has_gradient && edges(&units[reader]) > 0);
    let (Some(reader), None) = (readers.next(), readers.next()) else { return };
    let chunks = units[reader].kind.grad_chunks();
    let norm = units[unit].norm.as_mut().filter(|norm| norm.wants_sums());
    if let (Some(norm), Some(_)) = (norm, chunks) {
        norm.grad_chunks = chunks;
        // Whatever takes sums has one input.
        units[reader].inputs[0].sums = true;
    }
}

/// Which of a unit's tensors a place is for.
enum Tensor {
    Z,
    G,
    Forward(fn(&mut Working) -> &mut Range<usize>),
    Backward(fn(&mut Working) -> &mut Range<usize>),
}

/// Gives every tensor its place; returns that of the loss's scratch, and the arena's size.
///
/// The forward step of unit `u` is at time `u`, the loss at `U`, the reverse step of `u` at `2U - u`.
fn place(units: &mut [UnitPlan], logits: usize, threads: usize) -> (Range<usize>, usize) {
    let count = units.len();
    let back = |unit: usize| 2 * count - unit;
    let (mut requests, mut tensors) = (Vec::new(), Vec::new());
    let mut ask = |unit: usize, tensor: Tensor, len: usize, first: usize, last: usize| {
        requests.push(Request { len, first, last });
        tensors.push((unit, tensor));
    };
    for (index, unit) in units.iter().enumerate().filter(|(_, unit)| unit.live) {
        let readers = || units.iter().enumerate().filter(move |(_, reader)| reader.live && reader.reads(index));
        let last_forward = readers().map(|(reader, _)| reader).max().unwrap_or(index).max(index);
        let first_g = if index == logits { count } else { back(last_forward) };
        let own = unit.has_gradient && (unit.applies() || unit.kind.rereads_result());
        let reread = readers().filter(|(_, reader)| reader.has_gradient && reader.kind.rereads_input());
        let last_reread = reread.map(|(reader, _)| back(reader)).max().unwrap_or(0);
        let used = if index == logits { count } else { last_forward };
        let last_z = used.max(last_reread).max(if own { back(index) } else { 0 });
        ask(index, Tensor::Z, unit.z_len(), index, last_z);
        let [scratch, packed, sums] = unit.forward_working(threads);
        ask(index, Tensor::Forward(|w| &mut w.scratch), scratch, index, index);
        ask(index, Tensor::Forward(|w| &mut w.packed), packed, index, index);
        ask(index, Tensor::Forward(|w| &mut w.sums), sums, index, index);
        if unit.has_gradient {
            ask(index, Tensor::G, unit.dims.len(), first_g, back(index));
            let [scratch, packed, sums] = unit.backward_working(threads);
            ask(index, Tensor::Backward(|w| &mut w.scratch), scratch, back(index), back(index));
            ask(index, Tensor::Backward(|w| &mut w.packed), packed, back(index), back(index));
            let by_reader = unit.norm.as_ref().is_some_and(|norm| norm.grad_chunks.is_some());
            let first_sums = if by_reader { first_g } else { back(index) };
            ask(index, Tensor::Backward(|w| &mut w.sums), sums, first_sums, back(index));
        }
    }
    requests.push(Request {
        len: loss::cross_entropy_scratch(&units[logits].dims, threads),
        first: count,
        last: count,
    });
    let layout = arena::plan(&requests);
    let range = |at: usize| layout.offsets[at]..layout.offsets[at] + requests[at].len;
    for (at, (unit, tensor)) in tensors.into_iter().enumerate() {
        let unit = &mut units[unit];
        match tensor {
            Tensor::Z => unit.z = range(at),
            Tensor::G => unit.g = Some(range(at)),
            Tensor::Forward(field) => *field(&mut unit.forward) = range(at),
            Tensor::Backward(field) => *field(&mut unit.backward) = range(at),
        }
    }
    (range(requests.len() - 1), layout.total)
}

impl Norm {
    /// Whether the reverse step needs the sums of the gradient.
    pub(super) fn wants_sums(&self) -> bool {
        self.learns || !self.frozen
    }
}

impl UnitPlan {
    /// Whether readers apply something to the stored tensor.
    pub(super) fn applies(&self) -> bool {
        self.norm.is_some() || self.act.is_some()
    }

    fn reads(&self, unit: usize) -> bool {
        self.inputs.iter().any(|edge| edge.unit == unit)
    }

    /// Floats of the stored tensor.
    fn z_len(&self) -> usize {
        match self.kind {
            Kind::Input { pixels: true } => flat_len(&self.dims),
            _ => self.dims.len(),
        }
    }

    /// Floats of scratch, packed weights and norm statistics of the forward step.
    fn forward_working(&self, threads: usize) -> [usize; 3] {
        let sums = self.norm.as_ref().map_or(0, |norm| norm::stats_len(&self.dims, norm.stat_rows));
        let [scratch, packed] = self.kind.forward_working(&self.dims, threads);
        [scratch, packed, sums]
    }

    /// The same of the reverse step, with the norm's gradient sums.
    fn backward_working(&self, threads: usize) -> [usize; 3] {
        let sums = self.norm.as_ref().map_or(0, |norm| match norm.grad_chunks {
            Some(chunks) => chunks * 2 * self.dims.blocks() * LANES,
            None => norm::grad_sums_len(&self.dims),
        });
        let wants_input = self.inputs.iter().any(|edge| edge.dx.is_some());
        let [scratch, packed] = self.kind.backward_working(&self.dims, threads, wants_input);
        let prelu = match self.act {
            Some(ActPlan::Prelu(_)) => elementwise::prelu_scratch(&self.dims),
            _ => 0,
        };
        [scratch.max(prelu), packed, sums]
    }
}

/// Floats of a tensor at the boundary, without padding.
pub(super) fn flat_len(dims: &Dims) -> usize {
    dims.rows() * dims.c
}
