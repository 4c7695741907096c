//! Max and average pooling over windows, and the average over a whole feature map.

mod global;
mod window;

pub use global::{global_average, global_average_grad};

use crate::exec::{Exec, Shared};
use crate::geometry::Write;
use crate::layout::Dims;
use crate::source::{GradSource, Source};

/// What a window is reduced to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The greatest value of the pixels inside the picture.
    Max,
    /// The mean.
    Average {
        /// Whether the zeros of the padding count.
        count_include_pad: bool,
    },
}

/// Sizes of a pooling layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Max or average.
    pub kind: Kind,
    /// Size of the input.
    pub input: Dims,
    /// Size of the output, `n` and `c` as the input's. Windows may reach past the padding (PyTorch's
    /// `ceil_mode`); what is there never counts.
    pub output: Dims,
    /// Height and width of a window.
    pub kernel: [usize; 2],
    /// Pixels from window to window, down and right.
    pub stride: [usize; 2],
    /// Padding above and to the left.
    pub padding: [usize; 2],
    /// Padding below and to the right.
    pub padding_end: [usize; 2],
}

/// Pools a source's value.
///
/// # Panics
/// If the sizes contradict each other or a slice is shorter than they ask.
pub fn forward(exec: Exec<'_>, pool: &Pool, x: Source<'_>, out: &mut [f32]) {
    check(pool);
    assert!(x.z.len() >= pool.input.len() && out.len() >= pool.output.len());
    let out = Shared::new(out);
    exec.pool.run(pool.output.blocks() * pool.output.n, &|plane, _| {
        exec.level.dispatch(window::Forward { pool, x: &x, out, plane });
    });
}

/// The gradient of the value of the source `x`, from the gradient `dz` of the pooled tensor: sets `dx` or adds
/// to it.
///
/// Of several equal maxima, the first in reading order gets the gradient, as in PyTorch.
///
/// # Panics
/// If the sizes contradict each other or a slice is shorter than they ask.
pub fn backward(exec: Exec<'_>, pool: &Pool, dz: GradSource<'_>, x: Source<'_>, dx: &mut [f32], write: Write) {
    check(pool);
    assert!(dz.g.len() >= pool.output.len() && dz.source.z.len() >= pool.output.len());
    assert!(x.z.len() >= pool.input.len() && dx.len() >= pool.input.len());
    let dx = Shared::new(dx);
    exec.pool.run(pool.output.blocks() * pool.output.n, &|plane, _| {
        exec.level.dispatch(window::Backward { pool, dz: &dz, x: &x, dx, write, plane });
    });
}

fn check(pool: &Pool) {
    let Pool { input, output, kernel, stride, .. } = pool;
    assert!((input.n, input.c) == (output.n, output.c), "images and channels: {pool:?}");
    assert!(kernel.iter().chain(stride).all(|&size| size > 0), "zero size: {pool:?}");
}

#[cfg(test)]
mod tests;
