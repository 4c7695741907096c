use super::*;
use crate::Act;
use crate::source::NormGrad;
use crate::testing::{
    ACTS, Numbers, act, assert_close, assert_finite, assert_gradient, blocked, channel, everywhere, naive_derivative,
    naive_value, nchw, near_kink, pulled_back, unwritten, wide,
};
use proptest::prelude::*;

fn dims() -> impl Strategy<Value = Dims> {
    let c = prop_oneof![Just(1usize), Just(16), Just(17), 1..40usize];
    (1..4usize, c, prop_oneof![1..10usize, Just(37)], 1..30usize).prop_map(|(n, c, h, w)| Dims::new(n, c, h, w))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_and_sums(dims in dims(), which in 0..ACTS, affine in any::<bool>(), seed in any::<u64>()) {
        let mut numbers = Numbers::new(seed);
        let count = dims.rows() * dims.c;
        let z: Vec<f32> = numbers.floats(count).iter().map(|z| z * 6.0).collect();
        let other = numbers.floats(count);
        let [scale, shift, slopes] = std::array::from_fn(|_| numbers.channels(dims));
        let affine = affine.then_some((&scale[..], &shift[..]));
        let some_act = act(which, &slopes);
        let value = naive_value(dims, &z, affine, some_act);
        let sum: Vec<f64> = value.iter().zip(&other).map(|(a, b)| a + f64::from(*b)).collect();
        let (z, other) = (blocked(dims, &z), blocked(dims, &other));
        everywhere(|exec, name| {
            let x = Source { z: &z, affine, act: some_act };
            let (mut a, mut b) = (unwritten(dims), unwritten(dims));
            apply(exec, &dims, x, &mut a);
            binary(exec, &dims, Binary::Add, x, Source::plain(&other), &mut b);
            let (a, b) = (nchw(dims, &a), nchw(dims, &b));
            assert_close(&a, &value, 1e-6, &format!("{name} {some_act:?}"));
            assert_close(&b, &sum, 1e-6, &format!("{name} {some_act:?}"));
            vec![a, b]
        });
    }

    #[test]
    fn arithmetic_on_two_values(
        (n, c, h, w) in (1..3usize, prop_oneof![Just(1usize), Just(16), 1..20usize], 1..4usize, 1..4usize),
        which in 0..4usize,
        seed in any::<u64>(),
    ) {
        let dims = Dims::new(n, c, h, w);
        let op = [Binary::Add, Binary::Subtract, Binary::Multiply, Binary::Divide][which];
        let mut numbers = Numbers::new(seed);
        let count = dims.rows() * c;
        let (a, g) = (numbers.floats(count), numbers.floats(count));
        // Away from zero, on both sides of it.
        let b: Vec<f32> = numbers.floats(count).iter().map(|b| b + 0.5 * b.signum()).collect();
        let naive = |a: &[f64], b: &[f64]| -> Vec<f64> {
            let one = |(a, b): (&f64, &f64)| match op {
                Binary::Add => a + b,
                Binary::Subtract => a - b,
                Binary::Multiply => a * b,
                Binary::Divide => a / b,
            };
            a.iter().zip(b).map(one).collect()
        };
        let shift = numbers.channels(dims);
        let ones = vec![1.0; shift.len()];
        let of_a = Act::Silu;
        let value_a = naive_value(dims, &a, Some((&ones, &shift)), of_a);
        let want = naive(&value_a, &wide(&b));
        let da = pulled_back(|a| naive(a, &wide(&b)), &value_a, &g);
        let db = pulled_back(|b| naive(&value_a, b), &wide(&b), &g);
        // What stands past the last channel must not get out, not even by a division.
        let (mut b, a, g) = (blocked(dims, &b), blocked(dims, &a), blocked(dims, &g));
        for lane in (0..b.len()).filter(|at| at / dims.plane() * LANES + at % LANES >= c) {
            b[lane] = 0.0;
        }
        everywhere(|exec, name| {
            let what = format!("{op:?} on {name}");
            let a = Source { z: &a, affine: Some((&ones, &shift)), act: of_a };
            let b = Source::plain(&b);
            let mut out = unwritten(dims);
            binary(exec, &dims, op, a, b, &mut out);
            assert_finite(dims, &out, &what);
            let out = nchw(dims, &out);
            assert_close(&out, &want, 1e-5, &what);
            let mut all = vec![out];
            for (side, want) in [(Side::First, &da), (Side::Second, &db)] {
                all.extend(assert_gradient(dims, want, 1e-5, &format!("{what}, {side:?}"), |dx, write| {
                    binary_grad(exec, &dims, op, side, GradSource::plain(&g), a, b, dx, write);
                }));
            }
            all
        });
    }

    #[test]
    fn gradients(dims in dims(), which in 0..ACTS, affine in any::<bool>(), norm in any::<bool>(), seed in any::<u64>()) {
        let mut numbers = Numbers::new(seed);
        let count = dims.rows() * dims.c;
        let z: Vec<f32> = numbers.floats(count).iter().map(|z| z * 6.0).collect();
        let (mut g, before) = (numbers.floats(count), numbers.floats(count));
        let [scale, shift, slopes, k1, k2, k3] = std::array::from_fn(|_| numbers.channels(dims));
        let affine = affine.then_some((&scale[..], &shift[..]));
        let some_act = act(which, &slopes);
        let mut dslope = vec![0.0; dims.c];
        let dz: Vec<f64> = (0..count).map(|at| {
            let c = channel(dims, at);
            let wide = |k: &[f32]| f64::from(k[c]);
            let z = f64::from(z[at]);
            let linear = affine.map_or(z, |(scale, shift)| z * wide(scale) + wide(shift));
            if near_kink(linear) {
                g[at] = 0.0;
            }
            dslope[c] += f64::from(g[at]) * linear.min(0.0);
            let g = f64::from(g[at]) * naive_derivative(some_act, linear, c);
            match (norm, affine) {
                (true, _) => g * wide(&k1) + z * wide(&k2) + wide(&k3),
                (false, Some((scale, _))) => g * wide(scale),
                (false, None) => g,
            }
        }).collect();
        let added: Vec<f64> = dz.iter().zip(&before).map(|(a, b)| a + f64::from(*b)).collect();
        let (z, g) = (blocked(dims, &z), blocked(dims, &g));
        everywhere(|exec, name| {
            let source = Source { z: &z, affine, act: some_act };
            let norm = norm.then_some(NormGrad { k1: &k1, k2: &k2, k3: &k3 });
            let dz_source = GradSource { g: &g, source, norm };
            let (mut set, mut sum) = (unwritten(dims), blocked(dims, &before));
            grad(exec, &dims, dz_source, &mut set, Write::Set);
            grad(exec, &dims, dz_source, &mut sum, Write::Add);
            let (set, sum) = (nchw(dims, &set), nchw(dims, &sum));
            assert_close(&set, &dz, 2e-6, &format!("{name} {some_act:?}"));
            assert_close(&sum, &added, 2e-6, &format!("{name} {some_act:?}"));
            let (mut sums, mut scratch) = (vec![f32::NAN; dims.c], vec![f32::NAN; channel_sums_scratch(&dims)]);
            channel_sums(exec, &dims, dz_source, &mut sums, &mut scratch);
            for (got, want) in sums.iter().zip(crate::testing::channel_sums(dims, &dz)) {
                // A sum of terms that may cancel.
                assert!((f64::from(*got) - want).abs() <= 2e-6 * dims.rows() as f64 * 10.0, "{name}: {got} for {want}");
            }
            let (mut slopes, mut scratch) = (vec![f32::NAN; dims.c], vec![f32::NAN; prelu_scratch(&dims)]);
            prelu_grad(exec, &dims, &g, source, &mut slopes, &mut scratch);
            for (got, want) in slopes.iter().zip(&dslope) {
                // A sum of terms up to six, which may cancel.
                let off = (f64::from(*got) - want).abs();
                assert!(off < 1e-6 * dims.rows() as f64, "{name} slopes: {got} instead of {want}");
            }
            vec![set, sum, slopes]
        });
    }
}

#[test]
fn dropout_keeps_its_share_and_backward_finds_the_same_mask() {
    let dims = Dims::new(4, 40, 11, 13);
    let ones = blocked(dims, &vec![1.0; dims.rows() * dims.c]);
    let run = |exec: Exec<'_>, seed: u64| {
        let (mut out, mut dx) = (unwritten(dims), unwritten(dims));
        dropout(exec, &dims, Source::plain(&ones), 0.7, seed, &mut out);
        dropout_grad(exec, &dims, &ones, 0.7, seed, &mut dx, Write::Set);
        let (out, dx) = (nchw(dims, &out), nchw(dims, &dx));
        assert!(out == dx);
        out
    };
    let mut all = Vec::new();
    everywhere(|exec, _| {
        let out = run(exec, 1);
        let kept = out.iter().filter(|&&value| value != 0.0).count() as f64 / out.len() as f64;
        assert!((kept - 0.7).abs() < 0.01, "{kept}");
        assert!(out.iter().all(|&value| value == 0.0 || value == 1.0 / 0.7));
        assert!(out != run(exec, 2));
        vec![out]
    });
    for level in crate::Level::available() {
        all.push(run(Exec { level, pool: &crate::pool::Serial }, 1));
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "the mask depends on the instruction set");
}

/// Outputs that are stored past the caches.
#[test]
fn large_outputs_are_the_same() {
    let dims = Dims::new(3, 32, 113, 113);
    let z = Numbers::new(7).floats(dims.rows() * dims.c);
    let want: Vec<f32> = z.iter().map(|z| z.max(0.0)).collect();
    let z = blocked(dims, &z);
    everywhere(|exec, _| {
        let mut out = unwritten(dims);
        apply(exec, &dims, Source { z: &z, affine: None, act: crate::Act::Relu }, &mut out);
        assert!(nchw(dims, &out) == want);
        vec![]
    });
}

/// Far from zero, near it, and at what is no number.
#[test]
fn smooth_activations_are_accurate_everywhere() {
    use crate::Smooth;
    let mut z: Vec<f32> = (-4000..=4000).map(|step| step as f32 / 400.0).collect();
    let ends =
        [-3e38, -1e13, -100.0, -50.0, -20.5, -1e-3, -1e-20, 0.0, 1e-30, 1e-6, 1e-3, 19.9, 20.1, 90.0, 1e20, 3e38];
    z.extend(ends);
    z.push(f32::NAN);
    let dims = Dims::new(1, 1, 1, z.len());
    let blocks = blocked(dims, &z);
    let ones = blocked(dims, &vec![1.0; z.len()]);
    everywhere(|exec, name| {
        let mut all = Vec::new();
        for function in [Smooth::Tanh, Smooth::Gelu, Smooth::GeluTanh, Smooth::Mish] {
            let some_act = Act::Smooth(function);
            let source = Source { z: &blocks, affine: None, act: some_act };
            let (mut value, mut slope) = (unwritten(dims), unwritten(dims));
            apply(exec, &dims, source, &mut value);
            grad(exec, &dims, GradSource { g: &ones, source, norm: None }, &mut slope, Write::Set);
            let (mut value, mut slope) = (nchw(dims, &value), nchw(dims, &slope));
            assert!(value.pop().is_some_and(f32::is_nan));
            slope.pop();
            for ((&x, value), slope) in z.iter().zip(&value).zip(&slope) {
                let want = crate::testing::naive_act(some_act, f64::from(x), 0);
                let off = (f64::from(*value) - want).abs();
                // The absolute error of Φ and of the sigmoids, times x.
                let most =
                    if function == Smooth::Tanh { 3e-7 * want.abs() } else { 3e-7 * f64::from(x).abs().max(1e-7) };
                assert!(off <= most || off <= 1e-37, "{name} {function:?}({x}): {value} for {want}");
                if x.abs() < 50.0 {
                    let want = naive_derivative(some_act, f64::from(x), 0);
                    assert!((f64::from(*slope) - want).abs() < 2e-6, "{name} {function:?}'({x}): {slope} for {want}");
                }
                assert!(slope.is_finite());
            }
            all.extend([value, slope]);
        }
        all
    });
}
