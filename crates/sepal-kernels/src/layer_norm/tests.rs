use super::*;
use crate::Act;
use crate::testing::{
    Numbers, assert_close, assert_finite, assert_gradient, blocked, everywhere, index, naive_value, nchw, pulled_back,
    unwritten, wide,
};
use proptest::prelude::*;

const EPS: f32 = 1e-3;

fn naive(dims: Dims, x: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; x.len()];
    for n in 0..dims.n {
        for (i, j) in (0..dims.h).flat_map(|i| (0..dims.w).map(move |j| (i, j))) {
            let values: Vec<f64> = (0..dims.c).map(|c| x[index(dims, n, c, i, j)]).collect();
            let mean = values.iter().sum::<f64>() / dims.c as f64;
            let var = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / dims.c as f64;
            for (c, v) in values.iter().enumerate() {
                y[index(dims, n, c, i, j)] = (v - mean) / (var + f64::from(EPS)).sqrt() * gamma[c] + beta[c];
            }
        }
    }
    y
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_and_gradients(
        (n, c, h, w) in (1..3usize, prop_oneof![Just(1usize), Just(16), 2..36usize], 1..4usize, 1..4usize),
        affine in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let dims = Dims::new(n, c, h, w);
        let mut numbers = Numbers::new(seed);
        let z: Vec<f32> = numbers.floats(dims.rows() * c).iter().map(|z| z * 3.0 + 5.0).collect();
        let g = numbers.floats(z.len());
        let x = naive_value(dims, &z, None, Act::Silu);
        let [mut gamma, mut beta] = [numbers.channels(dims), numbers.channels(dims)];
        if !affine {
            gamma.fill(1.0);
            beta.fill(0.0);
        }
        let (wide_gamma, wide_beta) = (wide(&gamma[..c]), wide(&beta[..c]));
        let want = naive(dims, &x, &wide_gamma, &wide_beta);
        let dx = pulled_back(|x| naive(dims, x, &wide_gamma, &wide_beta), &x, &g);
        let dgamma = pulled_back(|gamma| naive(dims, &x, gamma, &wide_beta), &wide_gamma, &g);
        let dbeta = pulled_back(|beta| naive(dims, &x, &wide_gamma, beta), &wide_beta, &g);
        let (z, g) = (blocked(dims, &z), blocked(dims, &g));
        let (gamma, beta) = (affine.then_some(&gamma[..]), affine.then_some(&beta[..]));
        everywhere(|exec, name| {
            let x = Source { z: &z, affine: None, act: Act::Silu };
            let mut y = unwritten(dims);
            forward(exec, &dims, x, gamma, beta, EPS, &mut y);
            assert_finite(dims, &y, name);
            let mut all = vec![nchw(dims, &y)];
            // The mean is far from zero: differences from it lose a digit.
            assert_close(&all[0], &want, 1e-5, name);
            let scratch = || vec![f32::NAN; backward_scratch(&dims, exec.pool.threads())];
            all.extend(assert_gradient(dims, &dx, 1e-4, name, |dx, write| {
                let gradients = Gradients { dx: Some((dx, write)), dgamma: None, dbeta: None };
                backward(exec, &dims, GradSource::plain(&g), x, gamma, EPS, gradients, &mut scratch());
            }));
            let [mut got_gamma, mut got_beta] = [vec![f32::NAN; c], vec![f32::NAN; c]];
            let gradients = Gradients { dx: None, dgamma: Some(&mut got_gamma), dbeta: Some(&mut got_beta) };
            backward(exec, &dims, GradSource::plain(&g), x, gamma, EPS, gradients, &mut scratch());
            assert_close(&got_gamma, &dgamma, 1e-4, &format!("{name}, scale"));
            assert_close(&got_beta, &dbeta, 1e-4, &format!("{name}, shift"));
            all.extend([got_gamma, got_beta]);
            all
        });
    }

    #[test]
    fn sums_over_many_pixels(rows in 60..200usize, seed in any::<u64>()) {
        let dims = Dims::new(1, 5, 1, rows);
        let mut numbers = Numbers::new(seed);
        let (z, g) = (numbers.floats(5 * rows), numbers.floats(5 * rows));
        let want: Vec<f64> = g.chunks(rows).map(|g| wide(g).iter().sum()).collect();
        let (z, g) = (blocked(dims, &z), blocked(dims, &g));
        everywhere(|exec, name| {
            let mut dbeta = vec![f32::NAN; 5];
            let gradients = Gradients { dx: None, dgamma: None, dbeta: Some(&mut dbeta) };
            let mut scratch = vec![f32::NAN; backward_scratch(&dims, exec.pool.threads())];
            backward(exec, &dims, GradSource::plain(&g), Source::plain(&z), None, EPS, gradients, &mut scratch);
            assert_close(&dbeta, &want, 1e-5, name);
            vec![dbeta]
        });
    }
}
