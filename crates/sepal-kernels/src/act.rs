//! Activations and their derivatives.

use crate::isa::{Isa, Kernel, Vector, exp, lanes};
use crate::layout::LANES;

/// An activation, applied lane by lane.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Act<'a> {
    /// `x`
    #[default]
    None,
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `x` where positive, else `alpha·(eˣ − 1)`
    Elu(f32),
    /// `x` where positive, else `slope[c]·x`; one slope per channel, padded to whole blocks.
    Prelu(&'a [f32]),
    /// `x·sigmoid(x)`
    Silu,
    /// `x·hard_sigmoid(x)`
    HardSwish,
    /// `min(max(x/6 + 1/2, 0), 1)`
    HardSigmoid,
    /// `1 / (1 + e⁻ˣ)`
    Sigmoid,
    /// `x` where positive, else `slope·x`
    LeakyRelu(f32),
    /// `min(max(x, least), most)`
    Clip(f32, f32),
    /// One of those that take many instructions.
    Smooth(Smooth),
}

impl Act<'_> {
    /// Whether it takes so few instructions that kernels apply it to their sums before they store them.
    pub fn is_simple(self) -> bool {
        self.ending().is_some()
    }

    /// The same as the end of a loop, if it is simple enough.
    #[inline(always)]
    pub(crate) fn ending(self) -> Option<Ending> {
        Some(match self {
            Self::None => Ending::None,
            Self::Relu => Ending::Clamp([0.0, f32::INFINITY]),
            Self::Relu6 => Ending::Clamp([0.0, 6.0]),
            Self::Clip(least, most) => Ending::Clamp([least, most]),
            Self::HardSwish => Ending::HardSwish,
            Self::HardSigmoid => Ending::HardSigmoid,
            Self::Elu(_) | Self::Prelu(_) | Self::Silu | Self::Sigmoid | Self::LeakyRelu(_) | Self::Smooth(_) => {
                return None;
            }
        })
    }

    /// The activation of the sixteen lanes `x` of channel block `block`.
    #[inline(always)]
    pub(crate) fn apply<I: Isa>(self, isa: I, x: I::Block, block: usize) -> I::Block {
        let s = |value: f32| I::Block::splat(isa, value);
        match self {
            Act::None => x,
            Act::Relu => x.max(isa, s(0.0)),
            Act::Relu6 => x.max(isa, s(0.0)).min(isa, s(6.0)),
            Act::Elu(alpha) => {
                let below = exp(isa, x.min(isa, s(0.0))).sub(isa, s(1.0)).mul(isa, s(alpha));
                x.where_gt(isa, s(0.0), x, below)
            }
            Act::Prelu(slope) => x.where_gt(isa, s(0.0), x, x.mul(isa, lanes(isa, slope, block))),
            Act::Silu => x.mul(isa, sigmoid(isa, x)),
            Act::HardSwish => x.mul(isa, hard_sigmoid(isa, x)),
            Act::HardSigmoid => hard_sigmoid(isa, x),
            Act::Sigmoid => sigmoid(isa, x),
            Act::LeakyRelu(slope) => x.where_gt(isa, s(0.0), x, x.mul(isa, s(slope))),
            Act::Clip(least, most) => x.max(isa, s(least)).min(isa, s(most)),
            Act::Smooth(function) => apart(isa, function, false, x),
        }
    }

    /// Its derivative at the sixteen lanes `x` of channel block `block`. At a kink, PyTorch's choice.
    #[inline(always)]
    pub(crate) fn derivative<I: Isa>(self, isa: I, x: I::Block, block: usize) -> I::Block {
        let s = |value: f32| I::Block::splat(isa, value);
        match self {
            Act::None => s(1.0),
            Act::Relu => x.where_gt(isa, s(0.0), s(1.0), s(0.0)),
            Act::Relu6 => x.where_gt(isa, s(0.0), s(6.0).where_gt(isa, x, s(1.0), s(0.0)), s(0.0)),
            Act::Elu(alpha) => x.where_gt(isa, s(0.0), s(1.0), exp(isa, x.min(isa, s(0.0))).mul(isa, s(alpha))),
            Act::Prelu(slope) => x.where_gt(isa, s(0.0), s(1.0), lanes(isa, slope, block)),
            Act::Silu => {
                let y = sigmoid(isa, x);
                x.mul(isa, s(1.0).sub(isa, y)).add(isa, s(1.0)).mul(isa, y)
            }
            Act::HardSwish => {
                let middle = x.mul_add(isa, s(1.0 / 3.0), s(0.5));
                let middle = x.where_gt(isa, s(-3.0), middle, s(0.0));
                s(3.0).where_gt(isa, x, middle, s(1.0))
            }
            Act::HardSigmoid => {
                let middle = x.where_gt(isa, s(-3.0), s(1.0 / 6.0), s(0.0));
                s(3.0).where_gt(isa, x, middle, s(0.0))
            }
            Act::Sigmoid => {
                let y = sigmoid(isa, x);
                y.mul(isa, s(1.0).sub(isa, y))
            }
            Act::LeakyRelu(slope) => x.where_gt(isa, s(0.0), s(1.0), s(slope)),
            Act::Clip(least, most) => {
                let above = x.where_gt(isa, s(most), s(0.0), s(1.0));
                s(least).where_gt(isa, x, s(0.0), above)
            }
            Act::Smooth(function) => apart(isa, function, true, x),
        }
    }
}

/// The end of a loop over sums: an activation of few instructions, which is applied before sums are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ending {
    None,
    /// `min(max(x, least), most)`; what is not a number stays so.
    Clamp([f32; 2]),
    HardSwish,
    HardSigmoid,
}

impl Ending {
    /// The activation of `sums`.
    #[inline(always)]
    pub(crate) fn apply<I: Isa, V: Vector<I>, const N: usize>(self, isa: I, sums: &mut [V; N]) {
        let s = |value: f32| V::splat(isa, value);
        match self {
            Self::None => {}
            Self::Clamp([least, most]) => {
                let [least, most] = [s(least), s(most)];
                for sum in sums {
                    // The bound first: it is the second that is kept where one is not a number.
                    *sum = most.min(isa, least.max(isa, *sum));
                }
            }
            Self::HardSwish => {
                let [sixth, half, zero, one] = [s(1.0 / 6.0), s(0.5), s(0.0), s(1.0)];
                for sum in sums {
                    *sum = sum.mul(isa, sum.mul_add(isa, sixth, half).max(isa, zero).min(isa, one));
                }
            }
            Self::HardSigmoid => {
                let [sixth, half, zero, one] = [s(1.0 / 6.0), s(0.5), s(0.0), s(1.0)];
                for sum in sums {
                    *sum = sum.mul_add(isa, sixth, half).max(isa, zero).min(isa, one);
                }
            }
        }
    }
}

/// An activation that is computed in a function of its own: written out wherever an activation may stand,
/// these would be most of the code, and nothing is gained where they take so long themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Smooth {
    /// `tanh(x)`
    Tanh,
    /// `x·Φ(x)` with the normal distribution's Φ, to 2e-7.
    Gelu,
    /// `x·sigmoid(2u)` with `u = √(2/π)·(x + 0.044715x³)`, which is `x/2·(1 + tanh(u))`.
    GeluTanh,
    /// `x·tanh(ln(1 + eˣ))`
    Mish,
}

/// `function` of sixteen lanes, or its derivative.
#[inline(always)]
fn apart<I: Isa>(isa: I, function: Smooth, derivative: bool, x: I::Block) -> I::Block {
    let mut lanes = [0.0; 16];
    // SAFETY: sixteen floats.
    unsafe {
        x.store(isa, lanes.as_mut_ptr());
        isa.apart(Apart { function, derivative, lanes: &mut lanes });
        I::Block::load(isa, lanes.as_ptr())
    }
}

struct Apart<'a> {
    function: Smooth,
    derivative: bool,
    lanes: &'a mut [f32; 16],
}

impl Kernel for Apart<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        // SAFETY: sixteen floats.
        let x = unsafe { I::Block::load(isa, self.lanes.as_ptr()) };
        let y = match (self.function, self.derivative) {
            (Smooth::Tanh, false) => tanh(isa, x),
            (Smooth::Tanh, true) => tanh_slope(isa, x),
            (Smooth::Gelu, false) => x.mul(isa, normal(isa, x)[0]),
            (Smooth::Gelu, true) => {
                let [below, density] = normal(isa, x);
                x.mul_add(isa, density, below)
            }
            (Smooth::GeluTanh, false) => x.mul(isa, sigmoid(isa, gelu_tanh_argument(isa, x))),
            (Smooth::GeluTanh, true) => gelu_tanh_slope(isa, x),
            (Smooth::Mish, false) => {
                let [_, n, n2] = mish_parts(isa, x);
                x.mul(isa, n.div(isa, n2))
            }
            (Smooth::Mish, true) => {
                // tanh(softplus) = n/(n + 2), and its derivative is 4e(e + 1)/(n + 2)².
                let [e, n, n2] = mish_parts(isa, x);
                let s = |value: f32| I::Block::splat(isa, value);
                let slope = e.mul(isa, e.add(isa, s(1.0))).mul(isa, s(4.0)).div(isa, n2.mul(isa, n2));
                x.mul_add(isa, slope, n.div(isa, n2))
            }
        };
        // SAFETY: sixteen floats.
        unsafe { y.store(isa, self.lanes.as_mut_ptr()) }
    }
}

/// `1 − 2/(e²ˣ + 1)`, and near zero, where that cancels, the Taylor series.
#[inline(always)]
fn tanh<I: Isa>(isa: I, x: I::Block) -> I::Block {
    let s = |value: f32| I::Block::splat(isa, value);
    let size = x.max(isa, s(0.0).sub(isa, x));
    let far = s(1.0).sub(isa, s(2.0).div(isa, exp(isa, size.add(isa, size)).add(isa, s(1.0))));
    let far = x.where_gt(isa, s(0.0), far, s(0.0).sub(isa, far));
    let square = x.mul(isa, x);
    let mut p = s(-929_569.0 / 638_512_875.0);
    for term in [21_844.0 / 6_081_075.0, -1382.0 / 155_925.0, 62.0 / 2835.0, -17.0 / 315.0, 2.0 / 15.0, -1.0 / 3.0, 1.0]
    {
        p = p.mul_add(isa, square, s(term));
    }
    // Not a number is not greater: it comes out of the series.
    size.where_gt(isa, s(0.5), far, p.mul(isa, x))
}

/// `4e/(1 + e)²` with `e = e^(−2|x|)`, which is `1 − tanh²` without cancellation.
#[inline(always)]
fn tanh_slope<I: Isa>(isa: I, x: I::Block) -> I::Block {
    let s = |value: f32| I::Block::splat(isa, value);
    let size = x.max(isa, s(0.0).sub(isa, x));
    let e = exp(isa, size.mul(isa, s(-2.0)));
    let sum = e.add(isa, s(1.0));
    e.mul(isa, s(4.0)).div(isa, sum.mul(isa, sum))
}

/// The normal distribution's Φ and density at `x`.
///
/// With `z = |x|/√2`, Φ(−|x|) is `½·p(t)·e^(−z²)` with `t = 1/(1 + 0.3275911z)`: Abramowitz and Stegun
/// 7.1.26, of error below 0.75e-7 in Φ.
#[inline(always)]
fn normal<I: Isa>(isa: I, x: I::Block) -> [I::Block; 2] {
    let s = |value: f32| I::Block::splat(isa, value);
    let z = x.max(isa, s(0.0).sub(isa, x)).mul(isa, s(std::f32::consts::FRAC_1_SQRT_2));
    let t = s(1.0).div(isa, z.mul_add(isa, s(0.327_591_1), s(1.0)));
    let e = exp(isa, s(0.0).sub(isa, z.mul(isa, z)));
    // The coefficients halved.
    let mut p = s(0.530_702_7);
    for term in [-0.726_576, 0.710_706_9, -0.142_248_37, 0.127_414_8, 0.0] {
        p = p.mul_add(isa, t, s(term));
    }
    let tail = p.mul(isa, e);
    let below = x.where_gt(isa, s(0.0), s(1.0).sub(isa, tail), tail);
    // 1/√(2π)
    [below, e.mul(isa, s(0.398_942_3))]
}

/// `2u`.
#[inline(always)]
fn gelu_tanh_argument<I: Isa>(isa: I, x: I::Block) -> I::Block {
    let s = |value: f32| I::Block::splat(isa, value);
    // 2·√(2/π), and that times 0.044715.
    x.mul(isa, x.mul(isa, x).mul_add(isa, s(0.071_354_814), s(1.595_769)))
}

#[inline(always)]
fn gelu_tanh_slope<I: Isa>(isa: I, x: I::Block) -> I::Block {
    let s = |value: f32| I::Block::splat(isa, value);
    // Beyond, the sigmoid is 0 or 1, and the square below must not become infinite.
    let x = x.max(isa, s(-20.0)).min(isa, s(20.0));
    let y = sigmoid(isa, gelu_tanh_argument(isa, x));
    let slope = x.mul(isa, x).mul_add(isa, s(3.0 * 0.071_354_814), s(1.595_769));
    x.mul(isa, slope).mul(isa, s(1.0).sub(isa, y)).mul_add(isa, y, y)
}

/// `e`, `n` and `n + 2`, with `e = eˣ` and `n = e(e + 2)`: the hyperbolic tangent of `ln(1 + e)` is `n/(n + 2)`.
#[inline(always)]
fn mish_parts<I: Isa>(isa: I, x: I::Block) -> [I::Block; 3] {
    let s = |value: f32| I::Block::splat(isa, value);
    // From 20 on the quotient is 1.
    let e = exp(isa, x.min(isa, s(20.0)));
    let n = e.mul(isa, e.add(isa, s(2.0)));
    [e, n, n.add(isa, s(2.0))]
}

#[inline(always)]
fn sigmoid<I: Isa>(isa: I, x: I::Block) -> I::Block {
    let one = I::Block::splat(isa, 1.0);
    one.div(isa, exp(isa, I::Block::splat(isa, 0.0).sub(isa, x)).add(isa, one))
}

#[inline(always)]
fn hard_sigmoid<I: Isa>(isa: I, x: I::Block) -> I::Block {
    let s = |value: f32| I::Block::splat(isa, value);
    x.mul_add(isa, s(1.0 / 6.0), s(0.5)).max(isa, s(0.0)).min(isa, s(1.0))
}

/// Sixteen values of a per-channel vector from channel `start` on, which may lie before its first; zeros where
/// there is none.
pub(crate) fn shifted(channels: &[f32], start: isize) -> [f32; LANES] {
    std::array::from_fn(|lane| {
        let channel = usize::try_from(start + lane as isize).ok();
        channel.and_then(|channel| channels.get(channel)).copied().unwrap_or(0.0)
    })
}
