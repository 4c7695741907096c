//! Steps as they run: kernel, operands' places, constants' places.

mod run;

use std::ops::Range;

use sepal_graph::Activation;
use sepal_kernels::arrange::{Gather, Taps};
use sepal_kernels::conv::strassen;
use sepal_kernels::conv::winograd::{self, Tile};
use sepal_kernels::elementwise::Binary;
use sepal_kernels::pooling::Pool;
use sepal_kernels::{Act, Conv, Dims, Epilogue, Source, chain, conv, depthwise};

use crate::constants::{Constants, Packed, Packing, Slot};
use crate::ir::{self, Param, Part, kernel_act};

pub(crate) use run::Operands;

/// A value's place in the arena.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Sizes for one image.
    pub(crate) dims: Dims,
    /// First float of the memory that it lies in.
    pub(crate) offset: usize,
    /// Channel blocks of as many pixels that come before it there.
    pub(crate) block: usize,
    /// Dense `N, H, W, C` floats instead of channel blocks.
    pub(crate) pixels: bool,
}

impl Place {
    /// Sizes for `n` images.
    pub(crate) fn dims(&self, n: usize) -> Dims {
        Dims { n, ..self.dims }
    }

    /// Floats that `n` images take.
    pub(crate) fn len(&self, n: usize) -> usize {
        let dims = self.dims(n);
        if self.pixels { dims.rows() * dims.c } else { dims.len() }
    }

    /// First float of `n` images.
    pub(crate) fn start(&self, n: usize) -> usize {
        self.offset + self.block * self.dims(n).plane()
    }

    /// Where `n` images lie.
    pub(crate) fn range(&self, n: usize) -> Range<usize> {
        self.start(n)..self.start(n) + self.len(n)
    }

    /// Where some channel blocks of `n` images lie.
    pub(crate) fn blocks(&self, n: usize, blocks: Range<usize>) -> Range<usize> {
        let plane = self.dims(n).plane();
        self.start(n) + blocks.start * plane..self.start(n) + blocks.end * plane
    }
}

/// A kernel to run, with the places of its constants.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    Conv(Filters),
    /// A pointwise convolution by Strassen's algorithm.
    Strassen(Filters),
    /// A 3×3 convolution by Winograd's algorithm.
    Winograd(Tile, Filters),
    Depthwise(Filters),
    Mixed(Mixed),
    Chain(Vec<Filters>),
    Transposed {
        /// The convolution that is transposed, for one image.
        conv: Conv,
        packed: Slot,
        bias: Option<Slot>,
    },
    Apply(Apply),
    Binary(Binary),
    Scale,
    GatedSum,
    /// Sizes for one image.
    Pool(Pool),
    GlobalAverage,
    Softmax,
    LayerNorm {
        affine: Option<[Slot; 2]>,
        eps: f32,
    },
    Channels(Join),
    Resample(Taps),
    Gather(Gather),
    Constant {
        /// Sizes for one image.
        dims: Dims,
        values: Slot,
    },
}

/// Channels side by side, with the places of the constants of what is fused into it.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub(crate) parts: Vec<Part>,
    pub(crate) add: bool,
    pub(crate) apply: Apply,
}

/// A convolution: its sizes for one image and the places of its constants.
#[derive(Clone, Debug)]
pub(crate) struct Filters {
    pub(crate) conv: Conv,
    pub(crate) packed: Slot,
    pub(crate) scale: Option<Slot>,
    pub(crate) bias: Option<Slot>,
    /// What is applied to the input.
    pub(crate) source: Apply,
    pub(crate) gate: bool,
    pub(crate) add: bool,
    pub(crate) act: Activate,
}

/// Depthwise convolutions mixed by a gate: their sizes for one image and the places of their constants.
#[derive(Clone, Debug)]
pub(crate) struct Mixed {
    pub(crate) conv: Conv,
    /// Convolutions.
    pub(crate) of: usize,
    pub(crate) kernels: Slot,
    /// Whether they have one.
    pub(crate) bias: bool,
    pub(crate) act: Activate,
}

/// A per-channel affine map and an activation, with the places of their constants.
#[derive(Clone, Debug)]
pub(crate) struct Apply {
    pub(crate) affine: Option<[Slot; 2]>,
    pub(crate) act: Activate,
}

impl Apply {
    fn new(apply: ir::Apply, constants: &mut Constants<'_>) -> Self {
        let affine = apply.affine.map(|affine| pair(affine, constants));
        Self { affine, act: Activate::new(apply.act, constants) }
    }

    fn source<'a>(&self, z: &'a [f32], constants: &'a Packed) -> Source<'a> {
        let affine = self.affine.as_ref().map(|[scale, shift]| (constants.get(scale), constants.get(shift)));
        Source { z, affine, act: self.act.act(constants) }
    }
}

/// An activation with the place of its slopes.
#[derive(Clone, Debug)]
pub(crate) struct Activate {
    pub(crate) function: Option<Activation>,
    slopes: Slot,
}

impl Activate {
    fn new(act: ir::Act, constants: &mut Constants<'_>) -> Self {
        Self { function: act.function, slopes: constants.channels(act.slopes) }
    }

    fn act<'a>(&self, constants: &'a Packed) -> Act<'a> {
        self.act_from(0, constants)
    }

    /// For channels from `first` on, with which a block begins.
    fn act_from<'a>(&self, first: usize, constants: &'a Packed) -> Act<'a> {
        let slopes = constants.get(&self.slopes);
        kernel_act(self.function, &slopes[first.min(slopes.len())..])
    }
}

impl Filters {
    /// For the general kernels, or the depthwise ones.
    fn new(filters: ir::Filters, constants: &mut Constants<'_>) -> Self {
        let pack = if filters.is_depthwise() { Packing::Depthwise } else { Packing::Conv };
        Self::packed_by(pack, filters, constants)
    }

    fn packed_by(pack: impl FnOnce(Conv) -> Packing, filters: ir::Filters, constants: &mut Constants<'_>) -> Self {
        let ir::Filters { conv, weight, scale, bias, source, gate, add, act } = filters;
        let packed = constants.push(pack(conv), weight);
        let [scale, bias] = [scale, bias].map(|values| values.map(|values| constants.channels(values)));
        let (source, act) = (Apply::new(source, constants), Activate::new(act, constants));
        Self { conv, packed, scale, bias, source, gate, add, act }
    }

    pub(crate) fn is_depthwise(&self) -> bool {
        self.conv.is_depthwise()
    }

    /// The convolution of `n` images.
    pub(crate) fn conv(&self, n: usize) -> Conv {
        batched(&self.conv, n)
    }

    fn epilogue<'a>(&self, constants: &'a Packed, add: &'a [f32]) -> Epilogue<'a> {
        Epilogue {
            scale: self.scale.as_ref().map(|scale| constants.get(scale)),
            bias: self.bias.as_ref().map(|bias| constants.get(bias)),
            add: self.add.then_some(add),
            act: self.act.act(constants),
        }
    }
}

impl Mixed {
    fn new(ir::Mixed { conv, kernels, act }: ir::Mixed, constants: &mut Constants<'_>) -> Self {
        let (of, has_bias) = (kernels.len(), kernels.iter().any(|(_, bias)| bias.is_some()));
        let mut all = Param { values: Vec::new(), shared: true };
        for (weight, bias) in kernels {
            all.shared &= weight.shared && bias.as_ref().is_none_or(|bias| bias.shared);
            all.values.extend(weight.values);
            if has_bias {
                all.values.extend(bias.map_or_else(|| vec![0.0; conv.output.c], |bias| bias.values));
            }
        }
        let kernels = constants.push(Packing::Mixed(conv, has_bias), all);
        Self { conv, of, kernels, bias: has_bias, act: Activate::new(act, constants) }
    }
}

/// Places of a scale and a shift.
fn pair((scale, shift): (Param, Param), constants: &mut Constants<'_>) -> [Slot; 2] {
    [scale, shift].map(|values| constants.channels(values))
}

/// The convolution of `n` images.
fn batched(conv: &Conv, n: usize) -> Conv {
    Conv { input: Dims { n, ..conv.input }, output: Dims { n, ..conv.output }, ..*conv }
}

impl Task {
    /// The kernel for a step of the lowered network that writes a value of `dims`, its constants placed; none for
    /// an identity. `pixels` says whether it reads dense pixels.
    pub(crate) fn new(kind: ir::Kind, dims: Dims, pixels: bool, constants: &mut Constants<'_>) -> Option<Self> {
        Some(match kind {
            ir::Kind::Identity => return None,
            ir::Kind::Conv(filters) => {
                if strassen::applies(&filters.conv) {
                    Self::Strassen(Filters::packed_by(Packing::Strassen, filters, constants))
                } else if let Some(tile) = winograd::applies(&filters.conv).filter(|_| !pixels) {
                    Self::Winograd(tile, Filters::packed_by(|conv| Packing::Winograd(conv, tile), filters, constants))
                } else if filters.is_depthwise() {
                    Self::Depthwise(Filters::new(filters, constants))
                } else {
                    Self::Conv(Filters::new(filters, constants))
                }
            }
            ir::Kind::Mixed(mixed) => Self::Mixed(Mixed::new(mixed, constants)),
            ir::Kind::Chain(links) => {
                Self::Chain(links.into_iter().map(|filters| Filters::new(filters, constants)).collect())
            }
            ir::Kind::Transposed(ir::Transposed { conv, weight, bias }) => {
                let packed = constants.push(Packing::Transposed(conv), weight);
                Self::Transposed { conv, packed, bias: bias.map(|bias| constants.channels(bias)) }
            }
            ir::Kind::Apply(apply) => Self::Apply(Apply::new(apply, constants)),
            ir::Kind::LayerNorm(ir::LayerNorm { affine, eps }) => {
                Self::LayerNorm { affine: affine.map(|affine| pair(affine, constants)), eps }
            }
            ir::Kind::Binary(op) => Self::Binary(op),
            ir::Kind::Scale => Self::Scale,
            ir::Kind::GatedSum => Self::GatedSum,
            ir::Kind::Pool(pool) => Self::Pool(pool),
            ir::Kind::GlobalAverage => Self::GlobalAverage,
            ir::Kind::Softmax => Self::Softmax,
            ir::Kind::Channels(ir::Join { parts, add, apply }) => {
                Self::Channels(Join { parts, add, apply: Apply::new(apply, constants) })
            }
            ir::Kind::Resample(taps) => Self::Resample(taps),
            ir::Kind::Rearrange(rearrange) => Self::Gather(rearrange.gather()),
            ir::Kind::Constant(values) => Self::Constant { dims, values: constants.push(Packing::Map(dims), values) },
        })
    }

    /// Floats of scratch that the kernel needs for any number of images up to `group`; `pixels` is what it reads.
    pub(crate) fn scratch(&self, group: usize, pixels: bool, threads: usize) -> usize {
        let need: &dyn Fn(usize) -> usize = match self {
            Self::Conv(filters) => &|n| conv::forward_scratch(&filters.conv(n), threads),
            Self::Strassen(filters) => &|n| strassen::forward_scratch(&filters.conv(n), threads),
            Self::Winograd(tile, filters) => &|n| winograd::forward_scratch(&filters.conv(n), *tile, threads),
            Self::Depthwise(filters) => &|n| depthwise::forward_scratch(&filters.conv(n), threads),
            Self::Mixed(mixed) => &|n| depthwise::mixed_scratch(&batched(&mixed.conv, n), mixed.bias, threads),
            Self::Chain(links) => &|n| {
                let convs: Vec<Conv> = links.iter().map(|link| link.conv(n)).collect();
                chain::forward_scratch(&convs, pixels, threads)
            },
            Self::Transposed { conv, .. } => &|n| conv::transposed::forward_scratch(&batched(conv, n), threads),
            Self::Apply(_)
            | Self::Binary(_)
            | Self::Scale
            | Self::GatedSum
            | Self::Pool(_)
            | Self::GlobalAverage
            | Self::Softmax
            | Self::LayerNorm { .. }
            | Self::Channels(_)
            | Self::Resample(_)
            | Self::Gather(_)
            | Self::Constant { .. } => &|_| 0,
        };
        (1..=group).map(need).max().unwrap_or(0)
    }
}
