//! The statistics of one chunk of rows, taken while those rows are still in cache.

use crate::exec::Shared;
use crate::isa::{Isa, Vector};
use crate::layout::{Dims, LANES};
use crate::source::Transform;

/// Floats per channel that a chunk keeps: origin, sum, sum of squares.
pub(crate) const PARTS: usize = 3;

/// Rows whose sums are kept apart, to hide the latency of additions and to shorten the sums.
pub(crate) const APART: usize = 4;

/// Statistics of the rows of one channel block seen so far.
///
/// Both sums are of `value - origin`, the origin being the first row: close to the mean, so that the
/// variance does not drown in the square of the mean.
#[derive(Clone, Copy)]
pub(crate) struct Running<I: Isa> {
    origin: I::Block,
    sum: [I::Block; APART],
    squares: [I::Block; APART],
}

impl<I: Isa> Running<I> {
    /// None yet, the first being `origin`.
    #[inline(always)]
    pub(crate) fn new(isa: I, origin: I::Block) -> Self {
        let zero = [I::Block::splat(isa, 0.0); APART];
        Self { origin, sum: zero, squares: zero }
    }

    /// Adds `rows` rows, `value` giving each.
    ///
    /// `value` must be `#[inline(always)]`, which a closure can only be where it is an argument.
    #[inline(always)]
    pub(crate) fn add(&mut self, isa: I, rows: usize, value: impl Fn(usize) -> I::Block) {
        let Self { origin, mut sum, mut squares } = *self;
        let whole = rows / APART * APART;
        let mut row = 0;
        while row < whole {
            for apart in 0..APART {
                let off = value(row + apart).sub(isa, origin);
                sum[apart] = sum[apart].add(isa, off);
                squares[apart] = off.mul_add(isa, off, squares[apart]);
            }
            row += APART;
        }
        while row < rows {
            let off = value(row).sub(isa, origin);
            sum[0] = sum[0].add(isa, off);
            squares[0] = off.mul_add(isa, off, squares[0]);
            row += 1;
        }
        *self = Self { origin, sum, squares };
    }

    /// Origin, sum and sum of squares.
    #[inline(always)]
    pub(crate) fn parts(&self, isa: I) -> [I::Block; PARTS] {
        [self.origin, total(isa, self.sum), total(isa, self.squares)]
    }
}

/// Sums over the rows of one channel block seen so far: of the gradient `g'` before the activation, and of `g'·(z − mean)`.
#[derive(Clone, Copy)]
pub(crate) struct GradRunning<I: Isa> {
    plain: [I::Block; APART],
    moment: [I::Block; APART],
}

impl<I: Isa> GradRunning<I> {
    /// None yet.
    #[inline(always)]
    pub(crate) fn new(isa: I) -> Self {
        let zero = [I::Block::splat(isa, 0.0); APART];
        Self { plain: zero, moment: zero }
    }

    /// Adds `rows` rows of a value's gradient `g` and of the stored `z`, from which `transform` makes the value.
    /// Where there is a `to`, `g` is copied there past the caches.
    ///
    /// # Safety
    /// `g`, `z` and `to` are valid for `rows` rows of sixteen floats, `to` is aligned to 64 bytes.
    #[inline(always)]
    pub(crate) unsafe fn add(
        &mut self,
        isa: I,
        transform: &Transform<'_, I>,
        mean: I::Block,
        [g, z]: [*const f32; 2],
        rows: usize,
        to: Option<*mut f32>,
    ) {
        let Self { mut plain, mut moment } = *self;
        transform.known(
            #[inline(always)]
            |transform| {
                let whole = rows / APART * APART;
                let mut row = 0;
                while row < whole {
                    for apart in 0..APART {
                        // SAFETY: a row below `rows`, by the caller's promise.
                        unsafe {
                            step(
                                isa,
                                &transform,
                                mean,
                                [g, z],
                                row + apart,
                                to,
                                [&mut plain[apart], &mut moment[apart]],
                            );
                        }
                    }
                    row += APART;
                }
                while row < rows {
                    // SAFETY: as above.
                    unsafe { step(isa, &transform, mean, [g, z], row, to, [&mut plain[0], &mut moment[0]]) }
                    row += 1;
                }
            },
        );
        *self = Self { plain, moment };
    }

    /// Both sums.
    #[inline(always)]
    pub(crate) fn parts(&self, isa: I) -> [I::Block; 2] {
        [total(isa, self.plain), total(isa, self.moment)]
    }
}

/// Adds row `row` to the sums, as [`GradRunning::add`] has it.
///
/// # Safety
/// `g`, `z` and `to` have that row.
#[inline(always)]
unsafe fn step<I: Isa>(
    isa: I,
    transform: &Transform<'_, I>,
    mean: I::Block,
    [g, z]: [*const f32; 2],
    row: usize,
    to: Option<*mut f32>,
    [plain, moment]: [&mut I::Block; 2],
) {
    let at = row * LANES;
    // SAFETY: by the caller's promise.
    unsafe {
        let (g, z) = (I::Block::load(isa, g.add(at)), I::Block::load(isa, z.add(at)));
        if let Some(to) = to {
            g.stream(isa, to.add(at));
        }
        let g = transform.before_act(isa, g, z);
        *plain = plain.add(isa, g);
        *moment = g.mul_add(isa, z.sub(isa, mean), *moment);
    }
}

/// The sum of four, in a fixed order.
#[inline(always)]
pub(crate) fn total<I: Isa>(isa: I, parts: [I::Block; APART]) -> I::Block {
    parts[0].add(isa, parts[1]).add(isa, parts[2].add(isa, parts[3]))
}

/// Fills channel block `block` of statistics chunk `chunk` from rows just written.
///
/// `rows` points to the chunk's first row in that block's plane; the chunk has `count` rows, at least one.
///
/// # Safety
/// `rows` is valid for reading `count` rows of sixteen floats, and no other worker touches this
/// block of this chunk.
#[inline(always)]
pub(crate) unsafe fn fill<I: Isa>(
    isa: I,
    dims: &Dims,
    stats: Shared<'_>,
    chunk: usize,
    block: usize,
    rows: *const f32,
    count: usize,
) {
    // SAFETY: there is a first row.
    let mut running = Running::new(isa, unsafe { I::Block::load(isa, rows) });
    running.add(
        isa,
        count,
        // SAFETY: `row < count`, valid by the caller's promise.
        #[inline(always)]
        |row| unsafe { I::Block::load(isa, rows.add(row * LANES)) },
    );
    let parts = running.parts(isa);
    // SAFETY: no other worker touches this block of this chunk.
    unsafe { put(isa, dims, stats, chunk, block, parts) }
}

/// Stores the `P` parts of channel block `block` of chunk `chunk`, laid out `[chunks][P][blocks·16]`.
///
/// # Safety
/// No other worker touches this block of this chunk.
#[inline(always)]
pub(crate) unsafe fn put<I: Isa, const P: usize>(
    isa: I,
    dims: &Dims,
    to: Shared<'_>,
    chunk: usize,
    block: usize,
    parts: [I::Block; P],
) {
    let channels = dims.blocks() * LANES;
    for (part, value) in parts.into_iter().enumerate() {
        // SAFETY: in bounds by `at`, sixteen floats, ours by the caller's promise.
        unsafe { value.store(isa, to.at((chunk * P + part) * channels + block * LANES, LANES)) }
    }
}
