//! Dropout, whose mask is computed twice and stored never.

use super::{Pixels, pixel, run};
use crate::exec::Exec;
use crate::geometry::Write;
use crate::isa::{Isa, Vector};
use crate::layout::{Dims, LANES};
use crate::pass::Place;
use crate::source::Source;

/// `out = x·mask / keep`, where the mask keeps an element with probability `keep` (in `(0, 1]`).
///
/// The mask is a function of `seed` and the element's position (channel block, image, pixel, lane)
/// alone; [`dropout_grad`] with the same seed finds the same mask.
///
/// # Panics
/// If a slice is shorter than `dims` asks.
pub fn dropout(exec: Exec<'_>, dims: &Dims, x: Source<'_>, keep: f32, seed: u64, out: &mut [f32]) {
    assert!(x.z.len() >= dims.len());
    run(exec, dims, Masked { x, mask: Mask::new(keep, seed) }, out, Write::Set);
}

/// The gradient of dropout's input from that of its output: sets `dx` or adds to it.
///
/// # Panics
/// If a slice is shorter than `dims` asks.
pub fn dropout_grad(exec: Exec<'_>, dims: &Dims, g: &[f32], keep: f32, seed: u64, dx: &mut [f32], write: Write) {
    assert!(g.len() >= dims.len());
    run(exec, dims, Masked { x: Source::plain(g), mask: Mask::new(keep, seed) }, dx, write);
}

#[derive(Clone, Copy)]
struct Mask {
    seed: u64,
    /// An element is kept where its hash is below.
    bound: u64,
    factor: f32,
}

impl Mask {
    fn new(keep: f32, seed: u64) -> Self {
        // 2^32: the hash's upper half is compared.
        let bound = (f64::from(keep) * 4_294_967_296.0) as u64;
        Self { seed, bound, factor: 1.0 / keep }
    }

    /// The factors of the sixteen elements from position `at` on.
    #[inline(always)]
    fn factors(&self, at: usize) -> [f32; LANES] {
        let mut factors = [0.0; LANES];
        for (lane, factor) in factors.iter_mut().enumerate() {
            if mix(self.seed ^ mix((at + lane) as u64)) >> 32 < self.bound {
                *factor = self.factor;
            }
        }
        factors
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
#[inline(always)]
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[derive(Clone, Copy)]
struct Masked<'a> {
    x: Source<'a>,
    mask: Mask,
}

impl Pixels for Masked<'_> {
    #[inline(always)]
    fn each<I: Isa>(&self, isa: I, place: Place, mut put: impl FnMut(usize, I::Block)) {
        let z = &self.x.z[place.at..][..place.rows * LANES];
        let transform = self.x.transform(isa, place.block);
        for row in 0..place.rows {
            let factors = self.mask.factors(place.at + row * LANES);
            // SAFETY: a row of the chunk, and sixteen floats.
            let (z, factors) = unsafe { (pixel(isa, z, row), I::Block::load(isa, factors.as_ptr())) };
            put(row, transform.apply(isa, z).mul(isa, factors));
        }
    }
}
