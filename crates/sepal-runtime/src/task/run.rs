//! Running the kernel of a step.

use sepal_kernels::arrange::{self, Channels, Finish};
use sepal_kernels::chain::{self, Link};
use sepal_kernels::conv::strassen;
use sepal_kernels::conv::winograd;
use sepal_kernels::pooling::Pool;
use sepal_kernels::scale::{self, Factor};
use sepal_kernels::{Buffer, Dims, Epilogue, Exec, Input, LANES, Source, Write, conv, depthwise, elementwise};
use sepal_kernels::{layer_norm, pooling, softmax};

use super::{Join, Mixed, Place, Task, batched};
use crate::constants::{Packed, Slot};
use crate::ir::{Origin, Part};

/// What a kernel works on.
pub(crate) struct Operands<'a> {
    /// Of all values.
    pub(crate) places: &'a [Place],
    /// The values read.
    pub(crate) inputs: &'a [usize],
    /// The value written.
    pub(crate) output: usize,
    /// Images.
    pub(crate) n: usize,
    pub(crate) arena: &'a mut Buffer,
    pub(crate) scratch: &'a mut [f32],
}

impl Operands<'_> {
    /// Place of an input.
    fn from(&self, input: usize) -> &Place {
        &self.places[self.inputs[input]]
    }

    /// Sizes of the output.
    fn to(&self) -> Dims {
        self.places[self.output].dims(self.n)
    }

    /// Some inputs, the output, and scratch.
    fn views<const N: usize>(&mut self, inputs: [usize; N]) -> ([&[f32]; N], &mut [f32], &mut [f32]) {
        let ranges = inputs.map(|input| self.from(input).range(self.n));
        let to = self.places[self.output].range(self.n);
        let (inputs, [out]) = self.arena.views(ranges, [to]);
        (inputs, out, self.scratch)
    }
}

impl Task {
    /// Runs the kernel.
    pub(crate) fn run(&self, exec: Exec<'_>, mut operands: Operands<'_>, constants: &Packed) {
        let (n, to) = (operands.n, operands.to());
        match self {
            Self::Conv(filters) => {
                let pixels = operands.from(0).pixels;
                let gate = if filters.gate { operands.inputs.len() - 1 } else { 0 };
                let ([x, add, gate], out, scratch) = operands.views([0, usize::from(filters.add), gate]);
                let input = match (pixels, filters.gate) {
                    (true, _) => Input::Pixels(x),
                    (_, true) => Input::Gated(x, gate),
                    (_, false) => Input::Blocked(filters.source.source(x, constants)),
                };
                let packed = constants.get(&filters.packed);
                let epilogue = filters.epilogue(constants, add);
                conv::forward(exec, &filters.conv(n), input, packed, epilogue, out, None, scratch);
            }
            Self::Strassen(filters) => {
                let ([x, add], out, scratch) = operands.views([0, usize::from(filters.add)]);
                let packed = constants.get(&filters.packed);
                strassen::forward(exec, &filters.conv(n), x, packed, filters.epilogue(constants, add), out, scratch);
            }
            Self::Winograd(tile, filters) => {
                let ([x, add], out, scratch) = operands.views([0, usize::from(filters.add)]);
                let packed = constants.get(&filters.packed);
                let epilogue = filters.epilogue(constants, add);
                winograd::forward(exec, &filters.conv(n), *tile, x, packed, epilogue, out, scratch);
            }
            Self::Depthwise(filters) => {
                let ([x, add], out, scratch) = operands.views([0, usize::from(filters.add)]);
                let packed = constants.get(&filters.packed);
                let (source, epilogue) = (filters.source.source(x, constants), filters.epilogue(constants, add));
                depthwise::forward(exec, &filters.conv(n), source, packed, epilogue, out, None, scratch);
            }
            Self::Mixed(Mixed { conv, of, kernels, bias, act }) => {
                let ([gate, x], out, scratch) = operands.views([0, 1]);
                let mixed = depthwise::Mixed { gate, of: *of, kernels: constants.get(kernels), bias: *bias };
                let epilogue = Epilogue { act: act.act(constants), ..Epilogue::default() };
                depthwise::mixed(exec, &batched(conv, n), Source::plain(x), mixed, epilogue, out, scratch);
            }
            Self::Chain(links) => {
                let pixels = operands.from(0).pixels;
                let (count, last) = (links.len(), &links[links.len() - 1]);
                let ([x, add], out, scratch) = operands.views([0, usize::from(last.add)]);
                let input = if pixels { Input::Pixels(x) } else { Input::Blocked(Source::plain(x)) };
                let links: [Link<'_>; chain::LONGEST] = std::array::from_fn(|index| {
                    let filters = links.get(index).unwrap_or(last);
                    let packed = constants.get(&filters.packed);
                    Link { conv: filters.conv(n), packed, epilogue: filters.epilogue(constants, add) }
                });
                chain::forward(exec, &links[..count], input, out, scratch);
            }
            Self::Transposed { conv, packed, bias } => {
                let ([x], out, scratch) = operands.views([0]);
                let packed = constants.get(packed);
                let bias = bias.as_ref().map(|bias| constants.get(bias));
                conv::transposed::forward(exec, &batched(conv, n), Source::plain(x), packed, bias, out, scratch);
            }
            Self::Apply(apply) => {
                let ([z], out, _) = operands.views([0]);
                elementwise::apply(exec, &to, apply.source(z, constants), out);
            }
            Self::Binary(op) => {
                let ([x, y], out, _) = operands.views([0, 1]);
                elementwise::binary(exec, &to, *op, Source::plain(x), Source::plain(y), out);
            }
            Self::Scale => {
                let ([x, s], out, _) = operands.views([0, 1]);
                let factor = Factor::PerChannel(Source::plain(s));
                scale::forward(exec, &to, Source::plain(x), factor, out, Write::Set);
            }
            Self::GatedSum => {
                let of = operands.inputs.len() - 1;
                for index in 0..of {
                    let ([gate, x], out, _) = operands.views([0, index + 1]);
                    let factor = Factor::PerImage { gate: Source::plain(gate), of, index };
                    let write = if index == 0 { Write::Set } else { Write::Add };
                    scale::forward(exec, &to, Source::plain(x), factor, out, write);
                }
            }
            Self::Pool(pool) => {
                let ([x], out, _) = operands.views([0]);
                let [input, output] = [pool.input, pool.output].map(|dims| Dims { n, ..dims });
                pooling::forward(exec, &Pool { input, output, ..*pool }, Source::plain(x), out);
            }
            Self::GlobalAverage => {
                let from = operands.from(0).dims(n);
                let ([x], out, _) = operands.views([0]);
                pooling::global_average(exec, &from, Source::plain(x), out);
            }
            Self::Softmax => {
                let ([x], out, _) = operands.views([0]);
                softmax::forward(exec, &to, Source::plain(x), out);
            }
            Self::LayerNorm { affine, eps } => {
                let ([x], out, _) = operands.views([0]);
                let [gamma, beta] = match affine {
                    Some(affine) => affine.each_ref().map(|values| Some(constants.get(values))),
                    None => [None; 2],
                };
                layer_norm::forward(exec, &to, Source::plain(x), gamma, beta, *eps, out);
            }
            Self::Channels(join) => {
                for part in &join.parts {
                    channels(exec, join, part, &mut operands, constants);
                }
            }
            Self::Resample(taps) => {
                let ([x], out, _) = operands.views([0]);
                arrange::resample(exec, taps, n, to.c, Source::plain(x), out, Write::Set);
            }
            Self::Gather(gather) => {
                let ([x], out, _) = operands.views([0]);
                arrange::gather(exec, gather, n, x, out, Write::Set);
            }
            Self::Constant { dims, values } => {
                let ([], out, _) = operands.views([]);
                repeat(*dims, constants.get(values), n, out);
            }
        }
    }
}

/// Writes some channels of the output: it sees only their blocks, as others may be read.
fn channels(exec: Exec<'_>, join: &Join, part: &Part, operands: &mut Operands<'_>, constants: &Packed) {
    let (n, &Part { at, count, from }) = (operands.n, part);
    let blocks = at / LANES..(at + count).div_ceil(LANES);
    let first_channel = blocks.start * LANES;
    let to = Dims { c: at + count - first_channel, ..operands.to() };
    let at = at - first_channel;
    let out = operands.places[operands.output].blocks(n, blocks.clone());
    match from {
        Origin::Input { index, first } => {
            // The same pixels, whatever shape they are counted in.
            let from = Dims { c: operands.from(index).dims.c, ..to };
            let x = operands.from(index).range(n);
            let add = match join.add {
                true => operands.from(operands.inputs.len() - 1).blocks(n, blocks.clone()),
                false => x.clone(),
            };
            let ([x, add], [out]) = operands.arena.views([x, add], [out]);
            let lanes = |values: &Slot| &constants.get(values)[first_channel..];
            let finish = Finish {
                add: join.add.then_some(add),
                affine: join.apply.affine.as_ref().map(|[scale, shift]| (lanes(scale), lanes(shift))),
                act: join.apply.act.act_from(first_channel, constants),
            };
            arrange::join(exec, &Channels { from, first, to, at, count }, Source::plain(x), finish, out);
        }
        Origin::Value(value) => {
            let ([], [out]) = operands.arena.views([], [out]);
            arrange::fill(exec, &to, at..at + count, value, out);
        }
    }
}

/// A map in channel blocks, once for each of `n` images.
fn repeat(dims: Dims, map: &[f32], n: usize, out: &mut [f32]) {
    let len = dims.h * dims.w * LANES;
    let plane = Dims { n, ..dims }.plane();
    for block in 0..dims.blocks() {
        let map = &map[block * dims.plane()..][..len];
        out[block * plane..][..n * len].chunks_exact_mut(len).for_each(|image| image.copy_from_slice(map));
    }
}
