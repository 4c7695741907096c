//! Convolutions and linear layers.

use sepal_graph::{Conv2d, ConvTranspose2d};

use super::window::{chw, positions, unpad};

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

/// Every input value adds its kernel, scaled, to the output of `[out_h, out_w]`, of which padding cuts the edges.
pub(super) fn conv_transpose2d(
    conv: &ConvTranspose2d,
    x: &[f64],
    shape: &[usize],
    batch: usize,
    [out_h, out_w]: [usize; 2],
    weight: &[f64],
    bias: Option<&[f64]>,
) -> Vec<f64> {
    let [c_in, h, w] = chw(shape);
    let [kh, kw] = conv.kernel;
    let [top, left, _, _] = conv.padding;
    let c_out = conv.out_channels;
    let (group_in, group_out) = (c_in / conv.groups, c_out / conv.groups);
    let mut y: Vec<f64> = (0..batch * c_out * out_h * out_w)
        .map(|i| bias.map_or(0.0, |bias| bias[i / (out_h * out_w) % c_out]))
        .collect();
    for n in 0..batch {
        for i in 0..c_in {
            for (iy, ix) in (0..h).flat_map(|iy| (0..w).map(move |ix| (iy, ix))) {
                let v = x[((n * c_in + i) * h + iy) * w + ix];
                for o in 0..group_out {
                    for (ky, kx) in (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx))) {
                        let oy = unpad(iy * conv.stride[0] + ky * conv.dilation[0], top, out_h);
                        let ox = unpad(ix * conv.stride[1] + kx * conv.dilation[1], left, out_w);
                        if let (Some(oy), Some(ox)) = (oy, ox) {
                            let c = i / group_in * group_out + o;
                            let k = weight[((i * group_out + o) * kh + ky) * kw + kx];
                            y[((n * c_out + c) * out_h + oy) * out_w + ox] += v * k;
                        }
                    }
                }
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
