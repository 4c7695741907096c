//! The time of a step, unit by unit, beside what each has to read and write.

use std::time::{Duration, Instant};

use sepal_graph::Graph;
use sepal_kernels::elementwise::Binary;
use sepal_kernels::{Conv, Write, conv, pooling};
use sepal_runtime::window;

use super::kind::Kind;
use super::plan::{ActPlan, Norm, Plan, UnitPlan, flat_len};
use crate::units::Unit;

const FLOAT: u64 = size_of::<f32>() as u64;
/// Floats of packed weights beside those there are from which a convolution counts as one of zeros.
const MOSTLY_ZEROS: usize = 2;

/// A part of a unit's share of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Forward,
    Norm,
    Weights,
    Input,
    /// All gradients in one walk, or those of a unit without weights.
    Gradients,
}

const PARTS: usize = 5;

/// Times of every unit and of the loss, where somebody asked.
pub(super) struct Clock<'a> {
    times: Option<&'a mut Times>,
    last: Instant,
}

/// What a [`Clock`] adds up.
pub(super) struct Times {
    pub(super) units: Vec<[Duration; PARTS]>,
    pub(super) loss: Duration,
    /// Whether the gradients of inputs and weights are computed one after the other.
    pub(super) apart: bool,
    /// Pictures of the steps.
    pub(super) batch: usize,
}

impl Times {
    pub(super) fn new(units: usize, apart: bool) -> Self {
        Self { units: vec![[Duration::ZERO; PARTS]; units], loss: Duration::ZERO, apart, batch: 0 }
    }
}

impl<'a> Clock<'a> {
    pub(super) fn start(mut times: Option<&'a mut Times>, batch: usize) -> Self {
        if let Some(times) = &mut times {
            times.batch = batch;
        }
        Self { times, last: Instant::now() }
    }

    /// The time since the last lap is that of a unit's part.
    pub(super) fn lap(&mut self, unit: usize, part: Part) {
        if let Some(times) = &mut self.times {
            let now = Instant::now();
            times.units[unit][part as usize] += now - self.last;
            self.last = now;
        }
    }

    /// The same, of the loss.
    pub(super) fn lap_loss(&mut self) {
        if let Some(times) = &mut self.times {
            let now = Instant::now();
            times.loss += now - self.last;
            self.last = now;
        }
    }

    /// Whether gradients of inputs and weights are to be computed one after the other.
    pub(super) fn apart(&self) -> bool {
        self.times.as_ref().is_some_and(|times| times.apart)
    }
}

/// A step's time since [`Engine::start_profile`](super::Engine::start_profile).
#[derive(Clone, Debug)]
pub struct StepTime {
    /// In the order of the network; units that the loss does not depend on have no time.
    pub units: Vec<UnitTime>,
    /// Loss and the gradient of the logits.
    pub loss: Duration,
}

/// Time of one unit of the network: an operator with the batch norm and activation that follow it.
#[derive(Clone, Debug)]
pub struct UnitTime {
    /// Path of the node whose value the unit holds.
    pub path: String,
    /// What it computes, such as `depthwise 3×3/2 + norm + relu6`.
    pub kind: String,
    /// Why it takes long for its arithmetic, if it runs on an operator that is made for any case rather than for this one.
    pub fallback: Option<String>,
    /// The forward step.
    pub forward: Duration,
    /// The sums of its norm's gradient, a pass of their own, or of a PReLU's slopes.
    pub norm: Duration,
    /// The gradient of the weights, if it was computed by itself.
    pub weights: Duration,
    /// The gradient of the input, if it was computed by itself.
    pub input: Duration,
    /// Gradients that were computed together.
    pub gradients: Duration,
    /// Bytes that the forward step has to read and write at least: each tensor once.
    pub forward_bytes: u64,
    /// Bytes that the reverse step has to read and write at least: each tensor once, and once more for the norm's sums.
    pub backward_bytes: u64,
}

impl UnitTime {
    /// The reverse step.
    #[must_use]
    pub fn backward(&self) -> Duration {
        self.norm + self.weights + self.input + self.gradients
    }
}

/// The rows of a profile.
pub(super) fn rows(graph: &Graph, units: &[Unit], plan: &Plan, times: &Times) -> StepTime {
    let row = |((unit, of), time): ((&Unit, &UnitPlan), &[Duration; PARTS])| {
        let part = |part: Part| time[part as usize];
        let [forward_bytes, backward_bytes] = bytes(plan, of);
        UnitTime {
            path: graph.nodes[unit.value.index()].path.clone(),
            kind: describe(of),
            fallback: fallback(of),
            forward: part(Part::Forward),
            norm: part(Part::Norm),
            weights: part(Part::Weights),
            input: part(Part::Input),
            gradients: part(Part::Gradients),
            forward_bytes,
            backward_bytes,
        }
    };
    StepTime { units: units.iter().zip(&plan.units).zip(&times.units).map(row).collect(), loss: times.loss }
}

/// Bytes of the tensors that a unit reads and writes, forward and backward.
fn bytes(plan: &Plan, unit: &UnitPlan) -> [u64; 2] {
    if !unit.live {
        return [0; 2];
    }
    let own = unit.z.len();
    let weights = unit.kind.weights();
    let read: usize = unit.inputs.iter().map(|edge| plan.units[edge.unit].z.len()).sum();
    let statistics = match &unit.norm {
        Some(norm) if !norm.by_producer && !norm.frozen => own,
        _ => 0,
    };
    let pictures = if matches!(unit.kind, Kind::Input { .. }) { flat_len(&unit.dims) } else { 0 };
    let forward = pictures + read + own + weights + statistics;
    let mut backward = 0;
    if unit.has_gradient {
        let gradient = unit.g.as_ref().map_or(0, |g| g.len());
        let sums = if unit.norm.as_ref().is_some_and(Norm::wants_sums) { gradient + own } else { 0 };
        let again = if unit.applies() || unit.kind.rereads_result() { own } else { 0 };
        let inputs = if unit.kind.rereads_input() { read } else { 0 };
        let written = unit.inputs.iter().map(|edge| match edge.dx {
            None => 0,
            Some(Write::Set) => plan.units[edge.unit].dims.len(),
            Some(Write::Add) => 2 * plan.units[edge.unit].dims.len(),
        });
        backward = sums + gradient + again + inputs + 2 * weights + written.sum::<usize>();
    }
    [forward, backward].map(|floats| floats as u64 * FLOAT)
}

/// What a unit computes, as words.
fn describe(unit: &UnitPlan) -> String {
    let mut text = match &unit.kind {
        Kind::Input { pixels: true } => "input to pixels".to_owned(),
        Kind::Input { pixels: false } => "input to channel blocks".to_owned(),
        Kind::Conv { conv, .. } => convolution("conv", conv),
        Kind::Depthwise { conv, .. } => convolution("depthwise", conv),
        Kind::Transposed { conv, .. } => convolution("transposed conv", conv),
        Kind::Binary(op) => match op {
            Binary::Add => "add",
            Binary::Subtract => "subtract",
            Binary::Multiply => "multiply",
            Binary::Divide => "divide",
        }
        .to_owned(),
        Kind::Scale { .. } => "scale".to_owned(),
        Kind::GatedSum => "gated sum".to_owned(),
        Kind::Channels { .. } => "channels".to_owned(),
        Kind::Resample { .. } => "resample".to_owned(),
        Kind::Gather { .. } => "rearrange".to_owned(),
        Kind::Softmax => "softmax".to_owned(),
        Kind::LayerNorm { .. } => "layer norm".to_owned(),
        Kind::Constant { .. } => "constant".to_owned(),
        Kind::Pool(pool) => {
            let name = match pool.kind {
                pooling::Kind::Max => "max pool",
                pooling::Kind::Average { .. } => "average pool",
            };
            format!("{name} {}", window(pool.kernel, pool.stride))
        }
        Kind::GlobalAvgPool { .. } => "global average".to_owned(),
        Kind::Dropout { .. } => "dropout".to_owned(),
        Kind::Copy => "copy".to_owned(),
    };
    if unit.norm.is_some() {
        text += " + norm";
    }
    match &unit.act {
        Some(ActPlan::Plain(act)) => text += &format!(" + {act}"),
        Some(ActPlan::Prelu(_)) => text += " + prelu",
        None => {}
    }
    text
}

fn convolution(name: &str, conv: &Conv) -> String {
    let mut text = format!("{name} {}", window(conv.kernel, conv.stride));
    if conv.dilation != [1, 1] {
        text += &format!(" dilated {}", conv.dilation[0].max(conv.dilation[1]));
    }
    if conv.groups != 1 && name != "depthwise" {
        text += &format!(" in {} groups", conv.groups);
    }
    text
}

/// Why a unit's operator is a slow one.
fn fallback(unit: &UnitPlan) -> Option<String> {
    if !unit.live {
        return None;
    }
    match &unit.kind {
        Kind::Conv { conv, .. } if conv.groups > 1 => {
            let (packed, weights) = (conv::packed_len(conv), conv.weight_len());
            (packed >= MOSTLY_ZEROS * weights)
                .then(|| format!("groups share channel blocks: {packed} weights are multiplied for {weights}"))
        }
        // Of one pixel, elements are channels already.
        Kind::Gather { input, .. } if input.h * input.w > 1 || unit.dims.h * unit.dims.w > 1 => {
            Some("moves single elements by a table".to_owned())
        }
        Kind::Constant { .. } => Some("is copied to every picture, on one thread".to_owned()),
        Kind::Conv { .. }
        | Kind::Gather { .. }
        | Kind::Input { .. }
        | Kind::Depthwise { .. }
        | Kind::Transposed { .. }
        | Kind::Binary(_)
        | Kind::Scale { .. }
        | Kind::GatedSum
        | Kind::Channels { .. }
        | Kind::Resample { .. }
        | Kind::Softmax
        | Kind::LayerNorm { .. }
        | Kind::Pool(_)
        | Kind::GlobalAvgPool { .. }
        | Kind::Dropout { .. }
        | Kind::Copy => None,
    }
}
