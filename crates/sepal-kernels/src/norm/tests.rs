use super::*;
use crate::testing::{
    ACTS, Numbers, act, assert_close, blocked, channel, everywhere, naive_derivative, naive_value, near_kink,
};
use crate::{Act, GradSource, NormGrad, Write, elementwise};
use proptest::prelude::*;

fn dims() -> impl Strategy<Value = Dims> {
    let c = prop_oneof![Just(1usize), Just(16), Just(17), 1..40usize];
    // Up to three chunks of a pass.
    (1..4usize, c, prop_oneof![1..12usize, 20..30usize], 1..30usize).prop_map(|(n, c, h, w)| Dims::new(n, c, h, w))
}

/// Mean and biased variance of each channel.
fn moments(dims: Dims, values: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let of = |c: usize| (0..values.len()).filter(move |at| channel(dims, *at) == c);
    let rows = dims.rows() as f64;
    let means: Vec<f64> = (0..dims.c).map(|c| of(c).map(|at| values[at]).sum::<f64>() / rows).collect();
    let variance = |c: usize| of(c).map(|at| (values[at] - means[c]).powi(2)).sum::<f64>() / rows;
    let variances = (0..dims.c).map(variance).collect();
    (means, variances)
}

#[derive(Default)]
struct Batch {
    mean: Vec<f32>,
    inv_std: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
    running_mean: Vec<f32>,
    running_var: Vec<f32>,
}

fn normalise(exec: Exec<'_>, dims: Dims, x: Source<'_>, params: Params<'_>) -> Batch {
    let mut stats = vec![f32::NAN; stats_len(&dims, stat_rows(&dims))];
    statistics(exec, &dims, x, &mut stats);
    let padded = || vec![f32::NAN; dims.blocks() * LANES];
    let mut batch = Batch {
        mean: padded(),
        inv_std: padded(),
        scale: padded(),
        shift: padded(),
        running_mean: vec![0.25; dims.c],
        running_var: vec![2.0; dims.c],
    };
    let saved =
        Saved { mean: &mut batch.mean, inv_std: &mut batch.inv_std, scale: &mut batch.scale, shift: &mut batch.shift };
    let running = Some((&mut batch.running_mean[..], &mut batch.running_var[..]));
    finish(&dims, stat_rows(&dims), &stats, params, running, saved);
    batch
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn statistics_are_pytorchs(dims in dims(), far in prop_oneof![Just(0.0f32), Just(300.0)], seed in any::<u64>()) {
        let mut numbers = Numbers::new(seed);
        let values: Vec<f32> = numbers.floats(dims.rows() * dims.c).iter().map(|x| x + far).collect();
        let (gamma, beta) = (numbers.floats(dims.c), numbers.floats(dims.c));
        let (means, variances) = moments(dims, &values.iter().map(|x| f64::from(*x)).collect::<Vec<_>>());
        let z = blocked(dims, &values);
        everywhere(|exec, name| {
            let params = Params { gamma: Some(&gamma), beta: Some(&beta), eps: 1e-5, momentum: 0.1 };
            let batch = normalise(exec, dims, Source::plain(&z), params);
            let rows = dims.rows() as f64;
            let unbiased = |v: &f64| if rows > 1.0 { v * rows / (rows - 1.0) } else { *v };
            let inv = |v: &f64| 1.0 / (v + 1e-5).sqrt();
            for c in 0..dims.c {
                // Close for the size of the values, which a mean may be far below.
                let close = |got: f32, want: f64, what: &str| {
                    let off = (f64::from(got) - want).abs();
                    assert!(off < 1e-6 * (1.0 + f64::from(far)), "{name} {what} of {c}: {got} instead of {want}");
                };
                close(batch.mean[c], means[c], "mean");
                close(batch.running_mean[c], 0.9 * 0.25 + 0.1 * means[c], "running mean");
                close(batch.running_var[c], 1.8 + 0.1 * unbiased(&variances[c]), "running variance");
            }
            for c in 0..dims.c {
                // The variance is only known to the rounding of the values themselves.
                let want = inv(&variances[c]);
                let off = f64::from(batch.inv_std[c]) / want - 1.0;
                let rounding = 1e-5 * (1.0 + f64::from(far)) / (variances[c] + 1e-5).sqrt();
                assert!(off.abs() < 1e-5 + rounding * 1e-2, "{name} inv_std of {c}: {off}");
                let scale = f64::from(gamma[c]) * f64::from(batch.inv_std[c]);
                assert!((f64::from(batch.scale[c]) - scale).abs() <= 3e-7 * scale.abs());
                let shift = f64::from(beta[c]) - means[c] * scale;
                let most = f64::from(beta[c]).abs() + (1.0 + f64::from(far)) * scale.abs();
                assert!((f64::from(batch.shift[c]) - shift).abs() <= 3e-6 * most);
            }
            assert!(batch.scale[dims.c..].iter().chain(&batch.shift[dims.c..]).all(|&value| value == 0.0));
            vec![batch.mean, batch.inv_std, batch.scale, batch.shift, batch.running_mean, batch.running_var]
        });
    }

    /// `GradSource` with the factors of `grad_finish` against the definition of batch norm's gradient.
    #[test]
    fn gradients_are_the_definitions(dims in dims(), which in 0..ACTS, affine in any::<bool>(), seed in any::<u64>()) {
        let mut numbers = Numbers::new(seed);
        let count = dims.rows() * dims.c;
        let (z, mut g) = (numbers.floats(count), numbers.floats(count));
        let [gamma, beta, slopes] = std::array::from_fn(|_| numbers.channels(dims));
        let (gamma, beta) = if affine { (Some(&gamma[..]), Some(&beta[..])) } else { (None, None) };
        let some_act = act(which, &slopes);

        let wide: Vec<f64> = z.iter().map(|x| f64::from(*x)).collect();
        let (means, variances) = moments(dims, &wide);
        let inv: Vec<f64> = variances.iter().map(|v| 1.0 / (v + 1e-5).sqrt()).collect();
        let of = |vector: Option<&[f32]>, c: usize, absent: f64| vector.map_or(absent, |v| f64::from(v[c]));
        let (mut dgamma, mut dbeta) = (vec![0.0; dims.c], vec![0.0; dims.c]);
        // What the terms amount to where they do not cancel, by which their rounding goes.
        let (mut gamma_reach, mut beta_reach) = (vec![0.0; dims.c], vec![0.0; dims.c]);
        let mut before = vec![0.0; count];
        for at in 0..count {
            let c = channel(dims, at);
            let normal = (wide[at] - means[c]) * inv[c];
            let linear = normal * of(gamma, c, 1.0) + of(beta, c, 0.0);
            if near_kink(linear) {
                g[at] = 0.0;
            }
            before[at] = f64::from(g[at]) * naive_derivative(some_act, linear, c);
            dgamma[c] += before[at] * normal;
            dbeta[c] += before[at];
            gamma_reach[c] += f64::from(g[at].abs()) * normal.abs();
            beta_reach[c] += f64::from(g[at].abs());
        }
        let rows = dims.rows() as f64;
        let dz: Vec<f64> = (0..count).map(|at| {
            let c = channel(dims, at);
            let normal = (wide[at] - means[c]) * inv[c];
            of(gamma, c, 1.0) * inv[c] * (before[at] - dbeta[c] / rows - normal * dgamma[c] / rows)
        }).collect();

        let (z, g) = (blocked(dims, &z), blocked(dims, &g));
        everywhere(|exec, name| {
            let params = Params { gamma, beta, eps: 1e-5, momentum: 0.1 };
            let batch = normalise(exec, dims, Source::plain(&z), params);
            let source = Source { z: &z, affine: Some((&batch.scale, &batch.shift)), act: some_act };
            let mut partial = vec![f32::NAN; grad_sums_len(&dims)];
            grad_sums(exec, &dims, &g, source, &batch.mean, &mut partial);
            let mut got: [Vec<f32>; 5] = std::array::from_fn(|_| vec![f32::NAN; dims.blocks() * LANES]);
            let [got_gamma, got_beta, k1, k2, k3] = &mut got;
            grad_finish(&dims, &partial, &batch.mean, &batch.inv_std, gamma, Some(got_gamma), Some(got_beta), k1, k2, k3);
            let scale = inv.iter().fold(1.0f64, |most, inv| most.max(*inv));
            for (what, got, want, reach) in [("dgamma", got_gamma, &dgamma, &gamma_reach), ("dbeta", got_beta, &dbeta, &beta_reach)] {
                for c in 0..dims.c {
                    let off = (f64::from(got[c]) - want[c]).abs();
                    let most = 5e-6 * scale * (reach[c] + 1e-3);
                    assert!(off <= most, "{name} {what} of {c}: {} instead of {}", got[c], want[c]);
                }
            }
            let norm = Some(NormGrad { k1, k2, k3 });
            let mut dx = crate::Buffer::zeroed(dims.len());
            elementwise::grad(exec, &dims, GradSource { g: &g, source, norm }, &mut dx, Write::Set);
            let dx = crate::testing::nchw(dims, &dx);
            assert_close(&dx, &dz, 1e-5 * scale, &format!("{name} dz"));
            vec![partial, dx]
        });
    }
}

#[test]
fn evaluation_uses_the_running_statistics() {
    let dims = Dims::new(1, 3, 1, 1);
    let [mut mean, mut inv_std, mut scale, mut shift] = [[9.0; 16]; 4];
    let mut run = |params| {
        let saved = Saved { mean: &mut mean, inv_std: &mut inv_std, scale: &mut scale, shift: &mut shift };
        eval(&dims, params, &[1.0, -1.0, 0.0], &[4.0, 0.25, 1.0], saved);
        [mean, inv_std, scale, shift].map(|vector| vector[..4].to_vec())
    };
    let params = Params { gamma: Some(&[2.0, 1.0, 0.5]), beta: Some(&[1.0, 0.0, -1.0]), eps: 0.0, momentum: 0.1 };
    let expected = [[1.0, -1.0, 0.0, 0.0], [0.5, 2.0, 1.0, 0.0], [1.0, 2.0, 0.5, 0.0], [0.0, 2.0, -1.0, 0.0]];
    assert_eq!(run(params), expected.map(Vec::from));
    let [_, _, scale, shift] = run(Params { gamma: None, beta: None, ..params });
    assert_eq!((scale[0], shift[0]), (0.5, -0.5));
}

/// A norm of a value that is itself still to be computed.
#[test]
fn statistics_see_the_value_of_a_source() {
    let dims = Dims::new(2, 5, 7, 3);
    let mut numbers = Numbers::new(3);
    let z = numbers.floats(dims.rows() * dims.c);
    let (scale, shift) = (numbers.channels(dims), numbers.channels(dims));
    let affine = Some((&scale[..], &shift[..]));
    let (means, _) = moments(dims, &naive_value(dims, &z, affine, Act::Relu));
    let z = blocked(dims, &z);
    everywhere(|exec, name| {
        let x = Source { z: &z, affine, act: Act::Relu };
        let batch = normalise(exec, dims, x, Params { gamma: None, beta: None, eps: 1e-3, momentum: 0.1 });
        assert_close(&batch.mean[..dims.c], &means, 1e-6, name);
        vec![batch.mean]
    });
}
