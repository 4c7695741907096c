//! Tables of pixels for the operators that make pixels of pixels.

use sepal_graph::{Coordinates, Interpolate, Interpolation, Pad, PadMode, ResizeTo, Rounding};
use sepal_kernels::arrange::{Axis, Taps};

/// The table of an interpolation from maps of `input` pixels to maps of `output` pixels, which is
/// [`Interpolate::size`] of `input`.
pub fn interpolate(op: &Interpolate, input: [usize; 2], output: [usize; 2]) -> Taps {
    let axis = |side: usize| {
        let (size, out) = (input[side], output[side]);
        let scale = match op.to {
            ResizeTo::Scale(scale) => f64::from(scale[side]),
            ResizeTo::Size(_) => out as f64 / size as f64,
        };
        Axis::new(size, out, |place| {
            let taps = weights(op.mode, coordinate(op.coordinates, place as f64, size as f64, out as f64, scale));
            taps.into_iter().filter(|(_, weight)| *weight != 0.0).map(move |(at, weight)| {
                // Pixels beyond the border are those at the border.
                (at.clamp(0.0, size as f64 - 1.0) as usize, weight as f32)
            })
        })
    };
    Taps { rows: axis(0), columns: axis(1), outside: 0.0 }
}

/// The coordinate in the input of output pixel `x`.
fn coordinate(coordinates: Coordinates, x: f64, size: f64, out: f64, scale: f64) -> f64 {
    match coordinates {
        Coordinates::PytorchHalfPixel | Coordinates::AlignCorners if out == 1.0 => 0.0,
        Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => (x + 0.5) / scale - 0.5,
        Coordinates::AlignCorners => x * (size - 1.0) / (out - 1.0),
        Coordinates::Asymmetric => x / scale,
    }
}

/// Pixels around a coordinate, and their weights; those not needed have none.
fn weights(mode: Interpolation, x: f64) -> [(f64, f64); 4] {
    let first = x.floor();
    let t = x - first;
    match mode {
        Interpolation::Nearest(rounding) => {
            let nearest = match rounding {
                Rounding::Floor => first,
                Rounding::Ceil => x.ceil(),
                Rounding::HalfDown => (x - 0.5).ceil(),
                Rounding::HalfUp => (x + 0.5).floor(),
            };
            [(nearest, 1.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)]
        }
        Interpolation::Bilinear => [(first, 1.0 - t), (first + 1.0, t), (0.0, 0.0), (0.0, 0.0)],
        Interpolation::Bicubic => [-1.0, 0.0, 1.0, 2.0].map(|offset| (first + offset, cubic((t - offset).abs()))),
    }
}

/// Keys 1981, equation 5, with a = −0.75.
fn cubic(x: f64) -> f64 {
    let a = -0.75;
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        a * (((x - 5.0) * x + 8.0) * x - 4.0)
    } else {
        0.0
    }
}

/// The table of a padding of a map C×H×W of `input` pixels that adds no channels.
pub fn pad(op: &Pad, input: [usize; 2]) -> Taps {
    let axis = |side: usize| {
        let added = |list: &[usize]| list.get(side + 1).copied().unwrap_or(0);
        let (size, before) = (input[side], added(&op.before));
        let out = before + size + added(&op.after);
        Axis::new(size, out, |place| padded(op.mode, place, before, size).map(|at| (at, 1.0)))
    };
    let outside = match op.mode {
        PadMode::Constant(value) => value,
        PadMode::Reflect | PadMode::Edge => 0.0,
    };
    Taps { rows: axis(0), columns: axis(1), outside }
}

/// The element that stands at `place` of a dimension of `size` after `before` were added; none where a constant
/// does.
pub fn padded(mode: PadMode, place: usize, before: usize, size: usize) -> Option<usize> {
    let last = size - 1;
    match (mode, place.checked_sub(before)) {
        (_, Some(at)) if at <= last => Some(at),
        (PadMode::Constant(_), _) => None,
        (PadMode::Edge, None) => Some(0),
        (PadMode::Edge, Some(_)) => Some(last),
        (PadMode::Reflect, None) => Some(before - place),
        (PadMode::Reflect, Some(at)) => Some(2 * last - at),
    }
}

/// The table of every `step`-th row (dimension 1 of a map C×H×W) or column (dimension 2) from `start` on,
/// `count` of them.
pub fn slice(axis: usize, start: usize, step: usize, count: usize, input: [usize; 2]) -> Taps {
    let part = |side: usize| {
        if side + 1 == axis {
            Axis::new(input[side], count, |place| [(start + place * step, 1.0)])
        } else {
            Axis::identity(input[side])
        }
    };
    Taps { rows: part(0), columns: part(1), outside: 0.0 }
}
