//! Memory that will be needed soon, brought near while the arithmetic units are busy.

use crate::isa::prefetch;
use crate::layout::LANES;
use std::ops::Range;

/// Rows of channel blocks, one cache line each.
#[derive(Clone, Copy)]
struct Lines {
    next: *const f32,
    /// Floats from the end of the rows in one block to their start in the next.
    skip: usize,
    rows: usize,
    row: usize,
    left: usize,
}

/// Lines of one group of multiply-adds at most.
const MOST: usize = 4;

/// A list of cache lines to prefetch a few at a time, between multiply-adds: in one go they would
/// fill the queues that the loads needed now have to pass.
pub(crate) struct Ahead {
    lines: [Lines; 3],
    /// Lines that are due with each tile, and those that are due now.
    each: usize,
    due: usize,
}

/// Consecutive cache lines that one tile prefetches.
pub(crate) struct Few {
    next: *const f32,
    left: usize,
    each: usize,
}

impl Few {
    /// Prefetches the lines due with one group of multiply-adds.
    #[inline(always)]
    pub(crate) fn some(&mut self) {
        let count = self.each.min(self.left);
        self.left -= count;
        for _ in 0..count {
            prefetch(self.next);
            self.next = self.next.wrapping_add(LANES);
        }
    }
}

impl Ahead {
    /// Nothing.
    pub(crate) fn new() -> Self {
        let none = Lines { next: std::ptr::null(), skip: 0, rows: 0, row: 0, left: 0 };
        Self { lines: [none; 3], each: 0, due: 0 }
    }

    /// Adds rows `rows` of the first `blocks` blocks of a tensor; of more than three tensors, the last.
    pub(crate) fn add(&mut self, tensor: &[f32], plane: usize, blocks: usize, rows: &Range<usize>) {
        self.lines.rotate_right(1);
        self.lines[0] = Lines {
            next: tensor.as_ptr().wrapping_add(rows.start * LANES),
            skip: plane - rows.len() * LANES,
            rows: rows.len(),
            row: 0,
            left: blocks * rows.len(),
        };
    }

    /// Spreads what was added over `tiles` tiles.
    pub(crate) fn spread(&mut self, tiles: usize) {
        let total: usize = self.lines.iter().map(|lines| lines.left).sum();
        self.each = total.div_ceil(tiles.max(1));
    }

    /// The next lines, for a tile of `groups` groups of multiply-adds.
    #[inline(always)]
    pub(crate) fn take(&mut self, groups: usize) -> Few {
        self.due += self.each;
        let Some(lines) = self.lines.iter_mut().find(|lines| lines.left > 0) else {
            return Few { next: std::ptr::null(), left: 0, each: 0 };
        };
        let left = (groups * MOST).min(self.due).min(lines.rows - lines.row);
        let few = Few { next: lines.next, left, each: left.div_ceil(groups.max(1)) };
        self.due -= few.left;
        lines.left -= few.left;
        lines.row += few.left;
        lines.next = lines.next.wrapping_add(few.left * LANES);
        if lines.row == lines.rows {
            lines.row = 0;
            lines.next = lines.next.wrapping_add(lines.skip);
        }
        few
    }
}

/// Asks for a cache line in the first-level cache. The address may be anything.
#[inline(always)]
pub(crate) fn prefetch_now(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing as far as the language can tell, and never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
