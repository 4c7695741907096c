//! The average over a whole feature map.

use crate::exec::{Exec, Shared};
use crate::geometry::Write;
use crate::isa::{Isa, Kernel, Vector};
use crate::layout::{Dims, LANES};
use crate::source::{GradSource, Source};

/// The dimensions of the average of feature maps of `dims`.
fn output(dims: &Dims) -> Dims {
    Dims::new(dims.n, dims.c, 1, 1)
}

/// The mean of a source's value over height and width; `out` is of `[n, c, 1, 1]`.
///
/// # Panics
/// If a slice is shorter than its role asks.
pub fn global_average(exec: Exec<'_>, dims: &Dims, x: Source<'_>, out: &mut [f32]) {
    assert!(x.z.len() >= dims.len() && out.len() >= output(dims).len());
    let out = Shared::new(out);
    exec.pool.run(dims.blocks() * dims.n, &|plane, _| {
        exec.level.dispatch(Forward { dims, x: &x, out, plane });
    });
}

/// The gradient of the source's value from the gradient `dz` of its average, `[n, c, 1, 1]`: sets `dx`
/// or adds to it.
///
/// # Panics
/// If a slice is shorter than its role asks.
pub fn global_average_grad(exec: Exec<'_>, dims: &Dims, dz: GradSource<'_>, dx: &mut [f32], write: Write) {
    assert!(dz.g.len() >= output(dims).len() && dz.source.z.len() >= output(dims).len());
    assert!(dx.len() >= dims.len());
    let dx = Shared::new(dx);
    exec.pool.run(dims.blocks() * dims.n, &|plane, _| {
        exec.level.dispatch(Backward { dims, dz: &dz, dx, write, plane });
    });
}

struct Forward<'a> {
    dims: &'a Dims,
    x: &'a Source<'a>,
    out: Shared<'a>,
    plane: usize,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let (block, image) = (self.plane / self.dims.n, self.plane % self.dims.n);
        let pixels = self.dims.h * self.dims.w;
        let picture = &self.x.z[block * self.dims.plane() + image * pixels * LANES..][..pixels * LANES];
        let transform = self.x.transform(isa, block);
        let mut sums = [I::Block::splat(isa, 0.0); 4];
        for pixel in 0..pixels {
            // SAFETY: a pixel of the picture.
            let z = unsafe { I::Block::load(isa, picture.as_ptr().add(pixel * LANES)) };
            sums[pixel % 4] = sums[pixel % 4].add(isa, transform.apply(isa, z));
        }
        let sum = sums[0].add(isa, sums[1]).add(isa, sums[2].add(isa, sums[3]));
        let mean = sum.mul(isa, I::Block::splat(isa, 1.0 / pixels.max(1) as f32));
        let to = self.out.at(block * output(self.dims).plane() + image * LANES, LANES);
        // SAFETY: an item is one pixel of the output.
        unsafe { mean.store(isa, to) }
    }
}

struct Backward<'a> {
    dims: &'a Dims,
    dz: &'a GradSource<'a>,
    dx: Shared<'a>,
    write: Write,
    plane: usize,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let (block, image) = (self.plane / self.dims.n, self.plane % self.dims.n);
        let pixels = self.dims.h * self.dims.w;
        let at = block * output(self.dims).plane() + image * LANES;
        let (g, z) = (&self.dz.g[at..][..LANES], &self.dz.source.z[at..][..LANES]);
        // SAFETY: sixteen floats each.
        let (g, z) = unsafe { (I::Block::load(isa, g.as_ptr()), I::Block::load(isa, z.as_ptr())) };
        let g = self.dz.transform(isa, block).apply(isa, g, z);
        let share = g.mul(isa, I::Block::splat(isa, 1.0 / pixels.max(1) as f32));
        let to = self.dx.at(block * self.dims.plane() + image * pixels * LANES, pixels * LANES);
        for pixel in 0..pixels {
            // SAFETY: a pixel of this item's plane.
            unsafe {
                let to = to.add(pixel * LANES);
                let value = match self.write {
                    Write::Set => share,
                    Write::Add => share.add(isa, I::Block::load(isa, to)),
                };
                value.store(isa, to);
            }
        }
    }
}
