//! Softmax over the channels of each pixel.

use crate::exec::{Exec, Shared};
use crate::geometry::Write;
use crate::isa::{Isa, Kernel, Vector, exp};
use crate::lanes::{self, greatest, load, real, total, where_real};
use crate::layout::{Dims, LANES};
use crate::source::{GradSource, Source};

/// `e^x` of a source's value, divided by its sum over the channels of the pixel. The lanes past `dims.c`
/// become zero.
///
/// # Panics
/// If a slice is shorter than `dims` asks.
pub fn forward(exec: Exec<'_>, dims: &Dims, x: Source<'_>, out: &mut [f32]) {
    assert!(x.z.len() >= dims.len() && out.len() >= dims.len());
    let out = Shared::new(out);
    exec.pool.run(lanes::items(dims), &|item, _| exec.level.dispatch(Forward { dims, x: &x, out, item }));
}

/// The gradient of the source's value, from the gradient `dz` of its softmax `y`: `y·(dz − Σ y·dz)`. Sets `dx` or
/// adds to it.
///
/// # Panics
/// If a slice is shorter than `dims` asks.
pub fn backward(exec: Exec<'_>, dims: &Dims, dz: GradSource<'_>, y: &[f32], dx: &mut [f32], write: Write) {
    assert!(dz.g.len() >= dims.len() && dz.source.z.len() >= dims.len());
    assert!(y.len() >= dims.len() && dx.len() >= dims.len());
    let dx = Shared::new(dx);
    exec.pool.run(lanes::items(dims), &|item, _| exec.level.dispatch(Backward { dims, dz: &dz, y, dx, write, item }));
}

struct Forward<'a> {
    dims: &'a Dims,
    x: &'a Source<'a>,
    out: Shared<'a>,
    item: usize,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { dims, x, out, item } = self;
        for row in lanes::rows(dims, item) {
            let mut most = I::Block::splat(isa, f32::MIN);
            let mut sum = I::Block::splat(isa, 0.0);
            let at = |block: usize| block * dims.plane() + row * LANES;
            for block in 0..dims.blocks() {
                let value = x.transform(isa, block).apply(isa, load(isa, x.z, at(block)));
                let value = where_real(isa, real(isa, dims, block), value, f32::MIN);
                most = most.max(isa, value);
                // SAFETY: sixteen floats of a row of this item, here and below.
                unsafe { value.store(isa, out.at(at(block), LANES)) };
            }
            let top = I::Block::splat(isa, greatest(isa, most));
            for block in 0..dims.blocks() {
                let to = out.at(at(block), LANES);
                // SAFETY: as above.
                let value = exp(isa, unsafe { I::Block::load(isa, to) }.sub(isa, top));
                let value = where_real(isa, real(isa, dims, block), value, 0.0);
                sum = sum.add(isa, value);
                // SAFETY: as above.
                unsafe { value.store(isa, to) };
            }
            let share = I::Block::splat(isa, (1.0 / total(isa, sum)) as f32);
            for block in 0..dims.blocks() {
                let to = out.at(at(block), LANES);
                // SAFETY: as above.
                unsafe { I::Block::load(isa, to).mul(isa, share).store(isa, to) };
            }
        }
    }
}

struct Backward<'a> {
    dims: &'a Dims,
    dz: &'a GradSource<'a>,
    y: &'a [f32],
    dx: Shared<'a>,
    write: Write,
    item: usize,
}

impl Backward<'_> {
    /// Gradient and value of a block of channels; what stands past them has no part in a sum of their products.
    #[inline(always)]
    fn at<I: Isa>(&self, isa: I, block: usize, at: usize) -> (I::Block, I::Block) {
        let [g, z, y] = [self.dz.g, self.dz.source.z, self.y].map(|x| &x[at..][..LANES]);
        let (g, z, y) = (load(isa, g, 0), load(isa, z, 0), load(isa, y, 0));
        (self.dz.transform(isa, block).apply(isa, g, z), where_real(isa, real(isa, self.dims, block), y, 0.0))
    }
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { dims, dx, write, item, .. } = self;
        for row in lanes::rows(dims, item) {
            let at = |block: usize| block * dims.plane() + row * LANES;
            let mut sum = I::Block::splat(isa, 0.0);
            for block in 0..dims.blocks() {
                let (g, y) = self.at(isa, block, at(block));
                sum = g.mul_add(isa, y, sum);
            }
            let sum = I::Block::splat(isa, total(isa, sum) as f32);
            for block in 0..dims.blocks() {
                let (g, y) = self.at(isa, block, at(block));
                let value = g.sub(isa, sum).mul(isa, y);
                let to = dx.at(at(block), LANES);
                // SAFETY: sixteen floats of a row of this item.
                unsafe { lanes::write(isa, value, to, write) };
            }
        }
    }
}

#[cfg(test)]
mod tests;
