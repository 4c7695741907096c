//! Batch norm: statistics of a batch, the affine map they amount to, and the gradient's sums.
//!
//! Norm is never a pass that writes: [`finish`] turns statistics into a scale and a shift that the
//! next reader applies on load ([`Source`]), and [`grad_finish`] turns the gradient's sums into the
//! three factors of [`crate::NormGrad`]. Conventions are PyTorch's: biased variance to normalise,
//! unbiased variance in the running average, `running += momentum·(batch − running)`.

mod chunk;
mod finish;

pub use finish::{Params, Saved, eval, finish, grad_finish};

pub(crate) use chunk::{GradRunning, Running, fill, put};

use crate::exec::{Exec, Shared};
use crate::isa::{Isa, Kernel, Vector, lanes};
use crate::layout::{Dims, LANES};
use crate::pass::{self, Place, ROWS};
use crate::source::Source;
use chunk::PARTS;

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
        exec.level.dispatch(SumGrad { dims, g, source: &source, mean, partial, place });
    });
}

struct SumGrad<'a> {
    dims: &'a Dims,
    g: &'a [f32],
    source: &'a Source<'a>,
    mean: &'a [f32],
    partial: Shared<'a>,
    place: Place,
}

impl Kernel for SumGrad<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Place { block, chunk, rows, at } = self.place;
        let rows_of = [&self.g[at..][..rows * LANES], &self.source.z[at..][..rows * LANES]];
        let mut running = GradRunning::new(isa);
        // SAFETY: rows of both; an item is one block of one chunk.
        unsafe {
            let transform = self.source.transform(isa, block);
            running.add(isa, &transform, lanes(isa, self.mean, block), rows_of.map(<[f32]>::as_ptr), rows, None);
            put(isa, self.dims, self.partial, chunk, block, running.parts(isa));
        }
    }
}

/// For a kernel that writes the gradient of a normed value: it takes the sums that [`grad_finish`] needs while the
/// gradient is near, so that [`grad_sums`] need not fetch it again.
///
/// The kernel reads the value, `act(scale·z + shift)`, and says in how many chunks it takes the sums.
pub struct GradSums<'a> {
    /// The batch mean of the stored `z`, padded to whole blocks.
    pub mean: &'a [f32],
    /// Set, `[chunks][2][blocks·16]`: the sums of `g'` and of `g'·(z − mean)`, as [`grad_sums`] has them.
    pub partial: &'a mut [f32],
}

/// What the items of such a kernel share.
#[derive(Clone, Copy)]
pub(crate) struct Taker<'a> {
    source: Source<'a>,
    mean: &'a [f32],
    partial: Shared<'a>,
}

impl<'a> Taker<'a> {
    /// # Panics
    /// If the mean is not of `dims`, or there is no room for `chunks` chunks.
    pub(crate) fn new(sums: GradSums<'a>, source: Source<'a>, dims: &Dims, chunks: usize) -> Self {
        let channels = dims.blocks() * LANES;
        assert!(sums.mean.len() >= channels && sums.partial.len() >= chunks * 2 * channels);
        Self { source, mean: sums.mean, partial: Shared::new(sums.partial) }
    }

    /// Adds the rows that begin at `at` of the plane of block `block`, whose gradient is at `g`; streamed to `to`, if given.
    ///
    /// # Safety
    /// `g` and `to` are valid for `rows` rows, which the source has, too; `to` is aligned to 64 bytes.
    #[inline(always)]
    pub(crate) unsafe fn add<I: Isa>(
        &self,
        isa: I,
        running: &mut GradRunning<I>,
        block: usize,
        at: usize,
        g: *const f32,
        rows: usize,
        to: Option<*mut f32>,
    ) {
        let transform = self.source.transform(isa, block);
        let z = self.source.z[at..][..rows * LANES].as_ptr();
        // SAFETY: by the caller's promise.
        unsafe { running.add(isa, &transform, lanes(isa, self.mean, block), [g, z], rows, to) }
    }

    /// Keeps the sums of block `block` of chunk `chunk`.
    ///
    /// # Safety
    /// No other worker touches this block of this chunk.
    #[inline(always)]
    pub(crate) unsafe fn put<I: Isa>(&self, isa: I, dims: &Dims, chunk: usize, block: usize, running: &GradRunning<I>) {
        // SAFETY: by the caller's promise.
        unsafe { put(isa, dims, self.partial, chunk, block, running.parts(isa)) }
    }
}

#[cfg(test)]
mod tests;
