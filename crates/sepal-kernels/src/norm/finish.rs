//! From sums per chunk to numbers per channel, in `f64`.

use super::chunk::PARTS;
use crate::layout::{Dims, LANES};

/// Parameters of a batch norm.
///
/// The vectors have a float per channel; more (padding) is ignored.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a> {
    /// Factor per channel; ones if absent.
    pub gamma: Option<&'a [f32]>,
    /// Addend per channel; zeros if absent.
    pub beta: Option<&'a [f32]>,
    /// Added to the variance under the root.
    pub eps: f32,
    /// Share of the batch in the running statistics (PyTorch's default is .1).
    pub momentum: f32,
}

/// What a norm amounts to, per channel and padded to whole blocks.
pub struct Saved<'a> {
    /// Mean of the batch, or the running one.
    pub mean: &'a mut [f32],
    /// `1 / sqrt(variance + eps)`, the variance biased.
    pub inv_std: &'a mut [f32],
    /// `gamma·inv_std`; zero in lanes past the last channel.
    pub scale: &'a mut [f32],
    /// `beta − mean·scale`; zero in lanes past the last channel.
    pub shift: &'a mut [f32],
}

/// Merges the chunks of a batch's statistics, in chunk order, and updates the running statistics.
///
/// `stats` is laid out as [`super::stats_len`] says. `running` is the running mean and variance, a
/// float per channel; the variance that enters it is the unbiased one (of a batch with a single row,
/// the biased one).
///
/// # Panics
/// If a slice is shorter than its role asks.
pub fn finish(
    dims: &Dims,
    stat_rows: usize,
    stats: &[f32],
    params: Params<'_>,
    running: Option<(&mut [f32], &mut [f32])>,
    saved: Saved<'_>,
) {
    let rows = dims.rows();
    let mut running = running.map(|(mean, var)| (&mut mean[..dims.c], &mut var[..dims.c]));
    let Saved { mean, inv_std, scale, shift } = saved;
    clear_padding(dims, [&mut *mean, &mut *inv_std, &mut *scale, &mut *shift]);
    for block in 0..dims.blocks() {
        let (sums, squares) = merge(dims, stat_rows, stats, block);
        for (lane, (sum, square)) in sums.into_iter().zip(squares).enumerate() {
            let c = block * LANES + lane;
            if c >= dims.c {
                break;
            }
            let off = sum / rows as f64;
            let squares = (square - sum * off).max(0.0);
            let (center, variance) = (f64::from(stats[c]) + off, squares / rows as f64);
            if let Some((running_mean, running_var)) = &mut running {
                let momentum = f64::from(params.momentum);
                let unbiased = squares / (rows.max(2) - 1) as f64;
                let unbiased = if rows < 2 { variance } else { unbiased };
                lerp(&mut running_mean[c], center, momentum);
                lerp(&mut running_var[c], unbiased, momentum);
            }
            let inv = 1.0 / (variance + f64::from(params.eps)).sqrt();
            let (factor, addend) = affine(&params, c, center, inv);
            (mean[c], inv_std[c], scale[c], shift[c]) = (center as f32, inv as f32, factor, addend);
        }
    }
}

/// Sum and sum of squares of a channel block over all chunks, about the first chunk's origin.
///
/// The origins are values of the channel, so that in `f64` moving from one to the other loses nothing
/// that `f32` could show.
fn merge(dims: &Dims, stat_rows: usize, stats: &[f32], block: usize) -> ([f64; LANES], [f64; LANES]) {
    let channels = dims.blocks() * LANES;
    let first: &[f32] = &stats[block * LANES..][..LANES];
    let (mut sums, mut squares) = ([0.0; LANES], [0.0; LANES]);
    for (chunk, parts) in stats.chunks_exact(PARTS * channels).take(dims.rows().div_ceil(stat_rows)).enumerate() {
        let count = stat_rows.min(dims.rows() - chunk * stat_rows) as f64;
        let [origin, sum, square] = [0, 1, 2].map(|part| &parts[part * channels + block * LANES..][..LANES]);
        for lane in 0..LANES {
            let off = f64::from(origin[lane]) - f64::from(first[lane]);
            let sum = f64::from(sum[lane]);
            sums[lane] += sum + count * off;
            squares[lane] += f64::from(square[lane]) + off * (2.0 * sum + count * off);
        }
    }
    (sums, squares)
}

/// What a norm by running statistics amounts to: that of evaluation, and of a norm whose statistics stay in training. Its
/// gradient is that of an affine map, [`crate::GradSource`] without [`crate::NormGrad`].
///
/// # Panics
/// If a slice is shorter than its role asks.
pub fn eval(dims: &Dims, params: Params<'_>, running_mean: &[f32], running_var: &[f32], saved: Saved<'_>) {
    let Saved { mean, inv_std, scale, shift } = saved;
    clear_padding(dims, [&mut *mean, &mut *inv_std, &mut *scale, &mut *shift]);
    for c in 0..dims.c {
        let inv = 1.0 / (f64::from(running_var[c]) + f64::from(params.eps)).sqrt();
        let (factor, addend) = affine(&params, c, f64::from(running_mean[c]), inv);
        (mean[c], inv_std[c], scale[c], shift[c]) = (running_mean[c], inv as f32, factor, addend);
    }
}

/// From the sums of [`super::grad_sums`], or of [`super::GradSums`], to the gradients of gamma and beta (a float per channel)
/// and the three factors of [`crate::NormGrad`] (padded to whole blocks).
///
/// `partial` is as long as its chunks; `mean` and `inv_std` are those of [`Saved`].
///
/// # Panics
/// If a slice is shorter than its role asks.
pub fn grad_finish(
    dims: &Dims,
    partial: &[f32],
    mean: &[f32],
    inv_std: &[f32],
    gamma: Option<&[f32]>,
    dgamma: Option<&mut [f32]>,
    dbeta: Option<&mut [f32]>,
    k1: &mut [f32],
    k2: &mut [f32],
    k3: &mut [f32],
) {
    let channels = dims.blocks() * LANES;
    let rows = dims.rows() as f64;
    let (mut dgamma, mut dbeta) = (dgamma.map(|d| &mut d[..dims.c]), dbeta.map(|d| &mut d[..dims.c]));
    clear_padding(dims, [&mut *k1, &mut *k2, &mut *k3]);
    for c in 0..dims.c {
        let (mut plain, mut moment) = (0.0, 0.0);
        for parts in partial.chunks_exact(2 * channels) {
            plain += f64::from(parts[c]);
            moment += f64::from(parts[channels + c]);
        }
        let inv = f64::from(inv_std[c]);
        let gradient = moment * inv;
        if let Some(dgamma) = &mut dgamma {
            dgamma[c] = gradient as f32;
        }
        if let Some(dbeta) = &mut dbeta {
            dbeta[c] = plain as f32;
        }
        let factor = gamma.map_or(1.0, |gamma| f64::from(gamma[c])) * inv;
        let of_z = -factor * inv * gradient / rows;
        k1[c] = factor as f32;
        k2[c] = of_z as f32;
        k3[c] = (-factor * plain / rows - of_z * f64::from(mean[c])) as f32;
    }
}

fn affine(params: &Params<'_>, c: usize, mean: f64, inv_std: f64) -> (f32, f32) {
    let scale = params.gamma.map_or(1.0, |gamma| f64::from(gamma[c])) * inv_std;
    let shift = params.beta.map_or(0.0, |beta| f64::from(beta[c])) - mean * scale;
    (scale as f32, shift as f32)
}

fn lerp(running: &mut f32, batch: f64, momentum: f64) {
    let old = f64::from(*running);
    *running = (old + momentum * (batch - old)) as f32;
}

/// Sets the lanes past the last channel to zero.
fn clear_padding<const N: usize>(dims: &Dims, vectors: [&mut [f32]; N]) {
    for vector in vectors {
        vector[dims.c..dims.blocks() * LANES].fill(0.0);
    }
}
