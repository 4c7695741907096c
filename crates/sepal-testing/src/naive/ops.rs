//! The operators, each as its definition reads. Tensors are N, C, H, W.

use sepal_graph::{Activation, Conv2d};

/// Height, width and channels from a shape without batch.
fn chw(shape: &[usize]) -> [usize; 3] {
    shape.try_into().unwrap_or_else(|_| panic!("{shape:?} is no C×H×W"))
}

/// Number of positions of a window of which `covered` pixels lie apart, over `padded` pixels.
fn positions(padded: usize, covered: usize, stride: usize) -> usize {
    (padded - covered) / stride + 1
}

/// The pixel at `padded` of a padded row of `size` pixels; `None` inside the padding.
fn unpad(padded: usize, before: usize, size: usize) -> Option<usize> {
    padded.checked_sub(before).filter(|i| *i < size)
}

pub(super) fn conv2d(
    conv: &Conv2d,
    x: &[f64],
    shape: &[usize],
    batch: usize,
    weight: &[f64],
    bias: Option<&[f64]>,
) -> Vec<f64> {
    let [c_in, h, w] = chw(shape);
    let [kh, kw] = conv.kernel;
    let [sh, sw] = conv.stride;
    let [dh, dw] = conv.dilation;
    let [top, left, bottom, right] = conv.padding;
    let out_h = positions(h + top + bottom, dh * (kh - 1) + 1, sh);
    let out_w = positions(w + left + right, dw * (kw - 1) + 1, sw);
    let c_out = conv.out_channels;
    let (group_in, group_out) = (c_in / conv.groups, c_out / conv.groups);
    let mut y = Vec::with_capacity(batch * c_out * out_h * out_w);
    for n in 0..batch {
        for o in 0..c_out {
            let first_channel = o / group_out * group_in;
            for oy in 0..out_h {
                for ox in 0..out_w {
                    let mut sum = bias.map_or(0.0, |bias| bias[o]);
                    for i in 0..group_in {
                        for ky in 0..kh {
                            for kx in 0..kw {
                                let iy = unpad(oy * sh + ky * dh, top, h);
                                let ix = unpad(ox * sw + kx * dw, left, w);
                                if let (Some(iy), Some(ix)) = (iy, ix) {
                                    let c = first_channel + i;
                                    let v = x[((n * c_in + c) * h + iy) * w + ix];
                                    sum += v * weight[((o * group_in + i) * kh + ky) * kw + kx];
                                }
                            }
                        }
                    }
                    y.push(sum);
                }
            }
        }
    }
    y
}

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

pub(super) fn activation(act: Activation, x: &[f64], batch: usize, channels: usize, slope: Option<&[f64]>) -> Vec<f64> {
    let area = x.len() / batch / channels;
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let relu6 = |x: f64| x.clamp(0.0, 6.0);
    let at = |(i, &x): (usize, &f64)| match act {
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => relu6(x),
        Activation::Elu { alpha } if x <= 0.0 => f64::from(alpha) * x.exp_m1(),
        Activation::Prelu if x <= 0.0 => {
            let slope = slope.unwrap_or_else(|| panic!("a PReLU without its slopes"));
            slope[i / area % channels] * x
        }
        Activation::Elu { .. } | Activation::Prelu => x,
        Activation::Silu => x * sigmoid(x),
        Activation::HardSwish => x * relu6(x + 3.0) / 6.0,
        Activation::HardSigmoid => relu6(x + 3.0) / 6.0,
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => x.tanh(),
        Activation::LeakyRelu { slope } if x <= 0.0 => f64::from(slope) * x,
        Activation::LeakyRelu { .. } => x,
        Activation::Gelu => 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)),
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        }
        Activation::Mish => x * x.exp().ln_1p().tanh(),
        Activation::Clip { min, max } => x.clamp(f64::from(min), f64::from(max)),
    };
    x.iter().enumerate().map(at).collect()
}

/// Reduces the pixels that each window covers inside the map, given them and the area of the
/// window within the padded map.
pub(super) fn pool(
    x: &[f64],
    shape: &[usize],
    batch: usize,
    (kernel, stride, padding): ([usize; 2], [usize; 2], [usize; 4]),
    reduce: impl Fn(&[f64], usize) -> f64,
) -> Vec<f64> {
    let [channels, h, w] = chw(shape);
    let [top, left, bottom, right] = padding;
    let out_h = positions(h + top + bottom, kernel[0], stride[0]);
    let out_w = positions(w + left + right, kernel[1], stride[1]);
    let mut y = Vec::with_capacity(batch * channels * out_h * out_w);
    for map in 0..batch * channels {
        for oy in 0..out_h {
            for ox in 0..out_w {
                let mut inside = Vec::new();
                for ky in 0..kernel[0] {
                    for kx in 0..kernel[1] {
                        let iy = unpad(oy * stride[0] + ky, top, h);
                        let ix = unpad(ox * stride[1] + kx, left, w);
                        if let (Some(iy), Some(ix)) = (iy, ix) {
                            inside.push(x[(map * h + iy) * w + ix]);
                        }
                    }
                }
                y.push(reduce(&inside, kernel[0] * kernel[1]));
            }
        }
    }
    y
}

pub(super) fn linear(
    x: &[f64],
    in_features: usize,
    out_features: usize,
    weight: &[f64],
    bias: Option<&[f64]>,
) -> Vec<f64> {
    let mut y = Vec::new();
    for row in x.chunks(in_features) {
        for o in 0..out_features {
            let weights = &weight[o * in_features..][..in_features];
            let product: f64 = row.iter().zip(weights).map(|(a, b)| a * b).sum();
            y.push(product + bias.map_or(0.0, |bias| bias[o]));
        }
    }
    y
}

/// The error function: its Maclaurin series near zero, its continued fraction beyond.
fn erf(x: f64) -> f64 {
    let squared = x * x;
    if x.abs() < 3.0 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term.abs() > f64::EPSILON * sum.abs() * 0.1 {
            n += 1.0;
            term *= -squared / n;
            sum += term / (2.0 * n + 1.0);
        }
        return 2.0 / std::f64::consts::PI.sqrt() * sum;
    }
    let tail = (1..=60).rev().fold(x.abs(), |below, k| x.abs() + f64::from(k) / 2.0 / below);
    let complement = (-squared).exp() / std::f64::consts::PI.sqrt() / tail;
    (1.0 - complement).copysign(x)
}
