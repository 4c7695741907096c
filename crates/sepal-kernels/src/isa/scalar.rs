//! Plain Rust: the reference of every other instruction set, and what runs where there is none.

use super::{Isa, Kernel, Vector};

/// Always available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scalar;

impl Isa for Scalar {
    type Reg = Lanes<4>;
    type Block = Lanes<16>;
    const TILE_ROWS: usize = 2;

    #[cold]
    #[inline(never)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
}

/// An array of floats that acts as a vector.
#[derive(Clone, Copy)]
pub(crate) struct Lanes<const N: usize>([f32; N]);

impl<const N: usize> Lanes<N> {
    #[inline(always)]
    fn zip(self, other: Self, op: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| op(self.0[lane], other.0[lane])))
    }

    #[inline(always)]
    fn map(self, op: impl Fn(f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| op(self.0[lane])))
    }
}

impl<const N: usize> Vector<Scalar> for Lanes<N> {
    const WIDTH: usize = N;

    #[inline(always)]
    fn splat(_: Scalar, value: f32) -> Self {
        Self([value; N])
    }

    #[inline(always)]
    unsafe fn load(_: Scalar, from: *const f32) -> Self {
        // SAFETY: valid for reading, by the caller's promise.
        Self(unsafe { from.cast::<[f32; N]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, _: Scalar, to: *mut f32) {
        // SAFETY: valid for writing, by the caller's promise.
        unsafe { to.cast::<[f32; N]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn stream(self, isa: Scalar, to: *mut f32) {
        // SAFETY: the same promise.
        unsafe { self.store(isa, to) }
    }

    #[inline(always)]
    fn add(self, _: Scalar, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, _: Scalar, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, _: Scalar, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, _: Scalar, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    #[inline(always)]
    fn mul_add(self, isa: Scalar, factor: Self, addend: Self) -> Self {
        // Not `f32::mul_add`: without the instruction it is a library call a hundred times slower.
        self.mul(isa, factor).add(isa, addend)
    }

    #[inline(always)]
    fn min(self, _: Scalar, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn max(self, _: Scalar, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn where_gt(self, _: Scalar, bound: Self, yes: Self, no: Self) -> Self {
        Self(std::array::from_fn(|lane| if self.0[lane] > bound.0[lane] { yes.0[lane] } else { no.0[lane] }))
    }

    #[inline(always)]
    fn round(self, _: Scalar) -> Self {
        self.map(f32::round_ties_even)
    }

    #[inline(always)]
    fn exp2_int(self, _: Scalar) -> Self {
        self.map(|x| f32::from_bits(((x as i32 + 127) as u32) << 23))
    }

    #[inline(always)]
    fn sqrt(self, _: Scalar) -> Self {
        self.map(f32::sqrt)
    }
}
