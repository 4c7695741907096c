//! The 128-bit vectors of WebAssembly.

use super::pair::Pair;
use super::{Isa, Kernel, Vector};
use std::arch::wasm32::*;

/// Token: the module is compiled for vectors, and an engine without them does not load it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Simd128;

impl Isa for Simd128 {
    type Reg = F32x4;
    type Block = Pair<Pair<F32x4>>;
    // Engines on x86-64 have 16 registers: 8 hold sums, 4 a row of weights, one a value, one a product.
    const TILE_ROWS: usize = 2;

    #[cold]
    #[inline(never)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
}

/// One register.
#[derive(Clone, Copy)]
pub(crate) struct F32x4(v128);

impl Vector<Simd128> for F32x4 {
    const WIDTH: usize = 4;

    #[inline(always)]
    fn splat(_: Simd128, value: f32) -> Self {
        Self(f32x4_splat(value))
    }

    #[inline(always)]
    unsafe fn load(_: Simd128, from: *const f32) -> Self {
        // SAFETY: promise.
        Self(unsafe { v128_load(from.cast()) })
    }

    #[inline(always)]
    unsafe fn store(self, _: Simd128, to: *mut f32) {
        // SAFETY: promise.
        unsafe { v128_store(to.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn stream(self, isa: Simd128, to: *mut f32) {
        // SAFETY: the same promise.
        unsafe { self.store(isa, to) }
    }

    #[inline(always)]
    fn add(self, _: Simd128, other: Self) -> Self {
        Self(f32x4_add(self.0, other.0))
    }

    #[inline(always)]
    fn sub(self, _: Simd128, other: Self) -> Self {
        Self(f32x4_sub(self.0, other.0))
    }

    #[inline(always)]
    fn mul(self, _: Simd128, other: Self) -> Self {
        Self(f32x4_mul(self.0, other.0))
    }

    #[inline(always)]
    fn div(self, _: Simd128, other: Self) -> Self {
        Self(f32x4_div(self.0, other.0))
    }

    #[inline(always)]
    fn mul_add(self, isa: Simd128, factor: Self, addend: Self) -> Self {
        // The fused instruction is one of the relaxed ones, which not every engine has.
        self.mul(isa, factor).add(isa, addend)
    }

    // The pseudo-minimum is its first operand where either is not a number.
    #[inline(always)]
    fn min(self, _: Simd128, other: Self) -> Self {
        Self(f32x4_pmin(other.0, self.0))
    }

    #[inline(always)]
    fn max(self, _: Simd128, other: Self) -> Self {
        Self(f32x4_pmax(other.0, self.0))
    }

    #[inline(always)]
    fn where_gt(self, _: Simd128, bound: Self, yes: Self, no: Self) -> Self {
        Self(v128_bitselect(yes.0, no.0, f32x4_gt(self.0, bound.0)))
    }

    #[inline(always)]
    fn round(self, _: Simd128) -> Self {
        Self(f32x4_nearest(self.0))
    }

    #[inline(always)]
    fn exp2_int(self, _: Simd128) -> Self {
        Self(i32x4_shl(i32x4_add(i32x4_trunc_sat_f32x4(self.0), i32x4_splat(127)), 23))
    }

    #[inline(always)]
    fn sqrt(self, _: Simd128) -> Self {
        Self(f32x4_sqrt(self.0))
    }
}
