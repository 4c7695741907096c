//! The gradient of PReLU's slopes.

use super::pixel;
use super::sums::merge;
use crate::exec::{Exec, Shared};
use crate::isa::{Isa, Kernel, Vector};
use crate::layout::{Dims, LANES};
use crate::norm::put;
use crate::pass::{self, Place};
use crate::source::Source;

/// Floats of scratch that [`prelu_grad`] needs.
pub fn prelu_scratch(dims: &Dims) -> usize {
    pass::items(dims) * LANES
}

/// The gradient of the slopes of the source's PReLU: per channel, the sum of `g·x` where `x ≤ 0`, with
/// `x = scale·z + shift`.
///
/// `g` is the gradient of the source's value; `dslope`, a float per channel, is set.
///
/// # Panics
/// If a slice is shorter than its role asks.
pub fn prelu_grad(exec: Exec<'_>, dims: &Dims, g: &[f32], source: Source<'_>, dslope: &mut [f32], scratch: &mut [f32]) {
    assert!(g.len() >= dims.len() && source.z.len() >= dims.len());
    assert!(dslope.len() >= dims.c && scratch.len() >= prelu_scratch(dims));
    let partial = Shared::new(scratch);
    exec.pool.run(pass::items(dims), &|item, _| {
        exec.level.dispatch(Item { dims, g, source: &source, partial, place: Place::of(dims, item) });
    });
    merge(dims, scratch, dslope);
}

struct Item<'a> {
    dims: &'a Dims,
    g: &'a [f32],
    source: &'a Source<'a>,
    partial: Shared<'a>,
    place: Place,
}

impl Kernel for Item<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Place { block, chunk, rows, at } = self.place;
        let [g, z] = [self.g, self.source.z].map(|x| &x[at..][..rows * LANES]);
        let transform = self.source.transform(isa, block);
        let zero = I::Block::splat(isa, 0.0);
        let mut sums = [zero; 4];
        for row in 0..rows {
            // SAFETY: a row of the chunk.
            let (g, z) = unsafe { (pixel(isa, g, row), pixel(isa, z, row)) };
            let below = transform.linear(isa, z).min(isa, zero);
            sums[row % 4] = g.mul_add(isa, below, sums[row % 4]);
        }
        let sum = sums[0].add(isa, sums[1]).add(isa, sums[2].add(isa, sums[3]));
        // SAFETY: an item is one block of one chunk.
        unsafe { put(isa, self.dims, self.partial, chunk, block, [sum]) }
    }
}
