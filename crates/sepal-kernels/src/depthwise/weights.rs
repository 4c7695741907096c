//! The gradient of the weights: for each tap, the sum over pixels of `dz` times what the tap read.

use super::grad_chunks;
use super::rows::Rows;
use crate::exec::{Exec, Shared};
use crate::geometry::Conv;
use crate::isa::{Isa, Kernel, Vector, prefetch};
use crate::layout::LANES;
use std::ops::Range;

/// Floats of the partial sums of a channel block of a chunk: the taps, then the bias.
fn chunk_len(conv: &Conv) -> usize {
    (conv.taps() + 1) * LANES
}

/// Floats of the partial sums of all chunks.
pub(super) fn partial_len(conv: &Conv) -> usize {
    conv.output.blocks() * grad_chunks(conv) * chunk_len(conv)
}

/// Where the partial sums of a chunk lie, counted block by block.
pub(super) fn partial_of(conv: &Conv, index: usize) -> Range<usize> {
    index * chunk_len(conv)..(index + 1) * chunk_len(conv)
}

/// Rows of a plane that a call adds to the sums.
pub(super) struct Rowset<'a> {
    pub(super) conv: &'a Conv,
    pub(super) dz: &'a Rows,
    pub(super) x: &'a Rows,
    /// A row of zeros as wide as `x` with its borders, at column 0: what taps outside the picture read.
    pub(super) zeros: *const f32,
    /// Rows of `dz`.
    pub(super) rows: Range<usize>,
    /// Two pictures to prefetch, pixel by pixel as `dz` is read.
    pub(super) ahead: [*const f32; 2],
}

impl Rowset<'_> {
    /// Adds these rows' sums to `partial`, sixteen floats per tap.
    ///
    /// # Safety
    /// The rows, and those of `x` that they read, are there.
    #[inline(always)]
    pub(super) unsafe fn add_taps<I: Isa>(&self, isa: I, partial: &mut [f32]) {
        let [kh, kw] = self.conv.kernel;
        assert!(partial.len() >= kh * kw * LANES);
        // SAFETY: `partial` is long enough; rows by the caller's promise.
        unsafe {
            match (self.conv.kernel, self.conv.dilation[1], self.conv.stride[1]) {
                ([3, 3], 1, 1) => self.square::<I, 1>(isa, partial.as_mut_ptr()),
                ([3, 3], 1, 2) => self.square::<I, 2>(isa, partial.as_mut_ptr()),
                _ => {
                    for ky in 0..kh {
                        let mut kx = 0;
                        while kx < kw {
                            let to = partial.as_mut_ptr().add((ky * kw + kx) * LANES);
                            kx += match kw - kx {
                                1 => self.run::<I, 1>(isa, ky, kx, to),
                                2 => self.run::<I, 2>(isa, ky, kx, to),
                                3 | 6 => self.run::<I, 3>(isa, ky, kx, to),
                                5 => self.run::<I, 5>(isa, ky, kx, to),
                                _ => self.run::<I, 4>(isa, ky, kx, to),
                            };
                        }
                    }
                }
            }
        }
    }

    /// Row of `x` that row `ky` of the filter reads for row `y` of `dz`; zeros where there is none.
    #[inline(always)]
    fn input_row(&self, y: usize, ky: usize) -> *const f32 {
        let row = (y * self.conv.stride[0] + ky * self.conv.dilation[0]).wrapping_sub(self.conv.padding[0]);
        if row < self.x.height { self.x.at(row) } else { self.zeros }
    }

    /// Taps `kx..kx + N` of filter row `ky`, added to `to`. Returns `N`.
    ///
    /// # Safety
    /// As [`Rowset::add_taps`]; `to` holds `N` taps.
    #[inline(always)]
    unsafe fn run<I: Isa, const N: usize>(&self, isa: I, ky: usize, kx: usize, to: *mut f32) -> usize {
        let (stride, dilation) = (self.conv.stride[1], self.conv.dilation[1]);
        let mut lane = 0;
        while lane < LANES {
            let mut sums = [I::Reg::splat(isa, 0.0); N];
            // SAFETY: rows by the caller's promise; their borders hold what taps read outside.
            unsafe {
                for y in self.rows.clone() {
                    let dz = self.dz.at(y).add(lane);
                    let offset = ((kx * dilation) as isize - self.conv.padding[1] as isize) * LANES as isize;
                    let x = self.input_row(y, ky).offset(offset).add(lane);
                    for column in 0..self.dz.width {
                        let d = I::Reg::load(isa, dz.add(column * LANES));
                        let x = x.add(column * stride * LANES);
                        for (tap, sum) in sums.iter_mut().enumerate() {
                            *sum = I::Reg::load(isa, x.add(tap * dilation * LANES)).mul_add(isa, d, *sum);
                        }
                    }
                }
                for (tap, sum) in sums.into_iter().enumerate() {
                    let to = to.add(tap * LANES + lane);
                    I::Reg::load(isa, to).add(isa, sum).store(isa, to);
                }
            }
            lane += I::Reg::WIDTH;
        }
        N
    }

    /// All nine taps of a 3×3 filter, added to `to`.
    ///
    /// # Safety
    /// As [`Rowset::add_taps`]; `to` holds nine taps.
    #[inline(always)]
    unsafe fn square<I: Isa, const STRIDE: usize>(&self, isa: I, to: *mut f32) {
        let mut lane = 0;
        while lane < LANES {
            let mut ahead = self.ahead;
            let mut sums = [[I::Reg::splat(isa, 0.0); 3]; 3];
            // SAFETY: rows by the caller's promise; their borders hold what taps read outside.
            unsafe {
                for y in self.rows.clone() {
                    let dz = self.dz.at(y).add(lane);
                    let offset = -(self.conv.padding[1] as isize) * LANES as isize;
                    let mut x = [dz.cast_const(); 3];
                    for (ky, x) in x.iter_mut().enumerate() {
                        *x = self.input_row(y, ky).offset(offset).add(lane);
                    }
                    let fetch = lane == 0;
                    let mut column = 0;
                    while column + 4 <= self.dz.width {
                        self.fetch::<4>(fetch, &mut ahead);
                        tile::<I, STRIDE, 4>(isa, dz, x, column, &mut sums);
                        column += 4;
                    }
                    while column < self.dz.width {
                        self.fetch::<1>(fetch, &mut ahead);
                        tile::<I, STRIDE, 1>(isa, dz, x, column, &mut sums);
                        column += 1;
                    }
                }
                for (tap, sum) in sums.as_flattened().iter().enumerate() {
                    let to = to.add(tap * LANES + lane);
                    I::Reg::load(isa, to).add(isa, *sum).store(isa, to);
                }
            }
            lane += I::Reg::WIDTH;
        }
    }

    /// Prefetches the next `N` pixels ahead.
    #[inline(always)]
    fn fetch<const N: usize>(&self, wanted: bool, ahead: &mut [*const f32; 2]) {
        if wanted {
            for next in ahead {
                for pixel in 0..N {
                    prefetch(next.wrapping_add(pixel * LANES));
                }
                *next = next.wrapping_add(N * LANES);
            }
        }
    }

    /// Adds the sum of these rows of `dz` to the sixteen floats of `to`.
    ///
    /// # Safety
    /// The rows are there.
    #[inline(always)]
    pub(super) unsafe fn add_bias<I: Isa>(&self, isa: I, to: &mut [f32]) {
        assert!(to.len() >= LANES);
        // SAFETY: by the caller's promise.
        unsafe {
            let mut sums = [I::Block::splat(isa, 0.0); 2];
            for y in self.rows.clone() {
                let dz = self.dz.at(y);
                for column in 0..self.dz.width {
                    let value = I::Block::load(isa, dz.add(column * LANES));
                    sums[column % 2] = sums[column % 2].add(isa, value);
                }
            }
            let sum = sums[0].add(isa, sums[1]);
            I::Block::load(isa, to.as_ptr()).add(isa, sum).store(isa, to.as_mut_ptr());
        }
    }
}

/// Adds `T` columns to the sums of a 3×3 filter.
///
/// # Safety
/// The columns of `dz`, and those of the three rows `x` that they read, are there.
#[inline(always)]
unsafe fn tile<I: Isa, const STRIDE: usize, const T: usize>(
    isa: I,
    dz: *const f32,
    x: [*const f32; 3],
    column: usize,
    sums: &mut [[I::Reg; 3]; 3],
) {
    // SAFETY: by the caller's promise.
    unsafe {
        let mut d = [I::Reg::splat(isa, 0.0); T];
        for (t, d) in d.iter_mut().enumerate() {
            *d = I::Reg::load(isa, dz.add((column + t) * LANES));
        }
        for ky in 0..3 {
            let from = x[ky].add(column * STRIDE * LANES);
            for at in 0..(T - 1) * STRIDE + 3 {
                let value = I::Reg::load(isa, from.add(at * LANES));
                for kx in 0..3 {
                    if at >= kx && (at - kx) % STRIDE == 0 && (at - kx) / STRIDE < T {
                        sums[ky][kx] = value.mul_add(isa, d[(at - kx) / STRIDE], sums[ky][kx]);
                    }
                }
            }
        }
    }
}

/// Adds the chunks' partial sums in order and puts them into place.
pub(super) fn reduce(exec: Exec<'_>, conv: &Conv, partial: &[f32], dw: Option<&mut [f32]>, dbias: Option<&mut [f32]>) {
    if dw.is_none() && dbias.is_none() {
        return;
    }
    let (dw, dbias) = (dw.map(Shared::new), dbias.map(Shared::new));
    exec.pool.run(conv.output.blocks(), &|block, _| {
        exec.level.dispatch(Reduce { conv, partial, dw, dbias, block });
    });
}

struct Reduce<'a> {
    conv: &'a Conv,
    partial: &'a [f32],
    dw: Option<Shared<'a>>,
    dbias: Option<Shared<'a>>,
    block: usize,
}

impl Kernel for Reduce<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let (taps, chunks) = (self.conv.taps(), grad_chunks(self.conv));
        let channels = (self.conv.output.c - self.block * LANES).min(LANES);
        for tap in 0..=taps {
            let mut sum = I::Block::splat(isa, 0.0);
            for chunk in 0..chunks {
                let sums = &self.partial[partial_of(self.conv, self.block * chunks + chunk)];
                let line = &sums[tap * LANES..][..LANES];
                // SAFETY: sixteen floats.
                sum = sum.add(isa, unsafe { I::Block::load(isa, line.as_ptr()) });
            }
            let mut line = [0.0; LANES];
            // SAFETY: sixteen floats.
            unsafe { sum.store(isa, line.as_mut_ptr()) }
            if let (Some(dw), true) = (self.dw, tap < taps) {
                // SAFETY: an item is a block, and these are its channels.
                let dw = unsafe { dw.slice(self.block * LANES * taps, channels * taps) };
                for (cell, value) in dw[tap..].iter_mut().step_by(taps).zip(line) {
                    *cell = value;
                }
            } else if let (Some(dbias), true) = (self.dbias, tap == taps) {
                // SAFETY: as above.
                let dbias = unsafe { dbias.slice(self.block * LANES, LANES) };
                dbias.fill(0.0);
                dbias[..channels].copy_from_slice(&line[..channels]);
            }
        }
    }
}
