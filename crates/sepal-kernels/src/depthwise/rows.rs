//! The rows a filter reads: a picture in place, or copies of its rows in a ring.

use crate::isa::{Isa, Vector};
use crate::layout::LANES;

/// Rows of one image of one channel block, of which at least the needed ones are there.
///
/// Row `y` starts (at its column 0) at `base + (y & mask)·pitch`. Beside the picture's columns,
/// `left` and `right` columns of zeros can be read.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    base: *mut f32,
    pitch: usize,
    mask: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) left: usize,
    pub(crate) right: usize,
}

/// Shape of a ring of row copies.
#[derive(Clone, Copy)]
pub(crate) struct Ring {
    /// A power of two.
    rows: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
    left: usize,
    right: usize,
    /// Whether rows follow each other without a gap.
    dense: bool,
}

impl Ring {
    /// A ring that holds `live` rows of a picture at once, each between `left` and `right` zeros.
    pub(crate) fn new(live: usize, height: usize, width: usize, left: usize, right: usize) -> Self {
        let rows = live.min(height).max(1).next_power_of_two();
        Self { rows, width, height, left, right, dense: false }
    }

    /// A ring that holds `live` rows at once without anything between them.
    pub(crate) fn dense(live: usize, height: usize, width: usize) -> Self {
        Self { dense: true, ..Self::new(live, height, width, 0, 0) }
    }

    /// Whether rows follow each other without a gap.
    pub(crate) fn is_dense(&self) -> bool {
        self.dense
    }

    /// Floats from row to row: but for dense rows an odd number of cache lines, so that rows do not share cache sets.
    fn pitch(&self) -> usize {
        let width = self.left + self.width + self.right;
        (if self.dense { width } else { width | 1 }) * LANES
    }

    /// Floats of the whole.
    pub(crate) fn len(&self) -> usize {
        self.rows * self.pitch()
    }

    /// The ring in `memory`, its borders set to zero.
    #[inline(always)]
    pub(crate) fn place<I: Isa>(&self, isa: I, memory: &mut [f32]) -> Rows {
        assert!(memory.len() >= self.len());
        let start = memory.as_mut_ptr();
        for row in 0..self.rows {
            // SAFETY: a row has `left + width + right` pixels, inside `memory` as just checked.
            unsafe {
                let row = start.add(row * self.pitch());
                clear(isa, row, self.left);
                clear(isa, row.add((self.left + self.width) * LANES), self.right);
            }
        }
        Rows {
            // SAFETY: inside the first row.
            base: unsafe { start.add(self.left * LANES) },
            pitch: self.pitch(),
            mask: self.rows - 1,
            height: self.height,
            width: self.width,
            left: self.left,
            right: self.right,
        }
    }
}

/// Sets `count` pixels to zero.
///
/// # Safety
/// `at` is valid for writing them.
#[inline(always)]
pub(crate) unsafe fn clear<I: Isa>(isa: I, at: *mut f32, count: usize) {
    for pixel in 0..count {
        // SAFETY: by the caller's promise.
        unsafe { I::Block::splat(isa, 0.0).store(isa, at.add(pixel * LANES)) }
    }
}

impl Rows {
    /// A picture read where it lies.
    pub(crate) fn in_place(image: &[f32], height: usize, width: usize) -> Self {
        assert!(image.len() >= height * width * LANES);
        // Never written through: only rings are.
        let base = image.as_ptr().cast_mut();
        Self { base, pitch: width * LANES, mask: usize::MAX, height, width, left: 0, right: 0 }
    }

    /// A picture of `height` rows that lies at `to`, to be written where it lies.
    pub(crate) fn over(to: *mut f32, height: usize, width: usize) -> Self {
        Self { base: to, pitch: width * LANES, mask: usize::MAX, height, width, left: 0, right: 0 }
    }

    /// The same rows `floats` further on.
    #[inline(always)]
    pub(crate) fn shifted(self, floats: usize) -> Self {
        Self { base: self.base.wrapping_add(floats), ..self }
    }

    /// Rows from row `y` on that follow each other in a ring.
    #[inline(always)]
    pub(crate) fn following(&self, y: usize) -> usize {
        (self.mask - (y & self.mask)).saturating_add(1)
    }

    /// Column 0 of row `y`, which must be below `height`.
    #[inline(always)]
    pub(crate) fn at(&self, y: usize) -> *mut f32 {
        // SAFETY: `y & mask` is a row of the picture or of the ring.
        unsafe { self.base.add((y & self.mask) * self.pitch) }
    }
}
