//! Layer norm over the channels of each pixel: Ba et al. 2016, arXiv:1607.06450, equation 4.

use crate::exec::{Exec, Shared, per_worker};
use crate::geometry::Write;
use crate::isa::{Isa, Kernel, Vector, lanes as channels};
use crate::lanes::{self, load, real, store, total, where_real};
use crate::layout::{Dims, LANES};
use crate::source::{GradSource, Source};

/// `γ·(x − μ)/√(σ² + ε) + β` of a source's value, with mean and (biased) variance over the channels of the
/// pixel. `gamma` and `beta` are padded to whole blocks. The lanes past `dims.c` become zero.
///
/// # Panics
/// If a slice is shorter than its role asks.
pub fn forward(
    exec: Exec<'_>,
    dims: &Dims,
    x: Source<'_>,
    gamma: Option<&[f32]>,
    beta: Option<&[f32]>,
    eps: f32,
    out: &mut [f32],
) {
    assert!(x.z.len() >= dims.len() && out.len() >= dims.len());
    let out = Shared::new(out);
    exec.pool.run(lanes::items(dims), &|item, _| {
        exec.level.dispatch(Forward { dims, x: &x, gamma, beta, eps, out, item });
    });
}

/// Floats of the partial sums of `dγ` and `dβ`.
fn partial_len(dims: &Dims) -> usize {
    lanes::items(dims) * 2 * dims.blocks() * LANES
}

/// Floats of scratch that [`backward`] needs on `threads` workers.
pub fn backward_scratch(dims: &Dims, threads: usize) -> usize {
    partial_len(dims) + per_worker(2 * dims.blocks() * LANES, threads)
}

/// Gradients that [`backward`] is to compute.
pub struct Gradients<'a> {
    /// Of the source's value.
    pub dx: Option<(&'a mut [f32], Write)>,
    /// Of γ, a float per channel, which is set.
    pub dgamma: Option<&'a mut [f32]>,
    /// Of β, a float per channel, which is set.
    pub dbeta: Option<&'a mut [f32]>,
}

/// Gradients of the source's value and of the norm's parameters, from the gradient `dz` of the result.
///
/// # Panics
/// If a slice is shorter than its role asks.
pub fn backward(
    exec: Exec<'_>,
    dims: &Dims,
    dz: GradSource<'_>,
    x: Source<'_>,
    gamma: Option<&[f32]>,
    eps: f32,
    gradients: Gradients<'_>,
    scratch: &mut [f32],
) {
    let Gradients { dx, dgamma, dbeta } = gradients;
    assert!(dz.g.len() >= dims.len() && dz.source.z.len() >= dims.len() && x.z.len() >= dims.len());
    assert!(dx.as_ref().is_none_or(|(dx, _)| dx.len() >= dims.len()));
    assert!(scratch.len() >= backward_scratch(dims, exec.pool.threads()));
    let width = dims.blocks() * LANES;
    let (partial, values) = scratch.split_at_mut(partial_len(dims));
    let (shared, values, dx) =
        (Shared::new(partial), Shared::new(values), dx.map(|(dx, write)| (Shared::new(dx), write)));
    exec.pool.run(lanes::items(dims), &|item, worker| {
        // SAFETY: an item's sums; the scratch is this worker's.
        let (sums, values) = unsafe { (shared.slice(item * 2 * width, 2 * width), values.part(worker, 2 * width)) };
        exec.level.dispatch(Backward { dims, dz: &dz, x: &x, gamma, eps, dx, sums, values, item });
    });
    for (which, gradient) in [dgamma, dbeta].into_iter().enumerate() {
        let Some(gradient) = gradient else { continue };
        for (c, gradient) in gradient[..dims.c].iter_mut().enumerate() {
            let items = partial.chunks_exact(2 * width);
            *gradient = items.map(|sums| f64::from(sums[which * width + c])).sum::<f64>() as f32;
        }
    }
}

struct Forward<'a> {
    dims: &'a Dims,
    x: &'a Source<'a>,
    gamma: Option<&'a [f32]>,
    beta: Option<&'a [f32]>,
    eps: f32,
    out: Shared<'a>,
    item: usize,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { dims, x, gamma, beta, eps, out, item } = self;
        for row in lanes::rows(dims, item) {
            let to = |block: usize| out.at(block * dims.plane() + row * LANES, LANES);
            let inv_std = normalise(isa, dims, x, row, eps, to);
            for block in 0..dims.blocks() {
                // SAFETY: sixteen floats of a row of this item.
                let mut value = unsafe { I::Block::load(isa, to(block)) }.mul(isa, I::Block::splat(isa, inv_std));
                if let Some(gamma) = gamma {
                    value = value.mul(isa, channels(isa, gamma, block));
                }
                if let Some(beta) = beta {
                    value = value.add(isa, channels(isa, beta, block));
                }
                let value = where_real(isa, real(isa, dims, block), value, 0.0);
                // SAFETY: as above.
                unsafe { value.store(isa, to(block)) };
            }
        }
    }
}

/// Writes the values of a row less their mean, sixteen at a time to `to`, and zeros past the last
/// channel; returns 1/√(σ² + ε).
#[inline(always)]
fn normalise<I: Isa>(isa: I, dims: &Dims, x: &Source<'_>, row: usize, eps: f32, to: impl Fn(usize) -> *mut f32) -> f32 {
    let zero = I::Block::splat(isa, 0.0);
    let mut sum = zero;
    for block in 0..dims.blocks() {
        let z = load(isa, x.z, block * dims.plane() + row * LANES);
        let value = x.transform(isa, block).apply(isa, z);
        let value = where_real(isa, real(isa, dims, block), value, 0.0);
        sum = sum.add(isa, value);
        // SAFETY: `to` gives sixteen floats for each block, here and below.
        unsafe { value.store(isa, to(block)) };
    }
    let mean = I::Block::splat(isa, (total(isa, sum) / dims.c as f64) as f32);
    let mut squares = zero;
    for block in 0..dims.blocks() {
        // SAFETY: as above.
        let value = unsafe { I::Block::load(isa, to(block)) }.sub(isa, mean);
        let value = where_real(isa, real(isa, dims, block), value, 0.0);
        squares = value.mul_add(isa, value, squares);
        // SAFETY: as above.
        unsafe { value.store(isa, to(block)) };
    }
    (1.0 / (total(isa, squares) / dims.c as f64 + f64::from(eps)).sqrt()) as f32
}

struct Backward<'a> {
    dims: &'a Dims,
    dz: &'a GradSource<'a>,
    x: &'a Source<'a>,
    gamma: Option<&'a [f32]>,
    eps: f32,
    dx: Option<(Shared<'a>, Write)>,
    /// Sums over the item's rows of dz·x̂ and dz.
    sums: &'a mut [f32],
    /// x̂ and γ·dz of one row.
    values: &'a mut [f32],
    item: usize,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { dims, dz, x, gamma, eps, dx, sums, values, item } = self;
        sums.fill(0.0);
        let width = dims.blocks() * LANES;
        let (unit, scaled) = values.split_at_mut(width);
        let (dgamma, dbeta) = sums.split_at_mut(width);
        for row in lanes::rows(dims, item) {
            let start = unit.as_mut_ptr();
            let inv_std = normalise(
                isa,
                dims,
                x,
                row,
                eps,
                #[inline(always)]
                // SAFETY: a block of a row of that many.
                |block| unsafe { start.add(block * LANES) },
            );
            let inv_std = I::Block::splat(isa, inv_std);
            let [mut mean, mut slope] = [I::Block::splat(isa, 0.0); 2];
            for block in 0..dims.blocks() {
                let (at, lane) = (block * dims.plane() + row * LANES, block * LANES);
                let (g, z) = (load(isa, dz.g, at), load(isa, dz.source.z, at));
                let g = dz.transform(isa, block).apply(isa, g, z);
                let g = where_real(isa, real(isa, dims, block), g, 0.0);
                let x = load(isa, unit, lane).mul(isa, inv_std);
                store(isa, x, unit, lane);
                store(isa, g.mul_add(isa, x, load(isa, dgamma, lane)), dgamma, lane);
                store(isa, g.add(isa, load(isa, dbeta, lane)), dbeta, lane);
                let g = match gamma {
                    Some(gamma) => g.mul(isa, channels(isa, gamma, block)),
                    None => g,
                };
                store(isa, g, scaled, lane);
                mean = mean.add(isa, g);
                slope = g.mul_add(isa, x, slope);
            }
            let Some((dx, write)) = dx else { continue };
            let share = 1.0 / dims.c as f64;
            let mean = I::Block::splat(isa, (total(isa, mean) * share) as f32);
            let slope = I::Block::splat(isa, (total(isa, slope) * share) as f32);
            for block in 0..dims.blocks() {
                let (off, x) = (load(isa, scaled, block * LANES).sub(isa, mean), load(isa, unit, block * LANES));
                let value = off.sub(isa, x.mul(isa, slope)).mul(isa, inv_std);
                let value = where_real(isa, real(isa, dims, block), value, 0.0);
                let to = dx.at(block * dims.plane() + row * LANES, LANES);
                // SAFETY: sixteen floats of a row of this item.
                unsafe { lanes::write(isa, value, to, write) };
            }
        }
    }
}

#[cfg(test)]
mod tests;
