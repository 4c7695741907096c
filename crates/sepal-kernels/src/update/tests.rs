use super::*;
use crate::testing::{Numbers, assert_close, everywhere};

/// More than one item, and a last line that is not whole.
const LEN: usize = CHUNK + 16 * 3 + 5;

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// Three steps of `step` with gradients from `gradient`, against `naive` element by element in `f64`.
fn compare<const N: usize>(
    step: impl Fn(Exec<'_>, u64, &mut [Vec<f32>; N], &[f32]),
    naive: impl Fn(u64, [f64; N], f64) -> [f64; N],
) {
    let mut numbers = Numbers::new(11);
    let weights = numbers.floats(LEN);
    let gradients: Vec<Vec<f32>> = (0..3).map(|_| numbers.floats(LEN)).collect();
    let mut want: Vec<[f64; N]> =
        weights.iter().map(|w| std::array::from_fn(|k| if k == 0 { f64::from(*w) } else { 0.0 })).collect();
    for (number, gradient) in (1..).zip(&gradients) {
        for (state, g) in want.iter_mut().zip(gradient) {
            *state = naive(number, *state, f64::from(*g));
        }
    }
    everywhere(|exec, name| {
        let mut buffers: [Vec<f32>; N] = std::array::from_fn(|k| if k == 0 { weights.clone() } else { vec![0.0; LEN] });
        for (number, gradient) in (1..).zip(&gradients) {
            step(exec, number, &mut buffers, gradient);
        }
        for (k, buffer) in buffers.iter().enumerate() {
            let want: Vec<f64> = want.iter().map(|state| state[k]).collect();
            assert_close(buffer, &want, 1e-6, &format!("{name} buffer {k}"));
        }
        buffers.to_vec()
    });
}

#[test]
fn descent_with_momentum() {
    for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
        let rule = Sgd { lr: 0.1, momentum, nesterov, weight_decay: 0.01 };
        let m = f64::from(momentum);
        compare(
            |exec, _, [w, v]: &mut [Vec<f32>; 2], g| sgd(exec, &rule, w, g, v),
            |_, [w, v], g| {
                let g = g + 0.01 * w;
                let v = m * v + g;
                [w - 0.1 * if nesterov { g + m * v } else { v }, v]
            },
        );
    }
}

#[test]
fn adam_with_decay_apart_and_in_the_gradient() {
    for coupled in [false, true] {
        let rule = Adam { lr: 0.01, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.05, coupled };
        // The betas are what `f32` makes of them.
        let [b1, b2] = rule.betas.map(f64::from);
        compare(
            |exec, step, [w, m, s]: &mut [Vec<f32>; 3], g| adam(exec, &rule, step, w, g, m, s),
            |step, [w, m, s], g| {
                let g = if coupled { g + 0.05 * w } else { g };
                let w = if coupled { w } else { w - 0.01 * 0.05 * w };
                let (m, s) = (b1 * m + (1.0 - b1) * g, b2 * s + (1.0 - b2) * g * g);
                let (first, second) = (1.0 - b1.powf(step as f64), 1.0 - b2.powf(step as f64));
                [w - 0.01 / first * m / (s.sqrt() / second.sqrt() + 1e-8), m, s]
            },
        );
    }
}

#[test]
fn root_mean_square_descent() {
    for momentum in [0.0, 0.9] {
        let rule = RmsProp { lr: 0.01, alpha: 0.9, eps: 1e-3, momentum, weight_decay: 0.02 };
        compare(
            |exec, _, [w, s, v]: &mut [Vec<f32>; 3], g| rmsprop(exec, &rule, w, g, s, v),
            |_, [w, s, v], g| {
                let g = g + 0.02 * w;
                let s = 0.9 * s + 0.1 * g * g;
                let v = f64::from(momentum) * v + g / (s.sqrt() + 1e-3);
                [w - 0.01 * v, s, v]
            },
        );
    }
}

#[test]
fn averages_scales_and_squares() {
    let mut numbers = Numbers::new(12);
    let (average, weights) = (numbers.floats(LEN), numbers.floats(LEN));
    let moved: Vec<f64> =
        average.iter().zip(&weights).map(|(a, w)| 0.9 * f64::from(*a) + 0.1 * f64::from(*w)).collect();
    let scaled: Vec<f64> = wide(&average).iter().map(|a| a * 0.5).collect();
    let squares: f64 = wide(&average).iter().map(|a| a * a).sum();
    everywhere(|exec, name| {
        let (mut a, mut b) = (average.clone(), average.clone());
        ema(exec, 0.9, &mut a, &weights);
        scale(exec, 0.5, &mut b);
        assert_close(&a, &moved, 1e-6, name);
        assert_close(&b, &scaled, 0.0, name);
        let mut scratch = vec![f32::NAN; sum_of_squares_scratch(LEN)];
        let sum = sum_of_squares(exec, &average, &mut scratch);
        assert!((sum / squares - 1.0).abs() < 1e-6, "{name}: {sum} for {squares}");
        vec![a, b, vec![sum as f32]]
    });
    assert_eq!(sum_of_squares(Exec::new(&crate::pool::Serial), &[], &mut []), 0.0);
}
