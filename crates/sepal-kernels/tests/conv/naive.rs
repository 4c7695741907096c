//! Convolution by its definition, in f64 on `N, C, H, W`, and its gradients.

use sepal_kernels::{Conv, Dims};

/// `(output index, input index, weight index)` of every product of the convolution.
fn each_product(conv: &Conv, mut visit: impl FnMut(usize, usize, usize)) {
    let (input, output) = (conv.input, conv.output);
    let [filters, reads] = [output.c / conv.groups, input.c / conv.groups];
    let at = |dims: &Dims, n: usize, c: usize, y: usize, x: usize| ((n * dims.c + c) * dims.h + y) * dims.w + x;
    for n in 0..output.n {
        for o in 0..output.c {
            for y in 0..output.h {
                for x in 0..output.w {
                    for i in 0..reads {
                        for ky in 0..conv.kernel[0] {
                            for kx in 0..conv.kernel[1] {
                                let from_y = (y * conv.stride[0] + ky * conv.dilation[0]).wrapping_sub(conv.padding[0]);
                                let from_x = (x * conv.stride[1] + kx * conv.dilation[1]).wrapping_sub(conv.padding[1]);
                                if from_y < input.h && from_x < input.w {
                                    let c = o / filters * reads + i;
                                    let weight = ((o * reads + i) * conv.kernel[0] + ky) * conv.kernel[1] + kx;
                                    visit(at(&output, n, o, y, x), at(&input, n, c, from_y, from_x), weight);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(crate) fn forward(conv: &Conv, x: &[f64], weight: &[f64]) -> Vec<f64> {
    let Dims { n, c, h, w } = conv.output;
    let mut out = vec![0.0; n * c * h * w];
    each_product(conv, |o, i, k| out[o] += x[i] * weight[k]);
    out
}

/// Gradients of input and weight.
pub(crate) fn backward(conv: &Conv, x: &[f64], weight: &[f64], dz: &[f64]) -> [Vec<f64>; 2] {
    let mut dx = vec![0.0; x.len()];
    let mut dw = vec![0.0; weight.len()];
    each_product(conv, |o, i, k| {
        dx[i] += dz[o] * weight[k];
        dw[k] += dz[o] * x[i];
    });
    [dx, dw]
}

/// Sums over everything but channels.
pub(crate) fn channel_sums(dims: Dims, values: &[f64]) -> Vec<f64> {
    let pixels = dims.h * dims.w;
    let mut sums = vec![0.0; dims.c];
    for (index, value) in values.iter().enumerate() {
        sums[index / pixels % dims.c] += value;
    }
    sums
}
