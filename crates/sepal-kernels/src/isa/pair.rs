//! Vectors of two vectors: blocks of instruction sets whose registers are narrower.

use super::{Isa, Vector};

/// The lanes of the first, then those of the second.
#[derive(Clone, Copy)]
pub(crate) struct Pair<V>(V, V);

impl<I: Isa, V: Vector<I>> Vector<I> for Pair<V> {
    const WIDTH: usize = 2 * V::WIDTH;

    #[inline(always)]
    fn splat(isa: I, value: f32) -> Self {
        let half = V::splat(isa, value);
        Self(half, half)
    }

    #[inline(always)]
    unsafe fn load(isa: I, from: *const f32) -> Self {
        // SAFETY: by the promise, both halves are valid.
        unsafe { Self(V::load(isa, from), V::load(isa, from.add(V::WIDTH))) }
    }

    #[inline(always)]
    unsafe fn store(self, isa: I, to: *mut f32) {
        // SAFETY: by the promise, both halves are valid.
        unsafe {
            self.0.store(isa, to);
            self.1.store(isa, to.add(V::WIDTH));
        }
    }

    #[inline(always)]
    unsafe fn stream(self, isa: I, to: *mut f32) {
        // SAFETY: promise: a half is aligned to its own size.
        unsafe {
            self.0.stream(isa, to);
            self.1.stream(isa, to.add(V::WIDTH));
        }
    }

    #[inline(always)]
    fn add(self, isa: I, other: Self) -> Self {
        Self(self.0.add(isa, other.0), self.1.add(isa, other.1))
    }

    #[inline(always)]
    fn sub(self, isa: I, other: Self) -> Self {
        Self(self.0.sub(isa, other.0), self.1.sub(isa, other.1))
    }

    #[inline(always)]
    fn mul(self, isa: I, other: Self) -> Self {
        Self(self.0.mul(isa, other.0), self.1.mul(isa, other.1))
    }

    #[inline(always)]
    fn div(self, isa: I, other: Self) -> Self {
        Self(self.0.div(isa, other.0), self.1.div(isa, other.1))
    }

    #[inline(always)]
    fn mul_add(self, isa: I, factor: Self, addend: Self) -> Self {
        Self(self.0.mul_add(isa, factor.0, addend.0), self.1.mul_add(isa, factor.1, addend.1))
    }

    #[inline(always)]
    fn min(self, isa: I, other: Self) -> Self {
        Self(self.0.min(isa, other.0), self.1.min(isa, other.1))
    }

    #[inline(always)]
    fn max(self, isa: I, other: Self) -> Self {
        Self(self.0.max(isa, other.0), self.1.max(isa, other.1))
    }

    #[inline(always)]
    fn where_gt(self, isa: I, bound: Self, yes: Self, no: Self) -> Self {
        Self(self.0.where_gt(isa, bound.0, yes.0, no.0), self.1.where_gt(isa, bound.1, yes.1, no.1))
    }

    #[inline(always)]
    fn round(self, isa: I) -> Self {
        Self(self.0.round(isa), self.1.round(isa))
    }

    #[inline(always)]
    fn exp2_int(self, isa: I) -> Self {
        Self(self.0.exp2_int(isa), self.1.exp2_int(isa))
    }

    #[inline(always)]
    fn sqrt(self, isa: I) -> Self {
        Self(self.0.sqrt(isa), self.1.sqrt(isa))
    }
}
