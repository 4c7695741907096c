//! Where and on what a kernel runs, and how its workers share one output.

use crate::isa::Level;
use crate::pool::Pool;

/// What a kernel needs besides its operands: an instruction set and workers.
#[derive(Clone, Copy)]
pub struct Exec<'a> {
    /// The instruction set to run on.
    pub level: Level,
    /// The workers that share the items of a kernel.
    pub pool: &'a dyn Pool,
}

impl<'a> Exec<'a> {
    /// The best instruction set of this processor on the given workers.
    pub fn new(pool: &'a dyn Pool) -> Self {
        Self { level: Level::best(), pool }
    }
}

/// Floats of scratch for `workers` workers that need `each` floats, every part on its own cache lines.
pub const fn per_worker(each: usize, workers: usize) -> usize {
    each.next_multiple_of(16) * workers
}

/// A mutable slice that several workers write at once, each its own cells.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a> {
    start: *mut f32,
    len: usize,
    of: std::marker::PhantomData<&'a mut [f32]>,
}

// SAFETY: access goes through the unsafe methods below, whose callers keep the cells apart.
unsafe impl Send for Shared<'_> {}
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub(crate) fn new(slice: &'a mut [f32]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), of: std::marker::PhantomData }
    }

    /// Pointer to cell `at`.
    ///
    /// # Panics
    /// If fewer than `count` cells follow.
    pub(crate) fn at(self, at: usize, count: usize) -> *mut f32 {
        assert!(at <= self.len && count <= self.len - at, "cells {at}+{count} of {}", self.len);
        // SAFETY: in bounds, as just checked.
        unsafe { self.start.add(at) }
    }

    /// The `count` cells from `at` on.
    ///
    /// # Safety
    /// No other worker may touch these cells while the slice lives.
    pub(crate) unsafe fn slice(self, at: usize, count: usize) -> &'a mut [f32] {
        // SAFETY: in bounds by `at`; unique by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.at(at, count), count) }
    }

    /// Worker `worker`'s part of a scratch slice laid out by [`per_worker`].
    ///
    /// # Safety
    /// Only that worker may call this, once at a time.
    pub(crate) unsafe fn part(self, worker: usize, each: usize) -> &'a mut [f32] {
        // SAFETY: parts of different workers do not overlap; the caller is that worker.
        unsafe { self.slice(worker * each.next_multiple_of(16), each) }
    }
}
