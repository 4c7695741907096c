//! Steps as they run: kernel, operands' places, constants' places.

use std::ops::Range;

use sepal_graph::Activation;
use sepal_kernels::pooling::Pool;
use sepal_kernels::{
    Act, Buffer, Conv, Dims, Epilogue, Exec, Input, LANES, Source, conv, depthwise, elementwise, pooling,
};

use crate::constants::Constants;
use crate::ir;

/// A value's place in the arena.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Sizes for one image.
    pub(crate) dims: Dims,
    /// First float.
    pub(crate) offset: usize,
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

    /// Where `n` images lie.
    pub(crate) fn range(&self, n: usize) -> Range<usize> {
        self.offset..self.offset + self.len(n)
    }
}

/// A kernel to run, with the places of its constants.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    Conv(Filters),
    Depthwise(Filters),
    Apply {
        affine: Option<[Range<usize>; 2]>,
        act: Activate,
    },
    Add,
    /// Sizes for one image.
    Pool(Pool),
    GlobalAverage,
    Flatten,
}

/// A convolution: its sizes for one image and the places of its constants.
#[derive(Clone, Debug)]
pub(crate) struct Filters {
    pub(crate) conv: Conv,
    pub(crate) packed: Range<usize>,
    pub(crate) bias: Option<Range<usize>>,
    pub(crate) add: bool,
    pub(crate) act: Activate,
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
        match self.function {
            None => Act::None,
            Some(Activation::Relu) => Act::Relu,
            Some(Activation::Relu6) => Act::Relu6,
            Some(Activation::Elu { alpha }) => Act::Elu(alpha),
            Some(Activation::Prelu) => Act::Prelu(&constants[self.slopes.clone()]),
            Some(Activation::Silu) => Act::Silu,
            Some(Activation::HardSwish) => Act::HardSwish,
            Some(Activation::HardSigmoid) => Act::HardSigmoid,
            Some(Activation::Sigmoid) => Act::Sigmoid,
            Some(
                Activation::Tanh
                | Activation::LeakyRelu { .. }
                | Activation::Gelu
                | Activation::GeluTanh
                | Activation::Mish
                | Activation::Clip { .. },
            ) => unreachable!("refused where it was lowered"),
        }
    }
}

impl Filters {
    /// The convolution of `n` images.
    pub(crate) fn conv(&self, n: usize) -> Conv {
        let Conv { input, output, .. } = self.conv;
        Conv { input: Dims { n, ..input }, output: Dims { n, ..output }, ..self.conv }
    }

    fn epilogue<'a>(&self, constants: &'a [f32], add: &'a [f32]) -> Epilogue<'a> {
        Epilogue {
            bias: self.bias.clone().map(|bias| &constants[bias]),
            add: self.add.then_some(add),
            act: self.act.act(constants),
        }
    }
}

impl Task {
    /// The kernel for a step of the lowered network, its constants placed; none for an identity.
    pub(crate) fn new(kind: ir::Kind, constants: &mut Constants) -> Option<Self> {
        Some(match kind {
            ir::Kind::Identity => return None,
            ir::Kind::Conv(filters) => {
                let depthwise = filters.is_depthwise();
                let ir::Filters { conv, weight, bias, add, act } = filters;
                let packed = if depthwise { constants.depthwise(conv, weight) } else { constants.conv(conv, weight) };
                let bias = bias.map(|bias| constants.channels(bias));
                let filters = Filters { conv, packed, bias, add, act: Activate::new(act, constants) };
                if depthwise { Self::Depthwise(filters) } else { Self::Conv(filters) }
            }
            ir::Kind::Apply(ir::Apply { affine, act }) => {
                let affine = affine.map(|(scale, shift)| [constants.channels(scale), constants.channels(shift)]);
                Self::Apply { affine, act: Activate::new(act, constants) }
            }
            ir::Kind::Add => Self::Add,
            ir::Kind::Pool(pool) => Self::Pool(pool),
            ir::Kind::GlobalAverage => Self::GlobalAverage,
            ir::Kind::Flatten => Self::Flatten,
        })
    }

    /// Floats of scratch that the kernel needs for any number of images up to `group`.
    pub(crate) fn scratch(&self, group: usize, threads: usize) -> usize {
        let need: &dyn Fn(usize) -> usize = match self {
            Self::Conv(filters) => &|n| conv::forward_scratch(&filters.conv(n), threads),
            Self::Depthwise(filters) => &|n| depthwise::forward_scratch(&filters.conv(n), threads),
            Self::Apply { .. } | Self::Add | Self::Pool(_) | Self::GlobalAverage | Self::Flatten => &|_| 0,
        };
        (1..=group).map(need).max().unwrap_or(0)
    }

    /// Runs the kernel on `n` images.
    pub(crate) fn run(&self, exec: Exec<'_>, n: usize, operands: Operands<'_>, constants: &[f32]) {
        let Operands { places: [a, b, to], arena, scratch } = operands;
        let ([x, y], [out]) = arena.views([a.range(n), b.range(n)], [to.range(n)]);
        match self {
            Self::Conv(filters) => {
                let input = if a.pixels { Input::Pixels(x) } else { Input::Blocked(Source::plain(x)) };
                let packed = &constants[filters.packed.clone()];
                let epilogue = filters.epilogue(constants, y);
                conv::forward(exec, &filters.conv(n), input, packed, epilogue, out, None, scratch);
            }
            Self::Depthwise(filters) => {
                let packed = &constants[filters.packed.clone()];
                let (source, epilogue) = (Source::plain(x), filters.epilogue(constants, y));
                depthwise::forward(exec, &filters.conv(n), source, packed, epilogue, out, None, scratch);
            }
            Self::Apply { affine, act } => {
                let affine = affine.clone().map(|[scale, shift]| (&constants[scale], &constants[shift]));
                elementwise::apply(exec, &to.dims(n), Source { z: x, affine, act: act.act(constants) }, out);
            }
            Self::Add => elementwise::binary(
                exec,
                &to.dims(n),
                elementwise::Binary::Add,
                Source::plain(x),
                Source::plain(y),
                out,
            ),
            Self::Pool(pool) => {
                let pool = Pool { input: a.dims(n), output: to.dims(n), ..*pool };
                pooling::forward(exec, &pool, Source::plain(x), out);
            }
            Self::GlobalAverage => pooling::global_average(exec, &a.dims(n), Source::plain(x), out),
            Self::Flatten => flatten(a.dims(n), x, to.dims(n), out),
        }
    }
}

/// What a kernel works on.
pub(crate) struct Operands<'a> {
    /// First and second input (the first again where there is no second) and output.
    pub(crate) places: [&'a Place; 3],
    pub(crate) arena: &'a mut Buffer,
    pub(crate) scratch: &'a mut [f32],
}

/// A map in channel blocks as a vector in channel blocks, in the order C, H, W.
fn flatten(map: Dims, x: &[f32], vector: Dims, out: &mut [f32]) {
    let pixels = map.h * map.w;
    for image in 0..map.n {
        // Lanes past the last feature must hold something finite.
        for feature in vector.c..vector.blocks() * LANES {
            out[feature / LANES * vector.plane() + image * LANES + feature % LANES] = 0.0;
        }
        for feature in 0..vector.c {
            let (channel, pixel) = (feature / pixels, feature % pixels);
            let from = channel / LANES * map.plane() + (image * pixels + pixel) * LANES + channel % LANES;
            out[feature / LANES * vector.plane() + image * LANES + feature % LANES] = x[from];
        }
    }
}
