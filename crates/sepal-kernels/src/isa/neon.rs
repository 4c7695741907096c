//! NEON, which 64-bit ARM processors have.

use super::pair::Pair;
use super::{Isa, Kernel, Vector};
use std::arch::aarch64::*;

/// Token: the processor has NEON, as everything this file is compiled for has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Neon;

impl Isa for Neon {
    type Reg = F32x4;
    type Block = Pair<Pair<F32x4>>;
    // Of 32 registers 24 hold sums, 4 a row of weights, one a value.
    const TILE_ROWS: usize = 6;

    #[cold]
    #[inline(never)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
}

/// One register.
#[derive(Clone, Copy)]
pub(crate) struct F32x4(float32x4_t);

// SAFETY of the implementation below: NEON is there, or this file would not be; pointers are valid by
// the caller's promise. Streamed stores are plain ones: the instruction that hints at more promises nothing.

impl Vector<Neon> for F32x4 {
    const WIDTH: usize = 4;

    #[inline(always)]
    fn splat(_: Neon, value: f32) -> Self {
        // SAFETY: token.
        Self(unsafe { vdupq_n_f32(value) })
    }

    #[inline(always)]
    unsafe fn load(_: Neon, from: *const f32) -> Self {
        // SAFETY: token and promise.
        Self(unsafe { vld1q_f32(from) })
    }

    #[inline(always)]
    unsafe fn store(self, _: Neon, to: *mut f32) {
        // SAFETY: token and promise.
        unsafe { vst1q_f32(to, self.0) }
    }

    #[inline(always)]
    unsafe fn stream(self, isa: Neon, to: *mut f32) {
        // SAFETY: the same promise.
        unsafe { self.store(isa, to) }
    }

    #[inline(always)]
    fn add(self, _: Neon, other: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { vaddq_f32(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, _: Neon, other: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { vsubq_f32(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, _: Neon, other: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { vmulq_f32(self.0, other.0) })
    }

    #[inline(always)]
    fn div(self, _: Neon, other: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { vdivq_f32(self.0, other.0) })
    }

    #[inline(always)]
    fn mul_add(self, _: Neon, factor: Self, addend: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { vfmaq_f32(addend.0, self.0, factor.0) })
    }

    // Not the minimum of the instruction set, which is not a number where `other` is one.
    #[inline(always)]
    fn min(self, _: Neon, other: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { vbslq_f32(vcltq_f32(self.0, other.0), self.0, other.0) })
    }

    #[inline(always)]
    fn max(self, _: Neon, other: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { vbslq_f32(vcgtq_f32(self.0, other.0), self.0, other.0) })
    }

    #[inline(always)]
    fn where_gt(self, _: Neon, bound: Self, yes: Self, no: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { vbslq_f32(vcgtq_f32(self.0, bound.0), yes.0, no.0) })
    }

    #[inline(always)]
    fn round(self, _: Neon) -> Self {
        // SAFETY: token.
        Self(unsafe { vrndnq_f32(self.0) })
    }

    #[inline(always)]
    fn exp2_int(self, _: Neon) -> Self {
        // SAFETY: token.
        Self(unsafe { vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(vcvtnq_s32_f32(self.0), vdupq_n_s32(127)))) })
    }

    #[inline(always)]
    fn sqrt(self, _: Neon) -> Self {
        // SAFETY: token.
        Self(unsafe { vsqrtq_f32(self.0) })
    }
}
