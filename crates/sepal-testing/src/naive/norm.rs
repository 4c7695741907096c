//! Norms, softmax, means.

use super::tensor::{along, at, build};

/// Mean and variance of each channel over batch and pixels.
pub(super) struct Statistics {
    pub(super) mean: Vec<f64>,
    /// Divided by the count: what the batch is normalised with.
    pub(super) biased_var: Vec<f64>,
    /// Divided by the count less one: what the running variance moves to.
    pub(super) unbiased_var: Vec<f64>,
}

pub(super) fn batch_statistics(x: &[f64], batch: usize, channels: usize) -> Statistics {
    let area = x.len() / batch / channels;
    let count = batch * area;
    assert!(count > 1, "batch norm cannot be trained on a single value per channel");
    let mut stats = Statistics { mean: vec![], biased_var: vec![], unbiased_var: vec![] };
    for c in 0..channels {
        let values = || (0..batch).flat_map(move |n| &x[(n * channels + c) * area..][..area]);
        let mean = values().sum::<f64>() / count as f64;
        let squares: f64 = values().map(|v| (v - mean) * (v - mean)).sum();
        stats.mean.push(mean);
        stats.biased_var.push(squares / count as f64);
        stats.unbiased_var.push(squares / (count - 1) as f64);
    }
    stats
}

pub(super) fn normalise(
    x: &[f64],
    batch: usize,
    mean: &[f64],
    var: &[f64],
    eps: f64,
    scale: Option<&[f64]>,
    shift: Option<&[f64]>,
) -> Vec<f64> {
    let channels = mean.len();
    let area = x.len() / batch / channels;
    let at = |(i, v): (usize, &f64)| {
        let c = i / area % channels;
        let unit = (v - mean[c]) / (var[c] + eps).sqrt();
        unit * scale.map_or(1.0, |s| s[c]) + shift.map_or(0.0, |s| s[c])
    };
    x.iter().enumerate().map(at).collect()
}

/// Each row of `size` values on its own.
pub(super) fn layer_norm(x: &[f64], size: usize, eps: f64, scale: Option<&[f64]>, shift: Option<&[f64]>) -> Vec<f64> {
    let row = |row: &[f64]| {
        let mean = row.iter().sum::<f64>() / size as f64;
        let var = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / size as f64;
        normalise(row, 1, &vec![mean; size], &vec![var; size], eps, scale, shift)
    };
    x.chunks(size).flat_map(row).collect()
}

/// Along dimension `axis`, counted with the batch.
pub(super) fn softmax(x: &[f64], dims: &[usize], axis: usize) -> Vec<f64> {
    build(dims, |index| {
        let max = along(x, dims, index, axis).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = along(x, dims, index, axis).map(|v| (v - max).exp()).sum();
        (at(x, dims, index) - max).exp() / sum
    })
}

/// Over dimension `axis`, counted with the batch, which stays with size 1.
pub(super) fn mean(x: &[f64], dims: &mut [usize], axis: usize) -> Vec<f64> {
    let mut reduced = dims.to_vec();
    reduced[axis] = 1;
    let y = build(&reduced, |index| along(x, dims, index, axis).sum::<f64>() / dims[axis] as f64);
    dims[axis] = 1;
    y
}
