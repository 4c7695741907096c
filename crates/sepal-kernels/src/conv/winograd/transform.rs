//! Minimal filtering in one dimension: F(m, 3) computes `m` outputs of a filter of three taps with `m + 2` products
//! (Lavin and Gray 2016, section 4.1).
//!
//! The inputs are the coefficients of a polynomial, the products its values times the filter's at points. With points
//! p, their polynomial is `M(x) = x·Π(x − p)`, and the input's transform at p has the coefficients of `M(x)/(x − p)`.

use crate::isa::{Isa, Vector};

/// F(`M`, 3) with `T = M + 2` products.
pub(super) trait Minimal<const M: usize, const T: usize>: Copy + Send + Sync + 'static {
    /// The finite points, of which there are `T − 1`; the last product is at infinity.
    const POINTS: &'static [f64];

    /// Inputs to factors.
    fn input<I: Isa>(isa: I, x: [I::Block; T]) -> [I::Block; T];

    /// Products to outputs.
    fn output<I: Isa>(isa: I, products: [I::Block; T]) -> [I::Block; M];

    /// What turns three taps into factors. Here the divisors belong that make the sum of products the convolution.
    fn filter() -> [[f64; 3]; T] {
        let mut rows = [[0.0, 0.0, 1.0]; T];
        for (at, (row, &point)) in rows.iter_mut().zip(Self::POINTS).enumerate() {
            let others = Self::POINTS.iter().enumerate().filter(|&(other, _)| other != at);
            let divisor: f64 = others.map(|(_, other)| point - other).product();
            *row = [1.0, point, point * point].map(|power| power / divisor);
        }
        rows
    }
}

/// F(2, 3), on the points 0, ±1.
#[derive(Clone, Copy)]
pub(super) struct Two;

impl Minimal<2, 4> for Two {
    const POINTS: &'static [f64] = &[0.0, 1.0, -1.0];

    #[inline(always)]
    fn input<I: Isa>(isa: I, x: [I::Block; 4]) -> [I::Block; 4] {
        [x[2].sub(isa, x[0]), x[2].add(isa, x[1]), x[2].sub(isa, x[1]), x[3].sub(isa, x[1])]
    }

    #[inline(always)]
    fn output<I: Isa>(isa: I, p: [I::Block; 4]) -> [I::Block; 2] {
        [p[0].add(isa, p[1].add(isa, p[2])), p[3].add(isa, p[1].sub(isa, p[2]))]
    }
}

/// F(4, 3), on the points 0, ±3/4, ±3/2.
///
/// Points so near to one another around 1 keep the powers small: the error is a quarter of that on the usual 0, ±1, ±2, and
/// all the coefficients are exact.
#[derive(Clone, Copy)]
pub(super) struct Four;

const A: f64 = 0.75;
const B: f64 = 1.5;

impl Minimal<4, 6> for Four {
    const POINTS: &'static [f64] = &[0.0, A, -A, B, -B];

    #[inline(always)]
    fn input<I: Isa>(isa: I, x: [I::Block; 6]) -> [I::Block; 6] {
        let s = |value: f64| I::Block::splat(isa, value as f32);
        let [a, b] = [s(A), s(B)];
        let [minus_a2, minus_b2] = [s(-A * A), s(-B * B)];
        let (sum, product) = (s(-(A * A + B * B)), s(A * A * B * B));
        // Of a point and its negative, the even powers and the odd ones.
        let even_a = x[2].mul_add(isa, minus_b2, x[4]);
        let odd_a = x[1].mul_add(isa, minus_b2, x[3]).mul(isa, a);
        let even_b = x[2].mul_add(isa, minus_a2, x[4]);
        let odd_b = x[1].mul_add(isa, minus_a2, x[3]).mul(isa, b);
        [
            x[0].mul_add(isa, product, x[2].mul_add(isa, sum, x[4])),
            even_a.add(isa, odd_a),
            even_a.sub(isa, odd_a),
            even_b.add(isa, odd_b),
            even_b.sub(isa, odd_b),
            x[1].mul_add(isa, product, x[3].mul_add(isa, sum, x[5])),
        ]
    }

    #[inline(always)]
    fn output<I: Isa>(isa: I, p: [I::Block; 6]) -> [I::Block; 4] {
        let s = |value: f64| I::Block::splat(isa, value as f32);
        let [even_a, odd_a] = [p[1].add(isa, p[2]), p[1].sub(isa, p[2])];
        let [even_b, odd_b] = [p[3].add(isa, p[4]), p[3].sub(isa, p[4])];
        [
            p[0].add(isa, even_a).add(isa, even_b),
            odd_a.mul_add(isa, s(A), odd_b.mul(isa, s(B))),
            even_a.mul_add(isa, s(A * A), even_b.mul(isa, s(B * B))),
            odd_a.mul_add(isa, s(A * A * A), odd_b.mul_add(isa, s(B * B * B), p[5])),
        ]
    }
}
