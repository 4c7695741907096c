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

use crate::constants::Constants;
use crate::ir::{self, Part, kernel_act};

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
    Chain(Vec<Filters>),
    Transposed {
        /// The convolution that is transposed, for one image.
        conv: Conv,
        packed: Range<usize>,
        bias: Option<Range<usize>>,
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
        affine: Option<[Range<usize>; 2]>,
        eps: f32,
    },
    Channels(Join),
    Resample(Taps),
    Gather(Gather),
    Constant {
        /// Sizes for one image.
        dims: Dims,
        values: Range<usize>,
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
    pub(crate) packed: Range<usize>,
    pub(crate) bias: Option<Range<usize>>,
    /// What is applied to the input.
    pub(crate) source: Apply,
    pub(crate) gate: bool,
    pub(crate) add: bool,
    pub(crate) act: Activate,
}

/// A per-channel affine map and an activation, with the places of their constants.
#[derive(Clone, Debug)]
pub(crate) struct Apply {
    pub(crate) affine: Option<[Range<usize>; 2]>,
    pub(crate) act: Activate,
}

impl Apply {
    fn new(apply: ir::Apply, constants: &mut Constants) -> Self {
        let affine = apply.affine.map(|affine| pair(affine, constants));
        Self { affine, act: Activate::new(apply.act, constants) }
    }

    fn source<'a>(&self, z: &'a [f32], constants: &'a [f32]) -> Source<'a> {
        let affine = self.affine.clone().map(|[scale, shift]| (&constants[scale], &constants[shift]));
        Source { z, affine, act: self.act.act(constants) }
    }
}

/// An activation with the place of its slopes.
#[derive(Clone, Debug)]
pub(crate) struct Activate {
    pub(crate) function: Option<Activation>,
    slopes: Range<usize>,
}

impl Activate {
    fn new(act: ir::Act, constants: &mut Constants) -> Self {
        Self { function: act.function, slopes: constants.channels(act.slopes) }
    }

    fn act<'a>(&self, constants: &'a [f32]) -> Act<'a> {
        self.act_from(0, constants)
    }

    /// For channels from `first` on, with which a block begins.
    fn act_from<'a>(&self, first: usize, constants: &'a [f32]) -> Act<'a> {
        let slopes = &constants[self.slopes.clone()];
        kernel_act(self.function, &slopes[first.min(slopes.len())..])
    }
}

impl Filters {
    /// For the general kernels, or the depthwise ones.
    fn new(filters: ir::Filters, constants: &mut Constants) -> Self {
        let pack = if filters.is_depthwise() { Constants::depthwise } else { Constants::conv };
        Self::packed_by(pack, filters, constants)
    }

    fn packed_by(
        pack: impl FnOnce(&mut Constants, Conv, Vec<f32>) -> Range<usize>,
        filters: ir::Filters,
        constants: &mut Constants,
    ) -> Self {
        let ir::Filters { conv, weight, bias, source, gate, add, act } = filters;
        let packed = pack(constants, conv, weight);
        let bias = bias.map(|bias| constants.channels(bias));
        let (source, act) = (Apply::new(source, constants), Activate::new(act, constants));
        Self { conv, packed, bias, source, gate, add, act }
    }

    pub(crate) fn is_depthwise(&self) -> bool {
        self.conv.is_depthwise()
    }

    /// The convolution of `n` images.
    pub(crate) fn conv(&self, n: usize) -> Conv {
        batched(&self.conv, n)
    }

    fn epilogue<'a>(&self, constants: &'a [f32], add: &'a [f32]) -> Epilogue<'a> {
        Epilogue {
            bias: self.bias.clone().map(|bias| &constants[bias]),
            add: self.add.then_some(add),
            act: self.act.act(constants),
        }
    }
}

/// Places of a scale and a shift.
fn pair((scale, shift): (Vec<f32>, Vec<f32>), constants: &mut Constants) -> [Range<usize>; 2] {
    [scale, shift].map(|values| constants.channels(values))
}

/// The convolution of `n` images.
fn batched(conv: &Conv, n: usize) -> Conv {
    Conv { input: Dims { n, ..conv.input }, output: Dims { n, ..conv.output }, ..*conv }
}

impl Task {
    /// The kernel for a step of the lowered network that writes a value of `dims`, its constants placed; none for
    /// an identity. `pixels` says whether it reads dense pixels.
    pub(crate) fn new(kind: ir::Kind, dims: Dims, pixels: bool, constants: &mut Constants) -> Option<Self> {
        Some(match kind {
            ir::Kind::Identity => return None,
            ir::Kind::Conv(filters) => {
                if strassen::applies(&filters.conv) {
                    Self::Strassen(Filters::packed_by(Constants::strassen, filters, constants))
                } else if let Some(tile) = winograd::applies(&filters.conv).filter(|_| !pixels) {
                    let pack = |constants: &mut Constants, conv, weight| constants.winograd(conv, tile, weight);
                    Self::Winograd(tile, Filters::packed_by(pack, filters, constants))
                } else if filters.is_depthwise() {
                    Self::Depthwise(Filters::new(filters, constants))
                } else {
                    Self::Conv(Filters::new(filters, constants))
                }
            }
            ir::Kind::Chain(links) => {
                Self::Chain(links.into_iter().map(|filters| Filters::new(filters, constants)).collect())
            }
            ir::Kind::Transposed(ir::Transposed { conv, weight, bias }) => {
                let packed = constants.transposed(conv, weight);
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
            ir::Kind::Constant(values) => Self::Constant { dims, values: constants.map(dims, values) },
        })
    }

    /// Floats of scratch that the kernel needs for any number of images up to `group`; `pixels` is what it reads.
    pub(crate) fn scratch(&self, group: usize, pixels: bool, threads: usize) -> usize {
        let need: &dyn Fn(usize) -> usize = match self {
            Self::Conv(filters) => &|n| conv::forward_scratch(&filters.conv(n), threads),
            Self::Strassen(filters) => &|n| strassen::forward_scratch(&filters.conv(n), threads),
            Self::Winograd(tile, filters) => &|n| winograd::forward_scratch(&filters.conv(n), *tile, threads),
            Self::Depthwise(filters) => &|n| depthwise::forward_scratch(&filters.conv(n), threads),
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
