use super::*;
use crate::Act;
use crate::layout::{Buffer, Dims};
use crate::norm::GradSums;
use crate::source::NormGrad;
use crate::testing::{
    ACTS, Numbers, act, assert_close, blocked, channel, everywhere, index, naive_act, naive_derivative, naive_value,
    nchw, near_kink,
};
use proptest::prelude::*;

/// Calls `tap(output index, input index, weight index)` for every multiply-add of channel `c`.
fn for_taps(conv: &Conv, mut tap: impl FnMut(usize, usize, usize)) {
    let (input, output) = (conv.input, conv.output);
    for n in 0..output.n {
        for c in 0..output.c {
            for (oy, ox) in (0..output.h).flat_map(|y| (0..output.w).map(move |x| (y, x))) {
                for (ky, kx) in (0..conv.kernel[0]).flat_map(|y| (0..conv.kernel[1]).map(move |x| (y, x))) {
                    let y = (oy * conv.stride[0] + ky * conv.dilation[0]).wrapping_sub(conv.padding[0]);
                    let x = (ox * conv.stride[1] + kx * conv.dilation[1]).wrapping_sub(conv.padding[1]);
                    if y < input.h && x < input.w {
                        let weight = (c * conv.kernel[0] + ky) * conv.kernel[1] + kx;
                        tap(index(output, n, c, oy, ox), index(input, n, c, y, x), weight);
                    }
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Case {
    conv: Conv,
    act: usize,
    affine: bool,
    extra: bool,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let kernel = prop_oneof![Just([3, 3]), Just([5, 5]), (1..8usize, 1..8usize).prop_map(|(h, w)| [h, w])];
    // Many images are small, or the plain sums would take long.
    let sizes = (prop_oneof![1..4usize, Just(37)], prop_oneof![Just(1usize), Just(16), Just(17), 1..40usize], kernel);
    let pixels = (1..20usize, prop_oneof![1..20usize, Just(28), Just(35)]);
    let steps = ([1..4usize, 1..4usize], [1..4usize, 1..4usize], [0..5usize, 0..5usize], [0..3usize, 0..3usize]);
    let dense = any::<bool>();
    (sizes, pixels, steps, dense, (0..ACTS, any::<bool>(), any::<bool>(), any::<u64>())).prop_filter_map(
        "an empty output",
        |((n, c, kernel), (h, w), (stride, dilation, padding, more), dense, (act, affine, extra, seed))| {
            let dilation = if dense { [1, 1] } else { dilation };
            let (h, w) = if n > 4 { (h % 6 + 1, w % 6 + 1) } else { (h, w) };
            let output = |axis: usize, size: usize| {
                let reach = (kernel[axis] - 1) * dilation[axis] + 1;
                // The far side's padding differs from the near side's.
                let padded = size + padding[axis] + more[axis];
                (padded >= reach).then(|| (padded - reach) / stride[axis] + 1)
            };
            let (oh, ow) = (output(0, h)?, output(1, w)?);
            let (input, output) = (Dims::new(n, c, h, w), Dims::new(n, c, oh, ow));
            let conv = Conv { input, output, kernel, stride, padding, dilation, groups: c };
            Some(Case { conv, act, affine, extra, seed })
        },
    )
}

fn forward_case(case: Case) {
    let Case { conv, affine, extra, .. } = case;
    let mut numbers = Numbers::new(case.seed);
    let (input, output) = (conv.input, conv.output);
    let z = numbers.floats(input.n * input.c * input.h * input.w);
    let weight = numbers.floats(conv.weight_len());
    let (scale, shift) = (numbers.channels(input), numbers.channels(input));
    let (slopes, bias) = (numbers.channels(input), numbers.channels(output));
    let addend = numbers.floats(output.n * output.c * output.h * output.w);
    let affine = affine.then_some((&scale[..], &shift[..]));
    let source_act = if affine.is_some() { act(case.act / 2, &slopes) } else { Act::None };
    let out_act = act(case.act, &slopes);

    let x = naive_value(input, &z, affine, source_act);
    let mut want = vec![0.0; addend.len()];
    for_taps(&conv, |out, at, w| want[out] += x[at] * f64::from(weight[w]));
    for (at, want) in want.iter_mut().enumerate() {
        let c = channel(output, at);
        let sum = if extra { *want + f64::from(bias[c]) + f64::from(addend[at]) } else { *want };
        *want = naive_act(out_act, sum, c);
    }
    let (z, addend) = (blocked(input, &z), blocked(output, &addend));
    everywhere(|exec, name| {
        let mut packed = Buffer::zeroed(packed_len(&conv));
        pack(exec, &conv, &weight, &mut packed);
        let x = Source { z: &z, affine, act: source_act };
        let epilogue = Epilogue {
            bias: extra.then_some(&bias[..]),
            add: extra.then_some(&addend),
            act: out_act,
            ..Epilogue::default()
        };
        let mut out = Buffer::zeroed(output.len());
        let mut scratch = Buffer::zeroed(forward_scratch(&conv, exec.pool.threads()));
        scratch.fill(f32::NAN);
        forward(exec, &conv, x, &packed, epilogue, &mut out, None, &mut scratch);
        let plain = nchw(output, &out);
        assert_close(&plain, &want, 2e-6 * conv.taps() as f64, name);
        let mut stats = vec![f32::NAN; crate::norm::stats_len(&output, stat_rows(&conv))];
        forward(exec, &conv, x, &packed, epilogue, &mut out, Some(&mut stats), &mut scratch);
        assert!(nchw(output, &out) == plain, "statistics change the output");
        check_statistics(&conv, &want, &stats);
        vec![plain, stats]
    });
}

/// The sum of several convolutions, each image's by its own numbers.
fn mixed_case(case: Case) {
    let Case { conv, affine, extra, .. } = case;
    let mut numbers = Numbers::new(case.seed);
    let (input, output) = (conv.input, conv.output);
    // Gates of one block and of two.
    let of = 1 + numbers.below(20);
    let z = numbers.floats(input.n * input.c * input.h * input.w);
    let weights: Vec<Vec<f32>> = (0..of).map(|_| numbers.floats(conv.weight_len())).collect();
    let biases: Vec<Vec<f32>> = (0..of).map(|_| numbers.channels(output)).collect();
    let gate = numbers.floats(input.n * of);
    let (scale, shift) = (numbers.channels(input), numbers.channels(input));
    let affine = affine.then_some((&scale[..], &shift[..]));
    let addend = numbers.floats(output.n * output.c * output.h * output.w);
    let x = naive_value(input, &z, affine, Act::None);
    let mut want: Vec<f64> = addend.iter().map(|&value| f64::from(value)).collect();
    let pixels = output.h * output.w;
    for (index, (weight, bias)) in weights.iter().zip(&biases).enumerate() {
        let share = |out: usize| f64::from(gate[out / (output.c * pixels) * of + index]);
        for_taps(&conv, |out, at, w| want[out] += share(out) * x[at] * f64::from(weight[w]));
        if extra {
            (0..want.len()).for_each(|out| want[out] += share(out) * f64::from(bias[channel(output, out)]));
        }
    }
    want.iter_mut().for_each(|want| *want = want.max(0.0));
    let (z, addend) = (blocked(input, &z), blocked(output, &addend));
    let gate = blocked(Dims::new(input.n, of, 1, 1), &gate);
    everywhere(|exec, name| {
        let mut kernels = Vec::new();
        for (weight, bias) in weights.iter().zip(&biases) {
            let mut packed = vec![0.0; packed_len(&conv)];
            pack(exec, &conv, weight, &mut packed);
            kernels.extend(packed);
            kernels.extend(if extra { &bias[..] } else { &[] });
        }
        let epilogue = Epilogue { add: Some(&addend), act: Act::Relu, ..Epilogue::default() };
        let kernels = Mixed { gate: &gate, of, kernels: &kernels, bias: extra };
        let mut out = Buffer::zeroed(output.len());
        let mut scratch = vec![f32::NAN; mixed_scratch(&conv, extra, exec.pool.threads())];
        mixed(exec, &conv, Source { z: &z, affine, act: Act::None }, kernels, epilogue, &mut out, &mut scratch);
        let out = nchw(output, &out);
        assert_close(&out, &want, 4e-6 * (conv.taps() * of) as f64, name);
        vec![out]
    });
}

fn check_statistics(conv: &Conv, want: &[f64], stats: &[f32]) {
    let output = conv.output;
    let channels = output.blocks() * LANES;
    for (at, chunk) in stats.chunks_exact(3 * channels).enumerate() {
        let images = images_of(conv, at);
        let pixels = images.len() * output.h * output.w;
        for c in 0..output.c {
            let [origin, sum, squares] = [0, 1, 2].map(|part| f64::from(chunk[part * channels + c]));
            let values = |n| &want[index(output, n, c, 0, 0)..][..output.h * output.w];
            let values: Vec<f64> = images.clone().flat_map(values).copied().collect();
            let total: f64 = values.iter().sum();
            let spread: f64 = values.iter().map(|v| (v - origin) * (v - origin)).sum();
            let scale = values.iter().fold(1.0f64, |most, v| most.max(v.abs()));
            let tolerance = 1e-5 * conv.taps() as f64 * pixels as f64 * scale;
            assert!((sum + origin * pixels as f64 - total).abs() < tolerance);
            assert!((squares - spread).abs() < 4.0 * tolerance * scale);
        }
    }
}

fn backward_case(case: Case) {
    let Case { conv, affine, extra, .. } = case;
    let mut numbers = Numbers::new(case.seed);
    let (input, output) = (conv.input, conv.output);
    let z_in = numbers.floats(input.n * input.c * input.h * input.w);
    let before = numbers.floats(z_in.len());
    let mut g = numbers.floats(output.n * output.c * output.h * output.w);
    let z_out = numbers.floats(g.len());
    let weight = numbers.floats(conv.weight_len());
    let [scale, shift, slopes, k1, k2, k3] = std::array::from_fn(|_| numbers.channels(input));
    let affine = affine.then_some((&scale[..], &shift[..]));
    let some_act = act(case.act, &slopes);
    let norm = NormGrad { k1: &k1, k2: &k2, k3: &k3 };

    let x = naive_value(input, &z_in, affine, some_act);
    let dz: Vec<f64> = (0..g.len())
        .map(|at| {
            let c = channel(output, at);
            let k = |k: &[f32]| f64::from(k[c]);
            let z = f64::from(z_out[at]);
            let linear = affine.map_or(z, |(scale, shift)| z * k(scale) + k(shift));
            if near_kink(linear) {
                g[at] = 0.0;
            }
            let g = f64::from(g[at]) * naive_derivative(some_act, linear, c);
            if extra { g * k(&k1) + z * k(&k2) + k(&k3) } else { affine.map_or(g, |(scale, _)| g * k(scale)) }
        })
        .collect();
    let mut dx = vec![0.0; x.len()];
    let mut dw = vec![0.0; weight.len()];
    for_taps(&conv, |out, at, w| {
        dx[at] += dz[out] * f64::from(weight[w]);
        dw[w] += dz[out] * x[at];
    });
    let added: Vec<f64> = dx.iter().zip(&before).map(|(dx, before)| dx + f64::from(*before)).collect();
    let mut dbias = vec![0.0; output.blocks() * LANES];
    dz.iter().enumerate().for_each(|(at, dz)| dbias[channel(output, at)] += dz);

    let (z_in, g, z_out) = (blocked(input, &z_in), blocked(output, &g), blocked(output, &z_out));
    everywhere(|exec, name| {
        let mut packed = Buffer::zeroed(packed_len(&conv));
        pack(exec, &conv, &weight, &mut packed);
        let x = Source { z: &z_in, affine, act: some_act };
        let source = Source { z: &z_out, affine, act: some_act };
        let dz = GradSource { g: &g, source, norm: extra.then_some(norm) };
        let mut scratch = Buffer::zeroed(backward_scratch(&conv, exec.pool.threads()));
        scratch.fill(f32::NAN);
        let (mut got_dw, mut got_bias) = (vec![f32::NAN; dw.len()], vec![f32::NAN; dbias.len()]);
        let mut got = Buffer::zeroed(input.len());
        got.fill(f32::NAN);
        let set = Some(InputGrad::new(&mut got, Write::Set));
        backward(exec, &conv, dz, x, &packed, set, Some(&mut got_dw), Some(&mut got_bias), &mut scratch);
        let set = nchw(input, &got);
        let pixels = (output.n * output.h * output.w) as f64;
        assert_close(&set, &dx, 1e-5 * conv.taps() as f64, &format!("{name} dx"));
        assert_close(&got_dw, &dw, 1e-5 * pixels.sqrt(), &format!("{name} dw"));
        assert_close(&got_bias, &dbias, 1e-5 * pixels.sqrt(), &format!("{name} dbias"));
        let mut sum = blocked(input, &before);
        backward(exec, &conv, dz, x, &packed, Some(InputGrad::new(&mut sum, Write::Add)), None, None, &mut scratch);
        let sum = nchw(input, &sum);
        assert_close(&sum, &added, 1e-5 * conv.taps() as f64, &format!("{name} dx added"));
        let mut alone = vec![f32::NAN; dw.len()];
        backward(exec, &conv, dz, x, &packed, None, Some(&mut alone), None, &mut scratch);
        assert!(alone == got_dw, "dw depends on what else is asked for");

        // With the sums of the input's norm taken on the way: the same gradient, and what a pass over it says.
        let channels = input.blocks() * LANES;
        let mut partial = vec![f32::NAN; grad_chunks(&conv) * 2 * channels];
        let sums = Some(GradSums { mean: &k1, partial: &mut partial });
        let to = InputGrad { sums, ..InputGrad::new(&mut got, Write::Set) };
        backward(exec, &conv, dz, x, &packed, Some(to), None, None, &mut scratch);
        assert!(nchw(input, &got) == set, "dx depends on its sums");
        let mut pass = vec![f32::NAN; crate::norm::grad_sums_len(&input)];
        crate::norm::grad_sums(exec, &input, &got, x, &k1, &mut pass);
        let totals = |sums: &[f32]| -> Vec<f64> {
            let of = |at: usize| sums.chunks_exact(2 * channels).map(|chunk| f64::from(chunk[at])).sum();
            (0..2).flat_map(|part| (0..input.c).map(move |c| part * channels + c)).map(of).collect()
        };
        let narrow: Vec<f32> = totals(&partial).into_iter().map(|total| total as f32).collect();
        let pixels = (input.n * input.h * input.w * conv.taps()) as f64;
        assert_close(&narrow, &totals(&pass), 1e-6 * pixels, &format!("{name} sums"));
        vec![set, sum, got_dw, got_bias, partial]
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn forward_is_the_plain_sum(case in cases()) {
        forward_case(case);
    }

    #[test]
    fn a_mixed_kernel_is_the_sum_of_the_results(case in cases()) {
        mixed_case(case);
    }

    #[test]
    fn backward_is_the_plain_gradient(case in cases()) {
        backward_case(case);
    }
}

fn square(channels: usize, size: usize, stride: usize, kernel: usize) -> Conv {
    let out = (size - 1) / stride + 1;
    Conv {
        input: Dims::new(1, channels, size, size),
        output: Dims::new(1, channels, out, out),
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [(kernel - 1) / 2; 2],
        dilation: [1, 1],
        groups: channels,
    }
}

/// A network's layers: planes larger than a step of backward, bands, and tiles of every width.
#[test]
fn large_planes_are_cut_without_a_seam() {
    for (size, stride, kernel) in [(112, 1, 3), (112, 2, 3), (56, 1, 5), (57, 2, 5), (71, 1, 3), (40, 2, 7)] {
        for affine in [false, true] {
            let conv = square(16, size, stride, kernel);
            let case = Case { conv, act: 1, affine, extra: affine, seed: size as u64 };
            forward_case(case);
            backward_case(case);
        }
    }
}

/// Tensors that are stored past the caches.
#[test]
fn large_tensors_are_the_same() {
    for (stride, act, extra) in [(1, 1, false), (1, 5, true), (2, 1, false)] {
        let case = Case { conv: square(85, 113, stride, 3), act, affine: true, extra, seed: 1 };
        assert!(pass::streams(&case.conv.input, std::ptr::null()));
        forward_case(case);
        backward_case(case);
    }
}

/// The naive gradient above is linear algebra; this checks it, and the kernel, against the definition.
#[test]
fn backward_agrees_with_finite_differences() {
    let (input, output) = (Dims::new(2, 3, 6, 5), Dims::new(2, 3, 3, 3));
    let conv = Conv { input, output, kernel: [3, 3], stride: [2, 2], padding: [1, 1], dilation: [1, 1], groups: 3 };
    let mut numbers = Numbers::new(5);
    let (x, weight) = (numbers.floats(2 * 3 * 30), numbers.floats(27));
    let g = numbers.floats(2 * 3 * 9);
    let loss = |x: &[f64], weight: &[f64]| {
        let mut sum = 0.0;
        for_taps(&conv, |out, at, w| sum += f64::from(g[out]) * x[at] * weight[w]);
        sum
    };
    let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|v| f64::from(*v)).collect() };
    let difference = |which: usize, at: usize| {
        let step = |h: f64| {
            let mut both = [wide(&x), wide(&weight)];
            both[which][at] += h;
            loss(&both[0], &both[1])
        };
        (step(1e-3) - step(-1e-3)) / 2e-3
    };
    let want_dx: Vec<f64> = (0..x.len()).map(|at| difference(0, at)).collect();
    let want_dw: Vec<f64> = (0..weight.len()).map(|at| difference(1, at)).collect();
    let (z, g) = (blocked(input, &x), blocked(output, &g));
    everywhere(|exec, name| {
        let mut packed = Buffer::zeroed(packed_len(&conv));
        pack(exec, &conv, &weight, &mut packed);
        let mut scratch = Buffer::zeroed(backward_scratch(&conv, exec.pool.threads()));
        let (mut dx, mut dw) = (Buffer::zeroed(input.len()), vec![0.0; 27]);
        let set = Some(InputGrad::new(&mut dx, Write::Set));
        backward(
            exec,
            &conv,
            GradSource::plain(&g),
            Source::plain(&z),
            &packed,
            set,
            Some(&mut dw),
            None,
            &mut scratch,
        );
        assert_close(&nchw(input, &dx), &want_dx, 1e-5, name);
        assert_close(&dw, &want_dw, 1e-5, name);
        vec![dw]
    });
}
