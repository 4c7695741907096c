//! AVX2 with FMA, and AVX-512.

use super::pair::Pair;
use super::{Isa, Kernel, Vector};
use std::arch::x86_64::*;

/// Token: the processor has AVX2 and FMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2(());

/// Token: the processor has AVX-512 F, VL, DQ, and the AVX2 and FMA that come with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx512(());

impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }
}

impl Avx512 {
    pub(crate) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && Avx2::detect().is_some();
        has.then_some(Self(()))
    }
}

/// Runs `kernel` compiled for AVX2 and FMA.
///
/// # Safety
/// The processor has them, which the token proves.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn run_avx2<K: Kernel>(isa: Avx2, kernel: K) -> K::Output {
    kernel.run(isa)
}

/// Runs `kernel` compiled for AVX-512.
///
/// # Safety
/// The processor has it, which the token proves.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
pub(crate) unsafe fn run_avx512<K: Kernel>(isa: Avx512, kernel: K) -> K::Output {
    kernel.run(isa)
}

/// As [`run_avx2`], called rarely as far as the compiler's choice of registers goes.
///
/// # Safety
/// As [`run_avx2`].
#[cold]
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
unsafe fn run_avx2_apart<K: Kernel>(isa: Avx2, kernel: K) -> K::Output {
    kernel.run(isa)
}

/// As [`run_avx512`], called rarely as far as the compiler's choice of registers goes.
///
/// # Safety
/// As [`run_avx512`].
#[cold]
#[inline(never)]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
unsafe fn run_avx512_apart<K: Kernel>(isa: Avx512, kernel: K) -> K::Output {
    kernel.run(isa)
}

impl Isa for Avx2 {
    type Reg = F32x8;
    type Block = Pair<F32x8>;
    const TILE_ROWS: usize = 6;

    #[inline(always)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: token.
        unsafe { run_avx2_apart(self, kernel) }
    }
}

impl Isa for Avx512 {
    type Reg = F32x16;
    type Block = F32x16;
    const TILE_ROWS: usize = 28;

    #[inline(always)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: token.
        unsafe { run_avx512_apart(self, kernel) }
    }
}

/// One AVX2 register.
#[derive(Clone, Copy)]
pub(crate) struct F32x8(__m256);

/// One AVX-512 register.
#[derive(Clone, Copy)]
pub(crate) struct F32x16(__m512);

// SAFETY of the two implementations below: every method has the token of its instruction set, which
// exists only where the processor has the instructions; pointers are valid by the caller's promise.

impl Vector<Avx2> for F32x8 {
    const WIDTH: usize = 8;

    #[inline(always)]
    fn splat(_: Avx2, value: f32) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm256_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn load(_: Avx2, from: *const f32) -> Self {
        // SAFETY: token and promise.
        Self(unsafe { _mm256_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn store(self, _: Avx2, to: *mut f32) {
        // SAFETY: token and promise.
        unsafe { _mm256_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn stream(self, _: Avx2, to: *mut f32) {
        // SAFETY: token and promise.
        unsafe { _mm256_stream_ps(to, self.0) }
    }

    #[inline(always)]
    fn add(self, _: Avx2, other: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm256_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, _: Avx2, other: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm256_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, _: Avx2, other: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm256_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn div(self, _: Avx2, other: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm256_div_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul_add(self, _: Avx2, factor: Self, addend: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm256_fmadd_ps(self.0, factor.0, addend.0) })
    }

    #[inline(always)]
    fn min(self, _: Avx2, other: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm256_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn max(self, _: Avx2, other: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm256_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn where_gt(self, _: Avx2, bound: Self, yes: Self, no: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm256_blendv_ps(no.0, yes.0, _mm256_cmp_ps::<_CMP_GT_OQ>(self.0, bound.0)) })
    }

    #[inline(always)]
    fn round(self, _: Avx2) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0) })
    }

    #[inline(always)]
    fn exp2_int(self, _: Avx2) -> Self {
        // SAFETY: token.
        Self(unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(self.0), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
        })
    }

    #[inline(always)]
    fn sqrt(self, _: Avx2) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm256_sqrt_ps(self.0) })
    }
}

impl Vector<Avx512> for F32x16 {
    const WIDTH: usize = 16;

    #[inline(always)]
    fn splat(_: Avx512, value: f32) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn load(_: Avx512, from: *const f32) -> Self {
        // SAFETY: token and promise.
        Self(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn store(self, _: Avx512, to: *mut f32) {
        // SAFETY: token and promise.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn stream(self, _: Avx512, to: *mut f32) {
        // SAFETY: token and promise.
        unsafe { _mm512_stream_ps(to, self.0) }
    }

    #[inline(always)]
    fn add(self, _: Avx512, other: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, _: Avx512, other: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, _: Avx512, other: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn div(self, _: Avx512, other: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm512_div_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul_add(self, _: Avx512, factor: Self, addend: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, addend.0) })
    }

    #[inline(always)]
    fn min(self, _: Avx512, other: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm512_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn max(self, _: Avx512, other: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm512_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn where_gt(self, _: Avx512, bound: Self, yes: Self, no: Self) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, bound.0), no.0, yes.0) })
    }

    #[inline(always)]
    fn round(self, _: Avx512) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0) })
    }

    #[inline(always)]
    fn exp2_int(self, _: Avx512) -> Self {
        // SAFETY: token.
        Self(unsafe {
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(self.0), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))
        })
    }

    #[inline(always)]
    fn sqrt(self, _: Avx512) -> Self {
        // SAFETY: token.
        Self(unsafe { _mm512_sqrt_ps(self.0) })
    }
}
