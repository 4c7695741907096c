//! The lowered network: steps on channel-blocked values, which the passes rewrite.

use sepal_graph::Activation;
use sepal_kernels::arrange::Taps;
use sepal_kernels::elementwise::Binary;
use sepal_kernels::pooling::Pool;
use sepal_kernels::{Conv, Dims};

use crate::rearrange::Rearrange;
use crate::view::View;

/// Index into [`Program::values`].
pub(crate) type ValueId = usize;

/// A network as steps in the order in which they run.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) values: Vec<Value>,
    pub(crate) steps: Vec<Step>,
    pub(crate) input: ValueId,
    pub(crate) output: ValueId,
}

/// A tensor that the network computes, or its input.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    /// Path of the node it stands for.
    pub(crate) path: String,
    /// Shape for one image, and how it lies in memory.
    pub(crate) view: View,
    /// The value of which this is a range of channels, if it has no memory of its own.
    pub(crate) within: Option<Within>,
}

/// Where a value lies in a larger one of as many pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Within {
    pub(crate) whole: ValueId,
    /// The block of the whole's channels that is its first.
    pub(crate) block: usize,
}

impl Value {
    /// Sizes in memory for one image.
    pub(crate) fn dims(&self) -> Dims {
        self.view.dims()
    }
}

/// A kernel to run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// Path of the node whose arithmetic this is.
    pub(crate) path: String,
    pub(crate) kind: Kind,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) output: ValueId,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A value under another name.
    Identity,
    /// Any convolution, and linear layers as pointwise ones.
    Conv(Filters),
    /// Depthwise convolutions of the second value, summed, each times its element of the first.
    Mixed(Mixed),
    /// Depthwise convolutions and the pointwise ones beside them, line by line.
    Chain(Vec<Filters>),
    /// `act(scale·x + shift)` per channel.
    Apply(Apply),
    /// A transposed convolution.
    Transposed(Transposed),
    /// Arithmetic on two values that lie alike.
    Binary(Binary),
    /// The first value times the second, one number per channel.
    Scale,
    /// The second value and those after it, each times its element of the first, summed.
    GatedSum,
    /// Maximum or mean over a window; sizes for one image.
    Pool(Pool),
    /// Mean over all pixels.
    GlobalAverage,
    /// Softmax over the channels of each pixel.
    Softmax,
    /// Layer norm over the channels of each pixel.
    LayerNorm(LayerNorm),
    /// Channels side by side.
    Channels(Join),
    /// Pixels of pixels.
    Resample(Taps),
    /// Elements in other places.
    Rearrange(Rearrange),
    /// A value of the network itself, in the order of channels and pixels.
    Constant(Param),
}

/// Numbers that the model holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Param {
    pub(crate) values: Vec<f32>,
    /// Whether other models have the same.
    pub(crate) shared: bool,
}

impl Param {
    /// Of this model alone.
    pub(crate) fn own(values: Vec<f32>) -> Self {
        Self { values, shared: false }
    }
}

/// Channels of other values side by side, with what is fused into it: `act(scale·(channels + add) + shift)`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Join {
    /// In ascending order. Channels that are in none of them are there already.
    pub(crate) parts: Vec<Part>,
    /// Whether the step's last input is added before `apply`.
    pub(crate) add: bool,
    pub(crate) apply: Apply,
}

impl Join {
    /// Nothing but these parts, which make up the whole.
    pub(crate) fn new(parts: Vec<Part>) -> Self {
        Self { parts, add: false, apply: Apply::default() }
    }

    /// Whether values only move.
    pub(crate) fn is_plain(&self) -> bool {
        !self.add && self.apply.is_none()
    }
}

/// Some channels of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Part {
    /// The first of them.
    pub(crate) at: usize,
    pub(crate) count: usize,
    pub(crate) from: Origin,
}

/// Where channels come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Origin {
    /// Channels of input `index` of the step, from `first` on.
    Input { index: usize, first: usize },
    /// Nowhere: they have this value.
    Value(f32),
}

/// A layer norm's parameters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LayerNorm {
    /// Scale and shift.
    pub(crate) affine: Option<(Param, Param)>,
    pub(crate) eps: f32,
}

/// A transposed convolution.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Transposed {
    /// Sizes for one image of the convolution that is transposed: from the result to what is read.
    pub(crate) conv: Conv,
    /// In the order I, O/groups, kH, kW.
    pub(crate) weight: Param,
    pub(crate) bias: Option<Param>,
}

/// Depthwise convolutions that differ in their filters alone, mixed by a gate, with what is fused into them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mixed {
    /// Sizes for one image.
    pub(crate) conv: Conv,
    /// Weights and bias of each.
    pub(crate) kernels: Vec<(Param, Option<Param>)>,
    pub(crate) act: Act,
}

/// A convolution with what is fused into it: `act(scale·filters(source(x)·gate) + bias + add)`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filters {
    /// Sizes for one image.
    pub(crate) conv: Conv,
    /// In the order O, I/groups, kH, kW.
    pub(crate) weight: Param,
    /// Of each channel: a norm of this model after weights that others have, too.
    pub(crate) scale: Option<Param>,
    pub(crate) bias: Option<Param>,
    /// Applied to the first input as it is read.
    pub(crate) source: Apply,
    /// Whether the step's last input has a number for each channel, by which the first one is multiplied.
    pub(crate) gate: bool,
    /// Whether the step's second input is added before the activation.
    pub(crate) add: bool,
    pub(crate) act: Act,
}

impl Filters {
    /// Whether each channel is filtered on its own.
    pub(crate) fn is_depthwise(&self) -> bool {
        self.conv.is_depthwise()
    }
}

/// A per-channel affine map and an activation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Apply {
    /// Scale and shift.
    pub(crate) affine: Option<(Param, Param)>,
    pub(crate) act: Act,
}

impl Apply {
    pub(crate) fn is_none(&self) -> bool {
        self.affine.is_none() && self.act.is_none()
    }
}

/// An activation with its slopes, if it has any.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Act {
    /// `None` is the identity.
    pub(crate) function: Option<Activation>,
    /// One per channel for PReLU, empty for others.
    pub(crate) slopes: Param,
}

impl Act {
    pub(crate) fn is_none(&self) -> bool {
        self.function.is_none()
    }

    /// Whether kernels apply it to their sums before they store them.
    pub(crate) fn is_simple(&self) -> bool {
        kernel_act(self.function, &self.slopes.values).is_simple()
    }
}

/// The kernels' name of an activation.
pub(crate) fn kernel_act(function: Option<Activation>, slopes: &[f32]) -> sepal_kernels::Act<'_> {
    use sepal_kernels::{Act, Smooth};
    match function {
        None => Act::None,
        Some(Activation::Relu) => Act::Relu,
        Some(Activation::Relu6) => Act::Relu6,
        Some(Activation::Elu { alpha }) => Act::Elu(alpha),
        Some(Activation::Prelu) => Act::Prelu(slopes),
        Some(Activation::Silu) => Act::Silu,
        Some(Activation::HardSwish) => Act::HardSwish,
        Some(Activation::HardSigmoid) => Act::HardSigmoid,
        Some(Activation::Sigmoid) => Act::Sigmoid,
        Some(Activation::LeakyRelu { slope }) => Act::LeakyRelu(slope),
        Some(Activation::Clip { min, max }) => Act::Clip(min, max),
        Some(Activation::Tanh) => Act::Smooth(Smooth::Tanh),
        Some(Activation::Gelu) => Act::Smooth(Smooth::Gelu),
        Some(Activation::GeluTanh) => Act::Smooth(Smooth::GeluTanh),
        Some(Activation::Mish) => Act::Smooth(Smooth::Mish),
    }
}

impl Program {
    /// How often each value is read; the network's output is read once more by the caller.
    pub(crate) fn reads(&self) -> Vec<usize> {
        let mut reads = vec![0; self.values.len()];
        for input in self.steps.iter().flat_map(|step| &step.inputs) {
            reads[*input] += 1;
        }
        reads[self.output] += 1;
        reads
    }

    /// Index of the step that writes each value; none for the input.
    pub(crate) fn writers(&self) -> Vec<Option<usize>> {
        let mut writers = vec![None; self.values.len()];
        for (index, step) in self.steps.iter().enumerate() {
            writers[step.output] = Some(index);
        }
        writers
    }

    /// The value whose memory holds `value`, and the block of its channels that is the value's first.
    pub(crate) fn home(&self, value: ValueId) -> (ValueId, usize) {
        let (mut home, mut at) = (value, 0);
        while let Some(Within { whole, block }) = self.values[home].within {
            (home, at) = (whole, at + block);
        }
        (home, at)
    }

    /// Leaves out the steps that are `gone`.
    pub(crate) fn drop_steps(&mut self, gone: &[bool]) {
        let mut gone = gone.iter();
        self.steps.retain(|_| gone.next() != Some(&true));
    }

    /// Makes every reader of `old` read `new`.
    pub(crate) fn replace(&mut self, old: ValueId, new: ValueId) {
        let inputs = self.steps.iter_mut().flat_map(|step| &mut step.inputs);
        for value in inputs.chain(std::iter::once(&mut self.output)) {
            if *value == old {
                *value = new;
            }
        }
    }
}
