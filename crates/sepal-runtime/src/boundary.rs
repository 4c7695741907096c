//! The way in and out: `N, C, H, W` outside, channel blocks or dense pixels inside.

use sepal_graph::Shape;
use sepal_kernels::{Dims, LANES, from_nchw, to_nchw};

use crate::error::{Result, RuntimeError};
use crate::ir::{Kind, Program};
use crate::task::Place;

/// An input or output of a plan.
#[derive(Clone, Debug)]
pub(crate) struct Boundary {
    pub(crate) path: String,
    /// Shape of one image.
    pub(crate) shape: Shape,
    pub(crate) place: Place,
}

impl Boundary {
    /// How many images `len` values are.
    pub(crate) fn batch(&self, len: usize, max_batch: usize) -> Result<usize> {
        let each = self.shape.elements();
        let n = len / each;
        if n * each != len || n == 0 || n > max_batch {
            let (path, shape) = (self.path.clone(), self.shape.clone());
            return Err(RuntimeError::InputLength { path, shape, max_batch, actual: len });
        }
        Ok(n)
    }

    /// Whether `len` values are room for exactly `n` images.
    pub(crate) fn check_room(&self, len: usize, n: usize) -> Result<()> {
        if len != n * self.shape.elements() {
            let (path, shape) = (self.path.clone(), self.shape.clone());
            return Err(RuntimeError::OutputLength { path, shape, batch: n, actual: len });
        }
        Ok(())
    }

    /// Takes `n` images in.
    pub(crate) fn read(&self, n: usize, nchw: &[f32], arena: &mut [f32]) {
        let to = &mut arena[self.place.range(n)];
        let dims = self.place.dims(n);
        if self.place.pixels { to_pixels(dims, nchw, to) } else { from_nchw(dims, nchw, to) }
    }

    /// Gives `n` images out.
    pub(crate) fn write(&self, n: usize, arena: &[f32], nchw: &mut [f32]) {
        to_nchw(self.place.dims(n), &arena[self.place.range(n)], nchw);
    }
}

/// Whether the network's input is best held as dense pixels: few channels, read by standard
/// convolutions alone, which have a kernel for that.
pub(crate) fn takes_pixels(program: &Program) -> bool {
    let input = program.input;
    let by_convolution = |kind: &Kind, inputs: &[usize]| match kind {
        Kind::Conv(filters) => filters.conv.groups == 1 && !filters.is_depthwise() && inputs.get(1) != Some(&input),
        Kind::Identity | Kind::Apply(_) | Kind::Add | Kind::Pool(_) | Kind::GlobalAverage | Kind::Flatten => false,
    };
    let mut readers = program.steps.iter().filter(|step| step.inputs.contains(&input));
    program.values[input].dims().c < LANES
        && program.output != input
        && readers.all(|step| by_convolution(&step.kind, &step.inputs))
}

/// `N, C, H, W` to `N, H, W, C`.
fn to_pixels(dims: Dims, nchw: &[f32], pixels: &mut [f32]) {
    let (c, size) = (dims.c, dims.h * dims.w);
    for (from, to) in nchw.chunks_exact(c * size).zip(pixels.chunks_exact_mut(c * size)) {
        if c == 3 {
            let (reds, rest) = from.split_at(size);
            let (greens, blues) = rest.split_at(size);
            for (((pixel, red), green), blue) in to.chunks_exact_mut(3).zip(reds).zip(greens).zip(blues) {
                pixel.copy_from_slice(&[*red, *green, *blue]);
            }
            continue;
        }
        for (channel, plane) in from.chunks_exact(size).enumerate() {
            for (cell, value) in to[channel..].iter_mut().step_by(c).zip(plane) {
                *cell = *value;
            }
        }
    }
}
