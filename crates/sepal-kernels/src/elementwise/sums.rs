//! Sums over all pixels of each channel.

use super::pixel;
use crate::exec::{Exec, Shared};
use crate::isa::{Isa, Kernel, Vector};
use crate::layout::{Dims, LANES};
use crate::norm::put;
use crate::pass::{self, Place};
use crate::source::GradSource;

/// Floats of scratch that [`channel_sums`] needs.
pub fn channel_sums_scratch(dims: &Dims) -> usize {
    pass::items(dims) * LANES
}

/// The sum of a gradient over all pixels of each channel, which is the gradient of a bias; `sums`, a float per
/// channel, is set.
///
/// # Panics
/// If a slice is shorter than its role asks.
pub fn channel_sums(exec: Exec<'_>, dims: &Dims, dz: GradSource<'_>, sums: &mut [f32], scratch: &mut [f32]) {
    assert!(dz.g.len() >= dims.len() && dz.source.z.len() >= dims.len());
    assert!(sums.len() >= dims.c && scratch.len() >= channel_sums_scratch(dims));
    let partial = Shared::new(scratch);
    exec.pool.run(pass::items(dims), &|item, _| {
        exec.level.dispatch(Item { dims, dz: &dz, partial, place: Place::of(dims, item) });
    });
    merge(dims, scratch, sums);
}

/// Adds up the partial sums of all chunks, in order.
pub(super) fn merge(dims: &Dims, partial: &[f32], sums: &mut [f32]) {
    let channels = dims.blocks() * LANES;
    for (c, sum) in sums[..dims.c].iter_mut().enumerate() {
        let chunks = partial.chunks_exact(channels).take(pass::chunks(dims));
        *sum = chunks.map(|chunk| f64::from(chunk[c])).sum::<f64>() as f32;
    }
}

struct Item<'a> {
    dims: &'a Dims,
    dz: &'a GradSource<'a>,
    partial: Shared<'a>,
    place: Place,
}

impl Kernel for Item<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Place { block, chunk, rows, at } = self.place;
        let [g, z] = [self.dz.g, self.dz.source.z].map(|x| &x[at..][..rows * LANES]);
        let transform = self.dz.transform(isa, block);
        let mut sums = [I::Block::splat(isa, 0.0); 4];
        for row in 0..rows {
            // SAFETY: a row of the chunk.
            let (g, z) = unsafe { (pixel(isa, g, row), pixel(isa, z, row)) };
            sums[row % 4] = sums[row % 4].add(isa, transform.apply(isa, g, z));
        }
        let sum = sums[0].add(isa, sums[1]).add(isa, sums[2].add(isa, sums[3]));
        // SAFETY: an item is one block of one chunk.
        unsafe { put(isa, self.dims, self.partial, chunk, block, [sum]) }
    }
}
