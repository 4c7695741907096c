//! The sum of squares of a buffer, for gradient norms.

use super::CHUNK;
use crate::exec::{Exec, Shared};
use crate::isa::{Isa, Kernel, Vector};
use crate::layout::LANES;

/// Floats of scratch that [`sum_of_squares`] of `len` values needs.
pub fn sum_of_squares_scratch(len: usize) -> usize {
    len.div_ceil(CHUNK) * LANES
}

/// The sum of the squares of all values; chunks are added in `f64`, in order.
///
/// # Panics
/// If `scratch` is shorter than [`sum_of_squares_scratch`].
pub fn sum_of_squares(exec: Exec<'_>, values: &[f32], scratch: &mut [f32]) -> f64 {
    let scratch = &mut scratch[..sum_of_squares_scratch(values.len())];
    let partial = Shared::new(scratch);
    exec.pool.run(values.len().div_ceil(CHUNK), &|item, _| {
        let first = item * CHUNK;
        let values = &values[first..][..CHUNK.min(values.len() - first)];
        // SAFETY: an item is a line.
        let line = unsafe { partial.slice(item * LANES, LANES) };
        exec.level.dispatch(Item { values, line });
    });
    scratch.iter().map(|&value| f64::from(value)).sum()
}

struct Item<'a> {
    values: &'a [f32],
    line: &'a mut [f32],
}

impl Kernel for Item<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let zero = I::Block::splat(isa, 0.0);
        let mut sums = [zero; 4];
        let lines = self.values.chunks_exact(LANES);
        let mut rest = [0.0; LANES];
        rest[..lines.remainder().len()].copy_from_slice(lines.remainder());
        for (at, line) in lines.chain(std::iter::once(&rest[..])).enumerate() {
            // SAFETY: sixteen floats.
            let value = unsafe { I::Block::load(isa, line.as_ptr()) };
            sums[at % 4] = value.mul_add(isa, value, sums[at % 4]);
        }
        let sum = sums[0].add(isa, sums[1]).add(isa, sums[2].add(isa, sums[3]));
        // SAFETY: sixteen floats.
        unsafe { sum.store(isa, self.line.as_mut_ptr()) }
    }
}
