//! What a plan computes once: packed weights and per-channel vectors, in one buffer, but for those that it shares.

use std::ops::Range;
use std::sync::Arc;

use sepal_kernels::conv::strassen;
use sepal_kernels::conv::winograd::{self, Tile};
use sepal_kernels::pool::Serial;
use sepal_kernels::{Buffer, Conv, Dims, Exec, LANES, Level, conv, depthwise, from_nchw};

use crate::ir::Param;
use crate::shared::{Key, SharedWeights};

/// The constants of a plan while it is made: first every part gets its place, then all are filled.
pub(crate) struct Constants<'a> {
    /// Where parts go that other models have, too.
    with: Option<&'a SharedWeights>,
    parts: Vec<(Slot, Packing, Vec<f32>)>,
    len: usize,
    shared: usize,
}

/// A place among a plan's constants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slot {
    /// Which of the buffers that other plans have, too; none for the plan's own.
    shared: Option<usize>,
    range: Range<usize>,
}

impl Slot {
    /// Floats.
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }
}

/// The constants of a plan.
pub(crate) struct Packed {
    pub(crate) own: Buffer,
    pub(crate) shared: Vec<Arc<Buffer>>,
}

impl Packed {
    pub(crate) fn get(&self, slot: &Slot) -> &[f32] {
        let buffer = match slot.shared {
            Some(index) => &self.shared[index],
            None => &self.own,
        };
        &buffer[slot.range.clone()]
    }
}

/// What becomes of the numbers of a part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Packing {
    /// Weights for the general kernels.
    Conv(Conv),
    /// Weights for Strassen's algorithm.
    Strassen(Conv),
    /// Weights that are transformed for Winograd's algorithm.
    Winograd(Conv, Tile),
    /// Weights for transposed convolutions.
    Transposed(Conv),
    /// Weights for the depthwise kernels.
    Depthwise(Conv),
    /// Those of several depthwise convolutions, each followed by its bias if there is one.
    Mixed(Conv, bool),
    /// One value per channel, zeros up to whole blocks.
    Channels,
    /// A map, in the order C, H, W.
    Map(Dims),
}

impl Packing {
    /// Floats that `values` numbers become.
    fn len(&self, values: usize) -> usize {
        match self {
            Self::Conv(conv) => conv::packed_len(conv),
            Self::Strassen(conv) => strassen::packed_len(conv),
            Self::Winograd(conv, tile) => winograd::packed_len(conv, *tile),
            Self::Transposed(conv) => conv::packed_back_len(conv),
            Self::Depthwise(conv) => depthwise::packed_len(conv),
            Self::Mixed(conv, bias) => values / numbers(conv, *bias) * mixed_len(conv, *bias),
            Self::Channels => values.next_multiple_of(LANES),
            Self::Map(dims) => dims.len(),
        }
    }

    /// The same as far as the result depends on it: weights are packed alike for pictures of any size.
    fn normal(self) -> Self {
        let pixel = |dims: Dims| Dims { n: 1, h: 1, w: 1, ..dims };
        let normal = |conv: Conv| {
            let (input, output) = (pixel(conv.input), pixel(conv.output));
            Conv { input, output, stride: [1, 1], padding: [0, 0], dilation: [1, 1], ..conv }
        };
        match self {
            Self::Conv(conv) => Self::Conv(normal(conv)),
            Self::Strassen(conv) => Self::Strassen(normal(conv)),
            Self::Winograd(conv, tile) => Self::Winograd(normal(conv), tile),
            Self::Transposed(conv) => Self::Transposed(normal(conv)),
            Self::Depthwise(conv) => Self::Depthwise(normal(conv)),
            Self::Mixed(conv, bias) => Self::Mixed(normal(conv), bias),
            Self::Channels | Self::Map(_) => self,
        }
    }

    fn fill(&self, level: Level, values: &[f32], to: &mut [f32]) {
        let exec = Exec { level, pool: &Serial };
        match self {
            Self::Conv(geometry) => conv::pack(exec, geometry, values, to),
            Self::Strassen(geometry) => strassen::pack(exec, geometry, values, to),
            Self::Winograd(geometry, tile) => winograd::pack(exec, geometry, *tile, values, to),
            Self::Transposed(geometry) => conv::pack_back(exec, geometry, values, to),
            Self::Depthwise(geometry) => depthwise::pack(exec, geometry, values, to),
            Self::Mixed(geometry, bias) => {
                let kernels = values.chunks_exact(numbers(geometry, *bias));
                for (values, to) in kernels.zip(to.chunks_exact_mut(mixed_len(geometry, *bias))) {
                    let (weight, bias) = values.split_at(geometry.weight_len());
                    let (packed, biases) = to.split_at_mut(depthwise::packed_len(geometry));
                    depthwise::pack(exec, geometry, weight, packed);
                    biases[..bias.len()].copy_from_slice(bias);
                }
            }
            Self::Channels => to[..values.len()].copy_from_slice(values),
            Self::Map(dims) => from_nchw(exec, *dims, values, to),
        }
    }
}

/// Numbers of a kernel that is mixed with others.
fn numbers(conv: &Conv, bias: bool) -> usize {
    conv.weight_len() + if bias { conv.output.c } else { 0 }
}

/// Floats of such a kernel, packed.
fn mixed_len(conv: &Conv, bias: bool) -> usize {
    depthwise::packed_len(conv) + if bias { conv.output.blocks() * LANES } else { 0 }
}

impl<'a> Constants<'a> {
    /// None yet. Those that other models have go to `with`.
    pub(crate) fn new(with: Option<&'a SharedWeights>) -> Self {
        Self { with, parts: Vec::new(), len: 0, shared: 0 }
    }

    /// Place for one value per channel, padded to whole blocks.
    pub(crate) fn channels(&mut self, values: Param) -> Slot {
        self.push(Packing::Channels, values)
    }

    /// Place for a part.
    pub(crate) fn push(&mut self, packing: Packing, Param { values, shared }: Param) -> Slot {
        let len = packing.len(values.len());
        let slot = if shared && self.with.is_some() && len > 0 {
            self.shared += 1;
            Slot { shared: Some(self.shared - 1), range: 0..len }
        } else {
            let range = self.len..self.len + len;
            // Every part starts on a cache line.
            self.len = range.end.next_multiple_of(LANES);
            Slot { shared: None, range }
        };
        self.parts.push((slot.clone(), packing, values));
        slot
    }

    /// All parts filled.
    pub(crate) fn fill(self, level: Level) -> Packed {
        let mut packed = Packed { own: Buffer::zeroed(self.len), shared: Vec::with_capacity(self.shared) };
        for (Slot { shared, range }, packing, values) in self.parts {
            match self.with.filter(|_| shared.is_some()) {
                Some(with) => {
                    let key = Key { packing: packing.normal(), level, print: with.print(&[], &values) };
                    let len = range.len();
                    packed.shared.push(with.pack(key, len, |to| packing.fill(level, &values, to)));
                }
                None => packing.fill(level, &values, &mut packed.own[range]),
            }
        }
        packed
    }
}
