//! Resizing of feature maps.

use sepal_graph::{Coordinates, Interpolate, Interpolation, ResizeTo, Rounding};

use super::tensor::build;

/// From maps of `[_, _, h, w]` to `dims`.
pub(super) fn interpolate(op: &Interpolate, x: &[f64], [h, w]: [usize; 2], dims: &[usize]) -> Vec<f64> {
    let (out_h, out_w) = (dims[2], dims[3]);
    let scale = match op.to {
        ResizeTo::Scale(scale) => scale.map(f64::from),
        ResizeTo::Size(_) => [out_h as f64 / h as f64, out_w as f64 / w as f64],
    };
    build(dims, |index| {
        let map = &x[(index[0] * dims[1] + index[1]) * h * w..][..h * w];
        let mut sum = 0.0;
        for (y, wy) in taps(op, coordinate(op, index[2], h, out_h, scale[0])) {
            for (x, wx) in taps(op, coordinate(op, index[3], w, out_w, scale[1])) {
                let inside = |i: i64, size: usize| i.clamp(0, size as i64 - 1) as usize;
                sum += wy * wx * map[inside(y, h) * w + inside(x, w)];
            }
        }
        sum
    })
}

/// Where output pixel `x` lies in the input.
fn coordinate(op: &Interpolate, x: usize, size: usize, out: usize, scale: f64) -> f64 {
    let x = x as f64;
    match op.coordinates {
        Coordinates::PytorchHalfPixel | Coordinates::AlignCorners if out == 1 => 0.0,
        Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => (x + 0.5) / scale - 0.5,
        Coordinates::AlignCorners => x * (size as f64 - 1.0) / (out as f64 - 1.0),
        Coordinates::Asymmetric => x / scale,
    }
}

/// Input pixels, not yet kept inside the map, and their weights.
fn taps(op: &Interpolate, x: f64) -> Vec<(i64, f64)> {
    let first = x.floor();
    let t = x - first;
    let first = first as i64;
    match op.mode {
        Interpolation::Nearest(rounding) => {
            let nearest = match rounding {
                Rounding::Floor => x.floor(),
                Rounding::Ceil => x.ceil(),
                Rounding::HalfDown => (x - 0.5).ceil(),
                Rounding::HalfUp => (x + 0.5).floor(),
            };
            vec![(nearest as i64, 1.0)]
        }
        Interpolation::Bilinear => vec![(first, 1.0 - t), (first + 1, t)],
        Interpolation::Bicubic => (-1..=2).map(|i| (first + i, keys((t - i as f64).abs()))).collect(),
    }
}

/// The cubic convolution kernel of Keys 1981, equation 5, with a = −0.75.
fn keys(x: f64) -> f64 {
    const A: f64 = -0.75;
    match x {
        x if x <= 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A,
        _ => 0.0,
    }
}
