//! The way in and out: `N, C, H, W` outside, channel blocks or dense pixels inside.

use sepal_graph::Shape;
use sepal_kernels::{Exec, LANES, from_nchw, pixels_from_nchw, to_nchw};

use crate::error::{Result, RuntimeError};
use crate::ir::{Filters, Kind, Program};
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
    /// Values of one image.
    pub(crate) fn each(&self) -> usize {
        self.shape.elements()
    }

    /// How many images `len` values are.
    pub(crate) fn batch(&self, len: usize, max_batch: usize) -> Result<usize> {
        let each = self.each();
        let n = len / each;
        if n * each != len || n == 0 || n > max_batch {
            let (path, shape) = (self.path.clone(), self.shape.clone());
            return Err(RuntimeError::InputLength { path, shape, max_batch, actual: len });
        }
        Ok(n)
    }

    /// Whether `len` values are room for exactly `n` images.
    pub(crate) fn check_room(&self, len: usize, n: usize) -> Result<()> {
        if len != n * self.each() {
            let (path, shape) = (self.path.clone(), self.shape.clone());
            return Err(RuntimeError::OutputLength { path, shape, batch: n, actual: len });
        }
        Ok(())
    }

    /// Takes `n` images in.
    pub(crate) fn read(&self, exec: Exec<'_>, n: usize, nchw: &[f32], arena: &mut [f32]) {
        let to = &mut arena[self.place.range(n)];
        let dims = self.place.dims(n);
        if self.place.pixels { pixels_from_nchw(exec, dims, nchw, to) } else { from_nchw(exec, dims, nchw, to) }
    }

    /// Gives `n` images out.
    pub(crate) fn write(&self, exec: Exec<'_>, n: usize, arena: &[f32], nchw: &mut [f32]) {
        to_nchw(exec, self.place.dims(n), &arena[self.place.range(n)], nchw);
    }
}

/// Whether the network's input is best held as dense pixels: few channels, read by standard
/// convolutions alone, which have a kernel for that.
pub(crate) fn takes_pixels(program: &Program) -> bool {
    let input = program.input;
    let takes = |filters: &Filters, inputs: &[usize]| {
        filters.conv.groups == 1
            && !filters.is_depthwise()
            && filters.source.is_none()
            && !filters.gate
            && !inputs[1..].contains(&input)
    };
    let by_convolution = |kind: &Kind, inputs: &[usize]| match kind {
        Kind::Conv(filters) => takes(filters, inputs),
        Kind::Chain(links) => links.first().is_some_and(|filters| takes(filters, inputs)),
        _ => false,
    };
    let mut readers = program.steps.iter().filter(|step| step.inputs.contains(&input));
    program.values[input].dims().c < LANES
        && program.output != input
        && program.values[input].within.is_none()
        && readers.all(|step| by_convolution(&step.kind, &step.inputs))
}
