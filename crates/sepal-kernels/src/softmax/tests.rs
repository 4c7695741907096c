use super::*;
use crate::Act;
use crate::layout::Buffer;
use crate::testing::{
    Numbers, assert_close, assert_finite, assert_gradient, blocked, everywhere, index, naive_value, nchw, pulled_back,
    unwritten,
};
use proptest::prelude::*;

fn naive(dims: Dims, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; x.len()];
    for n in 0..dims.n {
        for (i, j) in (0..dims.h).flat_map(|i| (0..dims.w).map(move |j| (i, j))) {
            let at = |c: usize| index(dims, n, c, i, j);
            let sum: f64 = (0..dims.c).map(|c| x[at(c)].exp()).sum();
            (0..dims.c).for_each(|c| y[at(c)] = x[at(c)].exp() / sum);
        }
    }
    y
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chances_and_their_gradient(
        (n, c, h, w) in (1..3usize, prop_oneof![Just(1usize), Just(16), 1..36usize], 1..4usize, 1..4usize),
        seed in any::<u64>(),
    ) {
        let dims = Dims::new(n, c, h, w);
        let mut numbers = Numbers::new(seed);
        let z: Vec<f32> = numbers.floats(dims.rows() * c).iter().map(|z| z * 4.0).collect();
        let g = numbers.floats(z.len());
        let x = naive_value(dims, &z, None, Act::Silu);
        let want = naive(dims, &x);
        let dx = pulled_back(|x| naive(dims, x), &x, &g);
        let (z, g) = (blocked(dims, &z), blocked(dims, &g));
        everywhere(|exec, name| {
            let mut y = unwritten(dims);
            forward(exec, &dims, Source { z: &z, affine: None, act: Act::Silu }, &mut y);
            assert_finite(dims, &y, name);
            let mut all = vec![nchw(dims, &y)];
            assert_close(&all[0], &want, 1e-6, name);
            all.extend(assert_gradient(dims, &dx, 1e-5, name, |dx, write| {
                backward(exec, &dims, GradSource::plain(&g), &y, dx, write);
            }));
            all
        });
    }

    #[test]
    fn many_pixels_are_cut_alike(rows in 60..200usize, seed in any::<u64>()) {
        let dims = Dims::new(1, 3, 1, rows);
        let z = Numbers::new(seed).floats(3 * rows);
        let want = naive(dims, &naive_value(dims, &z, None, Act::None));
        let z = blocked(dims, &z);
        everywhere(|exec, name| {
            let mut y = unwritten(dims);
            forward(exec, &dims, Source::plain(&z), &mut y);
            let y = nchw(dims, &y);
            assert_close(&y, &want, 1e-6, name);
            vec![y]
        });
    }
}

#[test]
fn far_apart_logits_are_sure() {
    let dims = Dims::new(1, 3, 1, 1);
    let z = blocked(dims, &[900.0, -900.0, 899.0]);
    everywhere(|exec, name| {
        let mut y = Buffer::zeroed(dims.len());
        forward(exec, &dims, Source::plain(&z), &mut y);
        let e = std::f64::consts::E;
        assert_close(&y[..3], &[e / (e + 1.0), 0.0, 1.0 / (e + 1.0)], 1e-6, name);
        vec![y[..3].to_vec()]
    });
}
