//! The channels of one pixel as a whole: which lanes count, and what they amount to.

use std::ops::Range;

use crate::geometry::Write;
use crate::isa::{Isa, Vector};
use crate::layout::{Dims, LANES};

/// Rows of one item of a pass that walks from channel block to channel block at each pixel.
const ROWS: usize = 64;

/// Items of such a pass.
pub(crate) const fn items(dims: &Dims) -> usize {
    dims.rows().div_ceil(ROWS)
}

/// The rows of item `item`.
pub(crate) fn rows(dims: &Dims, item: usize) -> Range<usize> {
    item * ROWS..((item + 1) * ROWS).min(dims.rows())
}

/// One in the lanes of channels that exist, zero past them.
#[inline(always)]
pub(crate) fn real<I: Isa>(isa: I, dims: &Dims, block: usize) -> I::Block {
    let mut lanes = [0.0; LANES];
    lanes[..(dims.c - block * LANES).min(LANES)].fill(1.0);
    // SAFETY: sixteen floats.
    unsafe { I::Block::load(isa, lanes.as_ptr()) }
}

/// `value` where `real` is one, else `other`.
#[inline(always)]
pub(crate) fn where_real<I: Isa>(isa: I, real: I::Block, value: I::Block, other: f32) -> I::Block {
    real.where_gt(isa, I::Block::splat(isa, 0.0), value, I::Block::splat(isa, other))
}

/// The sixteen floats of `x` from `at` on.
#[inline(always)]
pub(crate) fn load<I: Isa>(isa: I, x: &[f32], at: usize) -> I::Block {
    // SAFETY: sixteen floats.
    unsafe { I::Block::load(isa, x[at..][..LANES].as_ptr()) }
}

/// Writes the sixteen floats of `x` from `at` on.
#[inline(always)]
pub(crate) fn store<I: Isa>(isa: I, value: I::Block, x: &mut [f32], at: usize) {
    // SAFETY: sixteen floats.
    unsafe { value.store(isa, x[at..][..LANES].as_mut_ptr()) }
}

/// Sets the sixteen floats at `to`, or adds to them.
///
/// # Safety
/// `to` is valid for reading and writing them.
#[inline(always)]
pub(crate) unsafe fn write<I: Isa>(isa: I, value: I::Block, to: *mut f32, write: Write) {
    // SAFETY: by the caller's promise.
    unsafe {
        match write {
            Write::Set => value.store(isa, to),
            Write::Add => value.add(isa, I::Block::load(isa, to)).store(isa, to),
        }
    }
}

/// The lanes, one by one.
#[inline(always)]
fn spread<I: Isa>(isa: I, block: I::Block) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    // SAFETY: sixteen floats.
    unsafe { block.store(isa, lanes.as_mut_ptr()) };
    lanes
}

/// The sum of all lanes.
#[inline(always)]
pub(crate) fn total<I: Isa>(isa: I, block: I::Block) -> f64 {
    spread(isa, block).iter().map(|&lane| f64::from(lane)).sum()
}

/// The greatest lane.
#[inline(always)]
pub(crate) fn greatest<I: Isa>(isa: I, block: I::Block) -> f32 {
    spread(isa, block).into_iter().fold(f32::MIN, f32::max)
}
