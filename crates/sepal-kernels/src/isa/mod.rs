//! Instruction sets: the vectors kernels are written in, and the choice of one at run time.
//!
//! An [`Isa`] value is a token: it can only be had where the processor has the instructions, and
//! vectors can only be made from a token, so that arithmetic on vectors is safe.

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod neon;
mod pair;
mod scalar;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::OnceLock;

/// A fixed number of `f32` lanes of the instruction set `I`.
pub(crate) trait Vector<I: Isa>: Copy {
    /// Lanes.
    const WIDTH: usize;
    /// `value` in every lane.
    fn splat(isa: I, value: f32) -> Self;
    /// Reads `WIDTH` floats.
    ///
    /// # Safety
    /// `from` is valid for reading them; no alignment is asked.
    unsafe fn load(isa: I, from: *const f32) -> Self;
    /// Writes `WIDTH` floats.
    ///
    /// # Safety
    /// `to` is valid for writing them; no alignment is asked.
    unsafe fn store(self, isa: I, to: *mut f32);
    /// Writes `WIDTH` floats past the caches, for outputs too large to be found there later.
    ///
    /// # Safety
    /// As [`Vector::store`], and `to` is aligned to the size of the vector.
    unsafe fn stream(self, isa: I, to: *mut f32);
    /// `self + other`
    fn add(self, isa: I, other: Self) -> Self;
    /// `self - other`
    fn sub(self, isa: I, other: Self) -> Self;
    /// `self * other`
    fn mul(self, isa: I, other: Self) -> Self;
    /// `self / other`
    fn div(self, isa: I, other: Self) -> Self;
    /// `self * factor + addend`, rounded once where the instruction set can.
    fn mul_add(self, isa: I, factor: Self, addend: Self) -> Self;
    /// The lesser of each lane; `other` where `self` is not a number.
    fn min(self, isa: I, other: Self) -> Self;
    /// The greater of each lane; `other` where `self` is not a number.
    fn max(self, isa: I, other: Self) -> Self;
    /// `yes` where `self > bound`, else `no`.
    fn where_gt(self, isa: I, bound: Self, yes: Self, no: Self) -> Self;
    /// The nearest integer, ties to even.
    fn round(self, isa: I) -> Self;
    /// `2^self` for integers in -126..=127.
    fn exp2_int(self, isa: I) -> Self;
    /// The square root.
    fn sqrt(self, isa: I) -> Self;
}

/// An instruction set: its register, and the sixteen lanes of one channel block.
pub(crate) trait Isa: Copy + Send + Sync + 'static {
    /// One register.
    type Reg: Vector<Self>;
    /// Sixteen lanes.
    type Block: Vector<Self>;
    /// Rows of a matrix tile one block wide: its sums fill the registers that are left beside
    /// one row of weights and a broadcast value.
    const TILE_ROWS: usize;
    /// Runs `kernel` in a function of its own, which is called rather than written out.
    fn apart<K: Kernel>(self, kernel: K) -> K::Output;
}

/// Work that is compiled once for each instruction set.
///
/// `run` and all it calls must be `#[inline(always)]`, closures included, or the compiler leaves
/// that part without the instructions. What runs on another thread dispatches there anew.
pub(crate) trait Kernel {
    /// What it returns.
    type Output;
    /// Does it.
    fn run<I: Isa>(self, isa: I) -> Self::Output;
}

/// Makes streamed stores visible to whoever sees the stores that follow.
#[inline(always)]
pub(crate) fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has it.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

/// Asks for the cache line at `from` in the second-level cache. The address may be anything.
#[inline(always)]
pub(crate) fn prefetch(from: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing as far as the language can tell, and never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(from.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prfm pldl2keep, [{}]", in(reg) from, options(nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = from;
}

/// `e^x`, relative error below 2e-7 in [-87, 88]; beyond, the value at the end of that range.
#[inline(always)]
pub(crate) fn exp<I: Isa, V: Vector<I>>(isa: I, x: V) -> V {
    let s = |value: f32| V::splat(isa, value);
    let x = x.max(isa, s(-87.0)).min(isa, s(88.0));
    let n = x.mul(isa, s(std::f32::consts::LOG2_E)).round(isa);
    // ln 2 in two parts, so that n·ln 2 is subtracted without losing bits (Cody and Waite).
    let r = n.mul_add(isa, s(-0.693_359_4), x);
    let r = n.mul_add(isa, s(2.121_944_4e-4), r);
    // Taylor to the 7th power: |r| <= 0.35, so the rest is below one rounding.
    let mut p = s(1.0 / 5040.0);
    for term in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p.mul_add(isa, r, s(term));
    }
    p.mul(isa, n.exp2_int(isa))
}

/// The sixteen values of channel block `block` of a per-channel vector padded to whole blocks.
#[inline(always)]
pub(crate) fn lanes<I: Isa>(isa: I, channels: &[f32], block: usize) -> I::Block {
    let lanes = &channels[block * 16..][..16];
    // SAFETY: sixteen floats.
    unsafe { I::Block::load(isa, lanes.as_ptr()) }
}

/// An instruction set this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Scalar,
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    Neon,
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Simd128,
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512),
}

impl Level {
    /// Every instruction set of this processor that has kernels, the plainest first.
    pub fn available() -> Vec<Self> {
        let mut levels = vec![Self(Kind::Scalar)];
        #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
        levels.push(Self(Kind::Neon));
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        levels.push(Self(Kind::Simd128));
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(x86::Avx2::detect().map(|isa| Self(Kind::Avx2(isa))));
            levels.extend(x86::Avx512::detect().map(|isa| Self(Kind::Avx512(isa))));
        }
        levels
    }

    /// The level of this name: `scalar`, `avx2`, `avx512`, `neon`, `simd128`; `None` where the processor lacks it.
    pub fn named(name: &str) -> Option<Self> {
        Self::available().into_iter().find(|level| level.name() == name)
    }

    /// The fastest level, or the one the environment variable `SEPAL_ISA` names if this processor has it.
    ///
    /// A name of something it lacks changes nothing here, where nobody can be told: a program that wants to refuse it
    /// asks [`Level::named`] first.
    pub fn best() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| {
            let fastest = Self::available().pop().unwrap_or(Self(Kind::Scalar));
            std::env::var("SEPAL_ISA").ok().and_then(|name| Self::named(&name)).unwrap_or(fastest)
        })
    }

    /// Its name, as `SEPAL_ISA` takes it.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Scalar => "scalar",
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Kind::Neon => "neon",
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Kind::Simd128 => "simd128",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(_) => "avx512",
        }
    }

    /// Runs `kernel` compiled for this level.
    #[inline]
    pub(crate) fn dispatch<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Kind::Scalar => kernel.run(scalar::Scalar),
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Kind::Neon => kernel.run(neon::Neon),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Kind::Simd128 => kernel.run(wasm::Simd128),
            // SAFETY: the token exists only where the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(isa) => unsafe { x86::run_avx2(isa, kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(isa) => unsafe { x86::run_avx512(isa, kernel) },
        }
    }
}

#[cfg(test)]
mod tests;
