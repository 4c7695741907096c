//! Pointwise non-linearities.

use sepal_graph::Activation;

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
