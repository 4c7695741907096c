//! Pointwise convolutions with seven products of halves instead of eight: one level of Strassen's algorithm in Winograd's
//! form (Huss-Lederman et al. 1996, *Implementation of Strassen's Algorithm for Matrix Multiplication*, section 2).
//!
//! A block of an image's rows is halved, and so are the channels and the panels of filters:
//! ```text
//! C11 = A11·B11 + A12·B21          U2 = A11·B11 + S2·T2     S1 = A21 + A22     T1 = B12 − B11
//! C12 = U2 + S1·T1 + S4·B22        U3 = U2 + S3·T3          S2 = S1 − A11      T2 = B22 − T1
//! C21 = U3 − A22·T4                                         S3 = A11 − A21     T3 = B22 − B12
//! C22 = U3 + S1·T1                                          S4 = A12 − S2      T4 = T2 − B21
//! ```
//! The sums of activations are taken once for all panels of a block of rows. Those of weights are packed, 7/4 of the weights' size.
//! A pair of panels is computed at a time, so what lies between the products stays in the first-level cache.
//!
//! The result is as near as before in relation to the norm of inputs and weights, though not in each element (Higham 2002,
//! *Accuracy and Stability of Numerical Algorithms*, section 23.2).

mod pack;
mod rows;

use super::ahead::Ahead;
use super::is_long_enough;
use super::plan::Cut;
use super::stage::View;
use crate::exec::{Exec, Shared, per_worker};
use crate::geometry::{Conv, Epilogue};
use crate::isa::{Isa, Kernel};
use crate::layout::{Dims, LANES};
use rows::{Rows, Target};
use std::ops::Range;

/// Floats of a block of rows, which lie in the second-level cache beside as many floats of their sums.
const BLOCK: usize = 64 * 1024;
/// Items of each worker where they cannot be shared out evenly.
const ITEMS: usize = 4;

/// Inputs and outputs in halves.
#[derive(Clone, Copy)]
pub(crate) struct Split {
    inputs: usize,
    outputs: usize,
}

impl Split {
    fn new(conv: &Conv) -> Self {
        assert!(can(conv), "not in halves: {conv:?}");
        Self { inputs: conv.input.c, outputs: conv.output.c }
    }

    /// Blocks of inputs in a half; only full blocks are.
    fn half(&self) -> usize {
        self.inputs / LANES / 2
    }

    /// Inputs beyond the halves.
    fn tail(&self) -> usize {
        self.inputs - 2 * self.half() * LANES
    }

    /// Panels of sixteen outputs in a half.
    fn pairs(&self) -> usize {
        self.outputs.div_ceil(LANES) / 2
    }

    /// Pairs, and the odd panel.
    fn columns(&self) -> usize {
        self.outputs.div_ceil(LANES).div_ceil(2)
    }

    /// Floats of the packed weights of a column.
    fn floats(&self, column: usize) -> usize {
        let rows = if column == self.pairs() { self.inputs } else { 7 * self.half() * LANES + 2 * self.tail() };
        rows * LANES
    }

    /// Floats before those of a column.
    fn offset(&self, column: usize) -> usize {
        if column == 0 { 0 } else { column * self.floats(0) }
    }

    fn len(&self) -> usize {
        let last = self.columns() - 1;
        self.offset(last) + self.floats(last)
    }
}

/// How one convolution is cut.
#[derive(Clone, Copy)]
struct Cuts {
    split: Split,
    images: usize,
    /// Of one image, whose bits do not depend on the others' then.
    rows: Cut,
    /// In pieces only where workers would be idle else, as each has to take the sums of the block's rows. No element depends
    /// on it.
    columns: Cut,
}

impl Cuts {
    fn new(conv: &Conv, threads: usize) -> Self {
        let split = Split::new(conv);
        let rows = Cut::new(conv.input.h * conv.input.w, (BLOCK / conv.input.c).clamp(64, 256)).rounded(4);
        let images = conv.input.n;
        let blocks = (images * rows.pieces()).max(1);
        let groups = if blocks.is_multiple_of(threads) { 1 } else { (ITEMS * threads).div_ceil(blocks) };
        let groups = groups.min(split.columns());
        Self { split, images, rows, columns: Cut::new(split.columns(), split.columns().div_ceil(groups)) }
    }

    /// Floats of scratch for a worker: a line that says of which rows the sums are there, and these.
    fn scratch(&self) -> usize {
        LANES + rows::scratch(&self.split, self.rows.size)
    }

    fn row_blocks(&self) -> usize {
        self.images * self.rows.pieces()
    }

    /// Rows of a block, among those of all images.
    fn block(&self, index: usize) -> Range<usize> {
        let rows = self.rows.get(index % self.rows.pieces());
        let before = index / self.rows.pieces() * self.rows.total;
        before + rows.start..before + rows.end
    }
}

/// Whether a convolution can be computed so: pointwise, of one group, with two full blocks of inputs and a pair of panels.
fn can(conv: &Conv) -> bool {
    conv.is_pointwise() && conv.groups == 1 && conv.input.c >= 2 * LANES && conv.output.c > LANES
}

/// Activations of an image from which on the products take longer than reading weights of 7/4 of the size.
const LEAST: usize = 48 * 1024;

/// Whether a convolution should be computed so: as far as is known, it is faster than [`super::forward`]. Does not depend
/// on the number of images.
pub fn applies(conv: &Conv) -> bool {
    let Dims { c, h, w, .. } = conv.input;
    can(conv) && c >= 192 && conv.output.c >= 128 && h * w >= 48 && h * w * c >= LEAST
}

/// Floats of weights packed for [`forward`].
///
/// # Panics
/// If the convolution is none that can be computed so.
pub fn packed_len(conv: &Conv) -> usize {
    Split::new(conv).len()
}

/// Packs weights of `O, I` for [`forward`].
///
/// # Panics
/// If a slice is shorter than the convolution asks, or it is none that can be computed so.
pub fn pack(exec: Exec<'_>, conv: &Conv, weight: &[f32], packed: &mut [f32]) {
    assert!(weight.len() >= conv.weight_len() && packed.len() >= packed_len(conv));
    pack::pack(exec, &Split::new(conv), weight, packed);
}

/// Floats of scratch that [`forward`] needs on `threads` workers.
///
/// # Panics
/// If the convolution is none that can be computed so.
pub fn forward_scratch(conv: &Conv, threads: usize) -> usize {
    per_worker(Cuts::new(conv, threads).scratch(), threads)
}

/// The convolution of `x`, in channel blocks, through `epilogue`.
///
/// `packed` comes from [`pack`]. An image's result has the same bits in any batch.
///
/// # Panics
/// If a slice is shorter than the convolution asks, or it is none that can be computed so.
pub fn forward(
    exec: Exec<'_>,
    conv: &Conv,
    x: &[f32],
    packed: &[f32],
    epilogue: Epilogue<'_>,
    out: &mut [f32],
    scratch: &mut [f32],
) {
    conv.check();
    let threads = exec.pool.threads();
    let cuts = Cuts::new(conv, threads);
    let each = cuts.scratch();
    assert!(x.len() >= conv.input.len() && out.len() >= conv.output.len() && packed.len() >= cuts.split.len());
    assert!(scratch.len() >= per_worker(each, threads), "scratch of {}", scratch.len());
    assert!(epilogue.fits(&conv.output));
    assert!(is_long_enough(epilogue.act, &conv.output));
    let scratch = Shared::new(scratch);
    for worker in 0..threads {
        // SAFETY: no worker is at work yet.
        unsafe { scratch.part(worker, each)[0] = NONE };
    }
    let target = Target { out: Shared::new(out), plane: conv.output.plane(), row: 0, epilogue };
    let job = Job { cuts, x, from: conv.input, packed, target, scratch, each };
    exec.pool.run(cuts.row_blocks() * cuts.columns.pieces(), &|item, worker| {
        exec.level.dispatch(Item { job: &job, item, worker });
    });
}

/// Mark of a scratch without sums; that of a scratch with a block's sums holds the bits of the block's number, from 1 on.
const NONE: f32 = 0.0;

struct Job<'a> {
    cuts: Cuts,
    x: &'a [f32],
    from: Dims,
    packed: &'a [f32],
    target: Target<'a>,
    scratch: Shared<'a>,
    /// Floats of a worker's scratch.
    each: usize,
}

/// Some columns of a block of rows.
struct Item<'a> {
    job: &'a Job<'a>,
    item: usize,
    worker: usize,
}

impl Kernel for Item<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { job, item, worker } = self;
        let Job { cuts, x, from, .. } = job;
        let (index, columns) = (item / cuts.columns.pieces(), cuts.columns.get(item % cuts.columns.pieces()));
        let rows = cuts.block(index);
        // SAFETY: this worker's part, one item at a time.
        let (mark, scratch) = unsafe { job.scratch.part(worker, job.each) }.split_at_mut(LANES);
        let view = View { start: x[rows.start * LANES..].as_ptr(), plane: from.plane() };
        let block = Rows::new(&cuts.split, view, rows.len(), scratch);
        let number = index as u32 + 1;
        if mark[0].to_bits() != number {
            // SAFETY: `x` holds the input, of which these are rows.
            unsafe { block.stage(isa) };
            mark[0] = f32::from_bits(number);
        }
        let mut ahead = Ahead::new();
        // Weights one product ahead: what follows the first one's, and the first of the next item.
        let each = cuts.split.half() * LANES;
        let is_last = columns.end == cuts.split.columns();
        let end = if is_last { cuts.split.len() } else { cuts.split.offset(columns.end) + each * LANES };
        let weights = cuts.split.offset(columns.start) / LANES + each..end / LANES;
        if is_last && index + 1 < cuts.row_blocks() {
            ahead.add(x, from.plane(), from.blocks(), &cuts.block(index + 1));
        }
        ahead.add(job.packed, weights.end * LANES, 1, &weights);
        ahead.spread(columns.len() * 7 * rows.len().div_ceil(2).div_ceil(I::TILE_ROWS));
        let target = Target { row: rows.start, ..job.target };
        // SAFETY: as above; these rows of these panels are this item's alone.
        unsafe { block.columns(isa, job.packed, columns, &target, &mut ahead) };
    }
}
