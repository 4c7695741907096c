//! Passes that write a tensor pixel by pixel: only where no neighbour can apply the same on load.

mod binary;
mod dropout;
mod prelu;
mod sums;

pub use binary::{Binary, Side, binary, binary_grad};
pub use dropout::{dropout, dropout_grad};
pub use prelu::{prelu_grad, prelu_scratch};
pub use sums::{channel_sums, channel_sums_scratch};

use crate::exec::{Exec, Shared};
use crate::geometry::Write;
use crate::isa::{Isa, Kernel, Vector, fence};
use crate::layout::{Dims, LANES};
use crate::pass::{self, Place};
use crate::source::{GradSource, Source};

/// Materialises a source: `out = act(scale·z + shift)`.
///
/// # Panics
/// If a slice is shorter than `dims` asks.
pub fn apply(exec: Exec<'_>, dims: &Dims, x: Source<'_>, out: &mut [f32]) {
    assert!(x.z.len() >= dims.len());
    run(exec, dims, Apply(x), out, Write::Set);
}

/// The gradient of the stored tensor `z`, from the gradient of its value: sets `dx` or adds to it.
///
/// # Panics
/// If a slice is shorter than `dims` asks.
pub fn grad(exec: Exec<'_>, dims: &Dims, dz: GradSource<'_>, dx: &mut [f32], write: Write) {
    assert!(dz.g.len() >= dims.len() && dz.source.z.len() >= dims.len());
    run(exec, dims, Grad(dz), dx, write);
}

/// A value for each pixel of a chunk.
trait Pixels: Copy + Sync {
    /// Calls `put(row, value)` for each row of the chunk, in order; `put` must be `#[inline(always)]`.
    fn each<I: Isa>(&self, isa: I, place: Place, put: impl FnMut(usize, I::Block));
}

fn run(exec: Exec<'_>, dims: &Dims, pixels: impl Pixels, out: &mut [f32], write: Write) {
    assert!(out.len() >= dims.len());
    let stream = write == Write::Set && pass::streams(dims, out.as_ptr());
    let out = Shared::new(out);
    exec.pool.run(pass::items(dims), &|item, _| {
        exec.level.dispatch(Item { pixels, out, write, stream, place: Place::of(dims, item) });
    });
}

struct Item<'a, P> {
    pixels: P,
    out: Shared<'a>,
    write: Write,
    stream: bool,
    place: Place,
}

impl<P: Pixels> Kernel for Item<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let to = self.out.at(self.place.at, self.place.rows * LANES);
        let add = self.write == Write::Add;
        let stream = self.stream;
        self.pixels.each(
            isa,
            self.place,
            #[inline(always)]
            |row, value| {
                // SAFETY: `row` is a row of this item; streamed outputs are aligned.
                unsafe {
                    let to = to.add(row * LANES);
                    if stream {
                        value.stream(isa, to);
                    } else if add {
                        value.add(isa, I::Block::load(isa, to)).store(isa, to);
                    } else {
                        value.store(isa, to);
                    }
                }
            },
        );
        if stream {
            fence();
        }
    }
}

/// The pixel `row` of a chunk that starts at `from`.
///
/// # Safety
/// The pixel is there.
#[inline(always)]
unsafe fn pixel<I: Isa>(isa: I, from: &[f32], row: usize) -> I::Block {
    // SAFETY: by the caller's promise.
    unsafe { I::Block::load(isa, from.as_ptr().add(row * LANES)) }
}

#[derive(Clone, Copy)]
struct Apply<'a>(Source<'a>);

impl Pixels for Apply<'_> {
    #[inline(always)]
    fn each<I: Isa>(&self, isa: I, place: Place, mut put: impl FnMut(usize, I::Block)) {
        let z = &self.0.z[place.at..][..place.rows * LANES];
        let transform = self.0.transform(isa, place.block);
        for row in 0..place.rows {
            // SAFETY: a row of the chunk.
            put(row, transform.apply(isa, unsafe { pixel(isa, z, row) }));
        }
    }
}

#[derive(Clone, Copy)]
struct Grad<'a>(GradSource<'a>);

impl Pixels for Grad<'_> {
    #[inline(always)]
    fn each<I: Isa>(&self, isa: I, place: Place, mut put: impl FnMut(usize, I::Block)) {
        let [g, z] = [self.0.g, self.0.source.z].map(|x| &x[place.at..][..place.rows * LANES]);
        let transform = self.0.transform(isa, place.block);
        for row in 0..place.rows {
            // SAFETY: a row of the chunk.
            let (g, z) = unsafe { (pixel(isa, g, row), pixel(isa, z, row)) };
            put(row, transform.apply(isa, g, z));
        }
    }
}

#[cfg(test)]
mod tests;
