use super::*;
use crate::Act;
use crate::testing::{
    Numbers, assert_close, assert_gradient, blocked, channel, everywhere, naive_value, nchw, pulled_back, unwritten,
    wide,
};
use proptest::prelude::*;

/// Each pixel times the factor that `of` says for its image and channel.
fn naive(dims: Dims, x: &[f64], factors: &[f64], of: impl Fn(usize, usize) -> usize) -> Vec<f64> {
    let picture = dims.c * dims.h * dims.w;
    x.iter().enumerate().map(|(at, x)| x * factors[of(at / picture, channel(dims, at))]).collect()
}

fn dims() -> impl Strategy<Value = Dims> {
    let c = prop_oneof![Just(1usize), Just(16), Just(17), 1..24usize];
    (1..4usize, c, 1..4usize, 1..5usize).prop_map(|(n, c, h, w)| Dims::new(n, c, h, w))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_factor_per_channel(dims in dims(), seed in any::<u64>()) {
        let mut numbers = Numbers::new(seed);
        let small = vector(&dims, dims.c);
        let (z, s, g) = (numbers.floats(dims.rows() * dims.c), numbers.floats(dims.n * dims.c), numbers.floats(dims.rows() * dims.c));
        let x = naive_value(dims, &z, None, Act::Silu);
        let factor = naive_value(small, &s, None, Act::HardSigmoid);
        let of = |image: usize, c: usize| image * dims.c + c;
        let want = naive(dims, &x, &factor, of);
        let dx = pulled_back(|x| naive(dims, x, &factor, of), &x, &g);
        let ds = pulled_back(|s| naive(dims, &x, s, of), &factor, &g);
        let (z, s, g) = (blocked(dims, &z), blocked(small, &s), blocked(dims, &g));
        everywhere(|exec, name| {
            let x = Source { z: &z, affine: None, act: Act::Silu };
            let factor = Factor::PerChannel(Source { z: &s, affine: None, act: Act::HardSigmoid });
            let dz = GradSource::plain(&g);
            let mut all = assert_gradient(dims, &want, 1e-5, name, |out, write| {
                forward(exec, &dims, x, factor, out, write);
            });
            all.extend(assert_gradient(dims, &dx, 1e-5, name, |dx, write| {
                input_grad(exec, &dims, dz, factor, dx, write);
            }));
            all.extend(assert_gradient(small, &ds, 1e-5, name, |ds, write| {
                channel_grad(exec, &dims, dz, x, ds, write);
            }));
            all
        });
    }

    #[test]
    fn a_sum_weighed_by_a_gate(dims in dims(), of in prop_oneof![1..4usize, Just(18)], seed in any::<u64>()) {
        let mut numbers = Numbers::new(seed);
        let small = vector(&dims, of);
        let count = dims.rows() * dims.c;
        let (gate, g) = (numbers.floats(dims.n * of), numbers.floats(count));
        let values: Vec<Vec<f32>> = (0..of).map(|_| numbers.floats(count)).collect();
        let sum = |gate: &[f64]| {
            let mut sum = vec![0.0; count];
            for (index, x) in values.iter().enumerate() {
                let term = naive(dims, &wide(x), gate, |image, _| image * of + index);
                sum.iter_mut().zip(term).for_each(|(sum, term)| *sum += term);
            }
            sum
        };
        let want = sum(&wide(&gate));
        let dgate = pulled_back(sum, &wide(&gate), &g);
        let last = of - 1;
        let dx = pulled_back(|x| naive(dims, x, &wide(&gate), |image, _| image * of + last), &wide(&values[last]), &g);
        let values: Vec<_> = values.iter().map(|x| blocked(dims, x)).collect();
        let (gate, g) = (blocked(small, &gate), blocked(dims, &g));
        everywhere(|exec, name| {
            let factor = |index: usize| Factor::PerImage { gate: Source::plain(&gate), of, index };
            let dz = GradSource::plain(&g);
            let mut out = unwritten(dims);
            for (index, x) in values.iter().enumerate() {
                let write = if index == 0 { Write::Set } else { Write::Add };
                forward(exec, &dims, Source::plain(x), factor(index), &mut out, write);
            }
            let out = nchw(dims, &out);
            assert_close(&out, &want, 1e-5, name);
            let mut all = vec![out];
            all.extend(assert_gradient(dims, &dx, 1e-5, name, |dx, write| {
                input_grad(exec, &dims, dz, factor(last), dx, write);
            }));
            all.extend(assert_gradient(small, &dgate, 1e-5, name, |dgate, write| {
                let mut scratch = vec![f32::NAN; image_grad_scratch(&dims)];
                for (index, x) in values.iter().enumerate() {
                    image_grad(exec, &dims, dz, Source::plain(x), (of, index), dgate, write, &mut scratch);
                }
            }));
            all
        });
    }
}
