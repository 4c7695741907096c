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

/// Lets the workers of `pool` fill the parts of `out`, of `each` floats (the last may be shorter), side by side: calls
/// `fill(state, part, floats)` once for each part, with a worker's own one of `states`.
///
/// # Panics
/// If there are fewer states than workers, or `each` is 0.
pub fn fill_parts<S: Send>(
    pool: &dyn Pool,
    states: &mut [S],
    out: &mut [f32],
    each: usize,
    fill: impl Fn(&mut S, usize, &mut [f32]) + Sync,
) {
    assert!(states.len() >= pool.threads(), "{} states for {} workers", states.len(), pool.threads());
    let (len, parts) = (out.len(), out.len().div_ceil(each));
    let (states, out) = (Shared::new(states), Shared::new(out));
    pool.run(parts, &|part, worker| {
        let at = part * each;
        // SAFETY: a worker runs one item at a time, and parts do not overlap.
        let (state, out) = unsafe { (&mut states.slice(worker, 1)[0], out.slice(at, each.min(len - at))) };
        fill(state, part, out);
    });
}

/// A mutable slice that several workers write at once, each its own cells.
pub(crate) struct Shared<'a, T = f32> {
    start: *mut T,
    len: usize,
    of: std::marker::PhantomData<&'a mut [T]>,
}

impl<T> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<'_, T> {}

// SAFETY: access goes through the unsafe methods below, whose callers keep the cells apart.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above; a cell is only ever one worker's at a time.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), of: std::marker::PhantomData }
    }

    /// Pointer to cell `at`.
    ///
    /// # Panics
    /// If fewer than `count` cells follow.
    pub(crate) fn at(self, at: usize, count: usize) -> *mut T {
        assert!(at <= self.len && count <= self.len - at, "cells {at}+{count} of {}", self.len);
        // SAFETY: in bounds, as just checked.
        unsafe { self.start.add(at) }
    }

    /// The `count` cells from `at` on.
    ///
    /// # Safety
    /// No other worker may touch these cells while the slice lives.
    pub(crate) unsafe fn slice(self, at: usize, count: usize) -> &'a mut [T] {
        // SAFETY: in bounds by `at`; unique by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.at(at, count), count) }
    }

    /// Worker `worker`'s part of a scratch slice laid out by [`per_worker`].
    ///
    /// # Safety
    /// Only that worker may call this, once at a time.
    pub(crate) unsafe fn part(self, worker: usize, each: usize) -> &'a mut [T] {
        // SAFETY: parts of different workers do not overlap; the caller is that worker.
        unsafe { self.slice(worker * each.next_multiple_of(16), each) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::ThreadPool;

    #[test]
    fn every_part_is_filled_once_by_the_worker_that_owns_the_state() {
        for threads in 1..4 {
            let pool = ThreadPool::new(threads).unwrap();
            for (len, each) in [(0, 3), (2, 3), (9, 3), (100, 7)] {
                let (mut states, mut out) = (vec![0; threads], vec![0.0; len]);
                fill_parts(&pool, &mut states, &mut out, each, |state, part, out| {
                    *state += 1;
                    out.iter_mut().for_each(|value| *value += (part + 1) as f32);
                });
                assert_eq!(states.iter().sum::<usize>(), len.div_ceil(each));
                assert!(out.iter().enumerate().all(|(at, &value)| value == (at / each + 1) as f32));
            }
        }
    }
}
