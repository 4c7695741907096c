//! What a plan computes once: packed weights and per-channel vectors, in one buffer.

use std::ops::Range;

use sepal_kernels::conv::strassen;
use sepal_kernels::conv::winograd::{self, Tile};
use sepal_kernels::pool::Serial;
use sepal_kernels::{Buffer, Conv, Dims, Exec, LANES, Level, conv, depthwise, from_nchw};

/// The constants of a plan while it is made: first every part gets its place, then all are filled.
#[derive(Default)]
pub(crate) struct Constants {
    parts: Vec<(Range<usize>, Part)>,
    len: usize,
}

enum Part {
    /// Weights to be packed for the general kernels.
    Conv(Conv, Vec<f32>),
    /// Weights to be packed for Strassen's algorithm.
    Strassen(Conv, Vec<f32>),
    /// Weights to be transformed for Winograd's algorithm.
    Winograd(Conv, Tile, Vec<f32>),
    /// Weights to be packed for transposed convolutions.
    Transposed(Conv, Vec<f32>),
    /// Weights to be packed for the depthwise kernels.
    Depthwise(Conv, Vec<f32>),
    /// One value per channel, zeros up to whole blocks.
    Channels(Vec<f32>),
    /// A map, in the order C, H, W.
    Map(Dims, Vec<f32>),
}

impl Constants {
    /// Place for the packed weights of a convolution.
    pub(crate) fn conv(&mut self, geometry: Conv, weight: Vec<f32>) -> Range<usize> {
        self.push(conv::packed_len(&geometry), Part::Conv(geometry, weight))
    }

    /// Place for the packed weights of a convolution by Strassen's algorithm.
    pub(crate) fn strassen(&mut self, geometry: Conv, weight: Vec<f32>) -> Range<usize> {
        self.push(strassen::packed_len(&geometry), Part::Strassen(geometry, weight))
    }

    /// Place for the transformed weights of a convolution by Winograd's algorithm.
    pub(crate) fn winograd(&mut self, geometry: Conv, tile: Tile, weight: Vec<f32>) -> Range<usize> {
        self.push(winograd::packed_len(&geometry, tile), Part::Winograd(geometry, tile, weight))
    }

    /// Place for the packed weights of a depthwise convolution.
    pub(crate) fn depthwise(&mut self, geometry: Conv, weight: Vec<f32>) -> Range<usize> {
        self.push(depthwise::packed_len(&geometry), Part::Depthwise(geometry, weight))
    }

    /// Place for the packed weights of a transposed convolution.
    pub(crate) fn transposed(&mut self, geometry: Conv, weight: Vec<f32>) -> Range<usize> {
        self.push(conv::packed_back_len(&geometry), Part::Transposed(geometry, weight))
    }

    /// Place for a map in channel blocks.
    pub(crate) fn map(&mut self, dims: Dims, values: Vec<f32>) -> Range<usize> {
        self.push(dims.len(), Part::Map(dims, values))
    }

    /// Place for one value per channel, padded to whole blocks.
    pub(crate) fn channels(&mut self, values: Vec<f32>) -> Range<usize> {
        self.push(values.len().next_multiple_of(LANES), Part::Channels(values))
    }

    fn push(&mut self, len: usize, part: Part) -> Range<usize> {
        let range = self.len..self.len + len;
        // Every part starts on a cache line.
        self.len = range.end.next_multiple_of(LANES);
        self.parts.push((range.clone(), part));
        range
    }

    /// All parts filled.
    pub(crate) fn fill(self, level: Level) -> Buffer {
        let mut buffer = Buffer::zeroed(self.len);
        let exec = Exec { level, pool: &Serial };
        for (range, part) in self.parts {
            let to = &mut buffer[range];
            match part {
                Part::Conv(geometry, weight) => conv::pack(exec, &geometry, &weight, to),
                Part::Strassen(geometry, weight) => strassen::pack(exec, &geometry, &weight, to),
                Part::Winograd(geometry, tile, weight) => winograd::pack(exec, &geometry, tile, &weight, to),
                Part::Transposed(geometry, weight) => conv::pack_back(exec, &geometry, &weight, to),
                Part::Map(dims, values) => from_nchw(exec, dims, &values, to),
                Part::Depthwise(geometry, weight) => depthwise::pack(exec, &geometry, &weight, to),
                Part::Channels(values) => to[..values.len()].copy_from_slice(&values),
            }
        }
        buffer
    }
}
