//! Arithmetic on two tensors of one size.

use super::{Pixels, pixel, run};
use crate::exec::Exec;
use crate::geometry::Write;
use crate::isa::{Isa, Vector};
use crate::lanes::{real, where_real};
use crate::layout::{Dims, LANES};
use crate::pass::Place;
use crate::source::{GradSource, Source};

/// What is computed of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `a + b`
    Add,
    /// `a - b`
    Subtract,
    /// `a·b`
    Multiply,
    /// `a / b`
    Divide,
}

/// One of the two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `a`
    First,
    /// `b`
    Second,
}

impl Binary {
    /// Whether gradients depend on the values.
    pub const fn rereads(self) -> bool {
        matches!(self, Self::Multiply | Self::Divide)
    }
}

/// `out = op(a, b)`, of the sources' values. The lanes past `dims.c` of quotients become zero.
///
/// # Panics
/// If a slice is shorter than `dims` asks.
pub fn binary(exec: Exec<'_>, dims: &Dims, op: Binary, a: Source<'_>, b: Source<'_>, out: &mut [f32]) {
    assert!(a.z.len() >= dims.len() && b.z.len() >= dims.len());
    run(exec, dims, Forward { dims, op, a, b }, out, Write::Set);
}

/// The gradient of one of [`binary`]'s values, from the gradient `dz` of its result: sets `dx` or adds to it.
/// Where the gradient does not depend on them (see [`Binary::rereads`]), `a` and `b` are not read.
///
/// # Panics
/// If a slice is shorter than its role asks.
pub fn binary_grad(
    exec: Exec<'_>,
    dims: &Dims,
    op: Binary,
    side: Side,
    dz: GradSource<'_>,
    a: Source<'_>,
    b: Source<'_>,
    dx: &mut [f32],
    write: Write,
) {
    assert!(dz.g.len() >= dims.len() && dz.source.z.len() >= dims.len());
    match (op, side) {
        (Binary::Add, _) | (Binary::Subtract, Side::First) => super::grad(exec, dims, dz, dx, write),
        (Binary::Subtract, Side::Second) => run(exec, dims, Negated(dz), dx, write),
        (Binary::Multiply, Side::First) => run(exec, dims, Factored { dims, dz, other: b, divide: false }, dx, write),
        (Binary::Multiply, Side::Second) => run(exec, dims, Factored { dims, dz, other: a, divide: false }, dx, write),
        (Binary::Divide, Side::First) => run(exec, dims, Factored { dims, dz, other: b, divide: true }, dx, write),
        (Binary::Divide, Side::Second) => run(exec, dims, Divisor { dims, dz, a, b }, dx, write),
    }
}

#[derive(Clone, Copy)]
struct Forward<'a> {
    dims: &'a Dims,
    op: Binary,
    a: Source<'a>,
    b: Source<'a>,
}

impl Pixels for Forward<'_> {
    #[inline(always)]
    fn each<I: Isa>(&self, isa: I, place: Place, mut put: impl FnMut(usize, I::Block)) {
        let [a, b] = [self.a.z, self.b.z].map(|z| &z[place.at..][..place.rows * LANES]);
        let (of_a, of_b) = (self.a.transform(isa, place.block), self.b.transform(isa, place.block));
        let real = real(isa, self.dims, place.block);
        for row in 0..place.rows {
            // SAFETY: a row of the chunk.
            let (a, b) = unsafe { (pixel(isa, a, row), pixel(isa, b, row)) };
            let (a, b) = (of_a.apply(isa, a), of_b.apply(isa, b));
            let value = match self.op {
                Binary::Add => a.add(isa, b),
                Binary::Subtract => a.sub(isa, b),
                Binary::Multiply => a.mul(isa, b),
                Binary::Divide => where_real(isa, real, a.div(isa, where_real(isa, real, b, 1.0)), 0.0),
            };
            put(row, value);
        }
    }
}

#[derive(Clone, Copy)]
struct Negated<'a>(GradSource<'a>);

impl Pixels for Negated<'_> {
    #[inline(always)]
    fn each<I: Isa>(&self, isa: I, place: Place, mut put: impl FnMut(usize, I::Block)) {
        let [g, z] = [self.0.g, self.0.source.z].map(|x| &x[place.at..][..place.rows * LANES]);
        let transform = self.0.transform(isa, place.block);
        let zero = I::Block::splat(isa, 0.0);
        for row in 0..place.rows {
            // SAFETY: a row of the chunk.
            let (g, z) = unsafe { (pixel(isa, g, row), pixel(isa, z, row)) };
            put(row, zero.sub(isa, transform.apply(isa, g, z)));
        }
    }
}

/// The gradient times the other value, or divided by it.
#[derive(Clone, Copy)]
struct Factored<'a> {
    dims: &'a Dims,
    dz: GradSource<'a>,
    other: Source<'a>,
    divide: bool,
}

impl Pixels for Factored<'_> {
    #[inline(always)]
    fn each<I: Isa>(&self, isa: I, place: Place, mut put: impl FnMut(usize, I::Block)) {
        let [g, z, other] = [self.dz.g, self.dz.source.z, self.other.z].map(|x| &x[place.at..][..place.rows * LANES]);
        let (transform, of_other) = (self.dz.transform(isa, place.block), self.other.transform(isa, place.block));
        let real = real(isa, self.dims, place.block);
        for row in 0..place.rows {
            // SAFETY: a row of the chunk.
            let (g, z, other) = unsafe { (pixel(isa, g, row), pixel(isa, z, row), pixel(isa, other, row)) };
            let (g, other) = (transform.apply(isa, g, z), of_other.apply(isa, other));
            let value = match self.divide {
                false => g.mul(isa, other),
                true => where_real(isa, real, g.div(isa, where_real(isa, real, other, 1.0)), 0.0),
            };
            put(row, value);
        }
    }
}

/// The gradient of a divisor, `-g·a / b²`.
#[derive(Clone, Copy)]
struct Divisor<'a> {
    dims: &'a Dims,
    dz: GradSource<'a>,
    a: Source<'a>,
    b: Source<'a>,
}

impl Pixels for Divisor<'_> {
    #[inline(always)]
    fn each<I: Isa>(&self, isa: I, place: Place, mut put: impl FnMut(usize, I::Block)) {
        let from = [self.dz.g, self.dz.source.z, self.a.z, self.b.z];
        let [g, z, a, b] = from.map(|x| &x[place.at..][..place.rows * LANES]);
        let transform = self.dz.transform(isa, place.block);
        let (of_a, of_b) = (self.a.transform(isa, place.block), self.b.transform(isa, place.block));
        let (real, zero) = (real(isa, self.dims, place.block), I::Block::splat(isa, 0.0));
        for row in 0..place.rows {
            // SAFETY: a row of the chunk.
            let (g, z) = unsafe { (pixel(isa, g, row), pixel(isa, z, row)) };
            // SAFETY: as above.
            let (a, b) = unsafe { (pixel(isa, a, row), pixel(isa, b, row)) };
            let (g, a) = (transform.apply(isa, g, z), of_a.apply(isa, a));
            let b = where_real(isa, real, of_b.apply(isa, b), 1.0);
            let value = zero.sub(isa, g.div(isa, b).mul(isa, a.div(isa, b)));
            put(row, where_real(isa, real, value, 0.0));
        }
    }
}
