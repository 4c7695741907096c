//! What tests share: numbers to compute with, naive tensors, and comparison with a reason.

use crate::isa::Level;
use crate::layout::{Buffer, Dims, LANES, from_nchw, to_nchw};
use crate::pool::{Pool, Serial, ThreadPool};
use crate::{Act, Exec, Smooth};

/// A sequence of numbers that looks random and is always the same.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// Evenly spread over -1..1.
    pub(crate) fn float(&mut self) -> f32 {
        self.next() as f32 / (1u64 << 30) as f32 - 1.0
    }

    pub(crate) fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    /// A per-channel vector padded to whole blocks.
    pub(crate) fn channels(&mut self, dims: Dims) -> Vec<f32> {
        self.floats(dims.blocks() * LANES)
    }
}

/// Channel blocks of `nchw`, with arbitrary finite values in the lanes past the last channel.
pub(crate) fn blocked(dims: Dims, nchw: &[f32]) -> Buffer {
    let mut buffer = Buffer::zeroed(dims.len());
    from_nchw(Exec::new(&Serial), dims, nchw, &mut buffer);
    for block in 0..dims.blocks() {
        for row in 0..dims.rows() {
            for lane in (0..LANES).filter(|lane| block * LANES + lane >= dims.c) {
                buffer[block * dims.plane() + row * LANES + lane] = 1e3 - (row + lane) as f32;
            }
        }
    }
    buffer
}

/// `N, C, H, W` floats of channel blocks.
pub(crate) fn nchw(dims: Dims, blocked: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; dims.n * dims.c * dims.h * dims.w];
    to_nchw(Exec::new(&Serial), dims, blocked, &mut out);
    out
}

/// Position in `N, C, H, W` order.
pub(crate) fn index(dims: Dims, n: usize, c: usize, y: usize, x: usize) -> usize {
    ((n * dims.c + c) * dims.h + y) * dims.w + x
}

/// Asserts that all numbers agree within `tolerance` of the greatest. What is compared comes of terms of about one, so
/// where all of it is small they cancelled, and their rounding is what is left.
#[track_caller]
pub(crate) fn assert_close(got: &[f32], want: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().fold(0.1f64, |most, value| most.max(value.abs()));
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        let off = (f64::from(*got) - want).abs();
        assert!(off <= tolerance * scale, "{what}: at {at} {got} instead of {want}");
    }
}

/// Runs `test` on every instruction set with one thread, and on the best with three; what it returns must have the same
/// bits for both numbers of threads.
#[track_caller]
pub(crate) fn everywhere(test: impl Fn(Exec<'_>, &str) -> Vec<Vec<f32>>) {
    let pool = ThreadPool::new(3).unwrap();
    for level in Level::available() {
        let run = |pool: &dyn Pool| test(Exec { level, pool }, level.name());
        let (alone, together) = (run(&Serial), run(&pool));
        let bits = |all: &[Vec<f32>]| -> Vec<Vec<u32>> {
            all.iter().map(|values| values.iter().map(|value| value.to_bits()).collect()).collect()
        };
        assert!(bits(&alone) == bits(&together), "{}: one thread and three differ", level.name());
    }
}

/// One of the activations, with slopes for PReLU.
pub(crate) fn act(which: usize, slopes: &[f32]) -> Act<'_> {
    let all = [
        Act::None,
        Act::Relu,
        Act::Relu6,
        Act::Elu(0.7),
        Act::Prelu(slopes),
        Act::Silu,
        Act::HardSwish,
        Act::HardSigmoid,
        Act::Sigmoid,
        Act::LeakyRelu(0.2),
        Act::Clip(-1.5, 2.0),
        Act::Smooth(Smooth::Tanh),
        Act::Smooth(Smooth::Gelu),
        Act::Smooth(Smooth::GeluTanh),
        Act::Smooth(Smooth::Mish),
    ];
    all[which % all.len()]
}

/// Number of activations that [`act`] knows.
pub(crate) const ACTS: usize = 15;

/// The activation of `x` in channel `c`.
pub(crate) fn naive_act(act: Act<'_>, x: f64, c: usize) -> f64 {
    let hard_sigmoid = (x / 6.0 + 0.5).clamp(0.0, 1.0);
    let sigmoid = 1.0 / (1.0 + (-x).exp());
    match act {
        Act::None => x,
        Act::Relu => x.max(0.0),
        Act::Relu6 => x.clamp(0.0, 6.0),
        Act::Elu(alpha) => {
            if x > 0.0 {
                x
            } else {
                f64::from(alpha) * x.exp_m1()
            }
        }
        Act::Prelu(slope) => {
            if x > 0.0 {
                x
            } else {
                f64::from(slope[c]) * x
            }
        }
        Act::Silu => x * sigmoid,
        Act::HardSwish => x * hard_sigmoid,
        Act::HardSigmoid => hard_sigmoid,
        Act::Sigmoid => sigmoid,
        Act::LeakyRelu(slope) => {
            if x > 0.0 {
                x
            } else {
                f64::from(slope) * x
            }
        }
        Act::Clip(least, most) => x.clamp(f64::from(least), f64::from(most)),
        Act::Smooth(Smooth::Tanh) => x.tanh(),
        Act::Smooth(Smooth::Gelu) => x * normal(x),
        Act::Smooth(Smooth::GeluTanh) => {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            x / 2.0 * (1.0 + u.tanh())
        }
        Act::Smooth(Smooth::Mish) => x * (if x > 30.0 { x } else { x.exp().ln_1p() }).tanh(),
    }
}

/// The normal distribution's Φ, by the series of erf whose terms are all positive.
pub(crate) fn normal(x: f64) -> f64 {
    let z = x.clamp(-8.0, 8.0) / std::f64::consts::SQRT_2;
    let (mut term, mut sum) = (z, z);
    for n in 1..400 {
        term *= 2.0 * z * z / f64::from(2 * n + 1);
        sum += term;
    }
    0.5 + sum * (-z * z).exp() / std::f64::consts::PI.sqrt()
}

/// Its derivative, by central differences (away from kinks).
pub(crate) fn naive_derivative(act: Act<'_>, x: f64, c: usize) -> f64 {
    let h = 1e-6;
    (naive_act(act, x + h, c) - naive_act(act, x - h, c)) / (2.0 * h)
}

/// Whether an activation's derivative jumps so near to `x` that rounding decides on which side it is.
pub(crate) fn near_kink(x: f64) -> bool {
    [-3.0, -1.5, 0.0, 2.0, 3.0, 6.0].iter().any(|kink| (x - kink).abs() < 1e-5)
}

/// Channel of a position in `N, C, H, W` order.
pub(crate) fn channel(dims: Dims, at: usize) -> usize {
    at / (dims.h * dims.w) % dims.c
}

/// The value of a source whose tensor is `z` in `N, C, H, W` order.
pub(crate) fn naive_value(dims: Dims, z: &[f32], affine: Option<(&[f32], &[f32])>, act: Act<'_>) -> Vec<f64> {
    let one = |(at, z): (usize, &f32)| {
        let c = channel(dims, at);
        let (scale, shift) = affine.map_or((1.0, 0.0), |(a, b)| (f64::from(a[c]), f64::from(b[c])));
        naive_act(act, f64::from(*z) * scale + shift, c)
    };
    z.iter().enumerate().map(one).collect()
}

/// The gradient at `at` of the sum of `f`'s values times `g`, by central differences: what a backward kernel computes
/// from the gradient `g` of the result.
pub(crate) fn pulled_back(f: impl Fn(&[f64]) -> Vec<f64>, at: &[f64], g: &[f32]) -> Vec<f64> {
    let h = 1e-5;
    let moved = |i: usize, step: f64| {
        let mut x = at.to_vec();
        x[i] += step;
        f(&x)
    };
    let one = |i: usize| {
        let (above, below) = (moved(i, h), moved(i, -h));
        above.iter().zip(&below).zip(g).map(|((a, b), g)| (a - b) * f64::from(*g)).sum::<f64>() / (2.0 * h)
    };
    (0..at.len()).map(one).collect()
}

/// The numbers in f64.
pub(crate) fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// A tensor of which nothing has been written.
pub(crate) fn unwritten(dims: Dims) -> Buffer {
    let mut buffer = Buffer::zeroed(dims.len());
    buffer.fill(f32::NAN);
    buffer
}

/// Asserts that the lanes past the last channel hold finite values.
#[track_caller]
pub(crate) fn assert_finite(dims: Dims, blocked: &[f32], what: &str) {
    for block in 0..dims.blocks() {
        let plane = &blocked[block * dims.plane()..][..dims.rows() * LANES];
        assert!(plane.iter().all(|value| value.is_finite()), "{what}: a lane is not finite");
    }
}

/// Of a gradient: the tensor set, and added to what was there, both in `N, C, H, W` order, compared with `want`.
#[track_caller]
pub(crate) fn assert_gradient(
    dims: Dims,
    want: &[f64],
    tolerance: f64,
    what: &str,
    compute: impl Fn(&mut [f32], crate::Write),
) -> Vec<Vec<f32>> {
    let before = Numbers::new(7).floats(want.len());
    let (mut set, mut sum) = (unwritten(dims), blocked(dims, &before));
    compute(&mut set, crate::Write::Set);
    compute(&mut sum, crate::Write::Add);
    let added: Vec<f64> = want.iter().zip(&before).map(|(a, b)| a + f64::from(*b)).collect();
    assert_finite(dims, &set, what);
    let (set, sum) = (nchw(dims, &set), nchw(dims, &sum));
    assert_close(&set, want, tolerance, &format!("{what}, set"));
    assert_close(&sum, &added, tolerance, &format!("{what}, added"));
    vec![set, sum]
}

/// The sum of each channel of a tensor in `N, C, H, W` order.
pub(crate) fn channel_sums(dims: Dims, values: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; dims.c];
    values.iter().enumerate().for_each(|(at, value)| sums[channel(dims, at)] += value);
    sums
}
