//! Batch norm: statistics of a batch, the affine map they amount to, and the gradient's sums.
//!
//! Norm is never a pass that writes: [`finish`] turns statistics into a scale and a shift that the
//! next reader applies on load ([`Source`]), and [`grad_finish`] turns the gradient's sums into the
//! three factors of [`crate::NormGrad`]. Conventions are PyTorch's: biased variance to normalise,
//! unbiased variance in the running average, `running += momentum·(batch − running)`.

mod chunk;
mod finish;

pub use finish::{Params, Saved, eval, finish, grad_finish};

pub(crate) use chunk::{Running, fill, put};

use crate::exec::{Exec, Shared};
use crate::isa::{Isa, Kernel, Vector, lanes};
use crate::layout::{Dims, LANES};
use crate::pass::{self, Place, ROWS};
use crate::source::{Source, Transform};
use chunk::{APART, PARTS, total};

/// Floats of the statistics of `dims` in chunks of `stat_rows` rows.
///
/// A chunk is `[3][blocks·16]`: an origin `z0` (the chunk's first row), the sum of `z − z0` and the
/// sum of `(z − z0)²`. Chunk `i` covers the rows from `i·stat_rows` on, the last one what is left.
///
/// # Panics
/// If `stat_rows` is 0.
pub fn stats_len(dims: &Dims, stat_rows: usize) -> usize {
    dims.rows().div_ceil(stat_rows) * PARTS * dims.blocks() * LANES
}

/// Rows of a chunk of [`statistics`] and of [`grad_sums`].
pub fn stat_rows(dims: &Dims) -> usize {
    dims.rows().clamp(1, ROWS)
}

/// Floats of the partial sums of [`grad_sums`].
pub fn grad_sums_len(dims: &Dims) -> usize {
    pass::chunks(dims) * 2 * dims.blocks() * LANES
}

/// Statistics of a source's value, as a pass of its own, in chunks of [`stat_rows`] rows.
///
/// # Panics
/// If a slice is shorter than its role asks.
pub fn statistics(exec: Exec<'_>, dims: &Dims, x: Source<'_>, stats: &mut [f32]) {
    assert!(x.z.len() >= dims.len() && stats.len() >= stats_len(dims, stat_rows(dims)));
    let stats = Shared::new(stats);
    exec.pool.run(pass::items(dims), &|item, _| {
        let place = Place::of(dims, item);
        exec.level.dispatch(Statistics { dims, x: &x, stats, place });
    });
}

struct Statistics<'a> {
    dims: &'a Dims,
    x: &'a Source<'a>,
    stats: Shared<'a>,
    place: Place,
}

impl Kernel for Statistics<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Place { block, chunk, rows: count, at } = self.place;
        let transform = self.x.transform(isa, block);
        let rows = &self.x.z[at..][..count * LANES];
        // SAFETY: a pass has no empty chunks.
        let first = unsafe { I::Block::load(isa, rows.as_ptr()) };
        let mut running = Running::new(isa, transform.apply(isa, first));
        running.add(
            isa,
            count,
            #[inline(always)]
            |row| {
                // SAFETY: `row < count`.
                let z = unsafe { I::Block::load(isa, rows.as_ptr().add(row * LANES)) };
                transform.apply(isa, z)
            },
        );
        let parts = running.parts(isa);
        // SAFETY: an item is one block of one chunk.
        unsafe { put(isa, self.dims, self.stats, chunk, block, parts) }
    }
}

/// The sums batch norm's gradient needs, per chunk: of `g'` and of `g'·(z − mean)`, where
/// `g' = g·act'(scale·z + shift)`.
///
/// `g` is the gradient of the source's value, `mean` the batch mean of the stored `z`; `partial` has
/// [`grad_sums_len`] floats, laid out `[chunks][2][blocks·16]`.
///
/// # Panics
/// If a slice is shorter than its role asks.
pub fn grad_sums(exec: Exec<'_>, dims: &Dims, g: &[f32], source: Source<'_>, mean: &[f32], partial: &mut [f32]) {
    assert!(g.len() >= dims.len() && source.z.len() >= dims.len());
    assert!(mean.len() >= dims.blocks() * LANES && partial.len() >= grad_sums_len(dims));
    let partial = Shared::new(partial);
    exec.pool.run(pass::items(dims), &|item, _| {
        let place = Place::of(dims, item);
        exec.level.dispatch(GradSums { dims, g, source: &source, mean, partial, place });
    });
}

struct GradSums<'a> {
    dims: &'a Dims,
    g: &'a [f32],
    source: &'a Source<'a>,
    mean: &'a [f32],
    partial: Shared<'a>,
    place: Place,
}

impl Kernel for GradSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Place { block, chunk, rows: count, at } = self.place;
        let transform = self.source.transform(isa, block);
        let mean = lanes(isa, self.mean, block);
        let (g, z) = (self.g[at..][..count * LANES].as_ptr(), self.source.z[at..][..count * LANES].as_ptr());
        let zero = I::Block::splat(isa, 0.0);
        let (mut plain, mut moment) = ([zero; APART], [zero; APART]);
        let whole = count / APART * APART;
        let mut row = 0;
        // SAFETY: rows below `count`.
        unsafe {
            while row < whole {
                for apart in 0..APART {
                    let at = (row + apart) * LANES;
                    step(isa, &transform, mean, g.add(at), z.add(at), &mut plain[apart], &mut moment[apart]);
                }
                row += APART;
            }
            while row < count {
                let at = row * LANES;
                step(isa, &transform, mean, g.add(at), z.add(at), &mut plain[0], &mut moment[0]);
                row += 1;
            }
        }
        let parts = [total(isa, plain), total(isa, moment)];
        // SAFETY: an item is one block of one chunk.
        unsafe { put(isa, self.dims, self.partial, chunk, block, parts) }
    }
}

/// Adds one pixel to the sums.
///
/// # Safety
/// `g` and `z` are valid for sixteen floats.
#[inline(always)]
unsafe fn step<I: Isa>(
    isa: I,
    transform: &Transform<'_, I>,
    mean: I::Block,
    g: *const f32,
    z: *const f32,
    plain: &mut I::Block,
    moment: &mut I::Block,
) {
    // SAFETY: by the caller's promise.
    let (g, z) = unsafe { (I::Block::load(isa, g), I::Block::load(isa, z)) };
    let g = transform.before_act(isa, g, z);
    *plain = plain.add(isa, g);
    *moment = g.mul_add(isa, z.sub(isa, mean), *moment);
}

#[cfg(test)]
mod tests;
