//! The forward product: all sizes, sources, epilogues, statistics.

use super::*;
use sepal_kernels::{Act, Epilogue, Input, Source, conv, norm};

/// Runs on every level and both pools; the pools must agree to the bit.
fn run_all(conv: &Conv, x: Input<'_>, weight: &[f32], epilogue: Epilogue<'_>, check: impl Fn(Level, &[f32], &[f32])) {
    let pools = pools();
    for level in levels() {
        let results = pools.each_ref().map(|pool| {
            let exec = Exec { level, pool };
            let threads = sepal_kernels::pool::Pool::threads(pool);
            let mut packed = Buffer::zeroed(conv::packed_len(conv));
            conv::pack(exec, conv, weight, &mut packed);
            let mut out = Buffer::zeroed(conv.output.len());
            let mut stats = vec![0.0; norm::stats_len(&conv.output, conv::stat_rows(conv))];
            let mut scratch = Buffer::zeroed(conv::forward_scratch(conv, threads));
            scratch.fill(f32::NAN);
            conv::forward(exec, conv, x, &packed, epilogue, &mut out, Some(&mut stats), &mut scratch);
            (dense(conv.output, &out), stats)
        });
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&results[0].0), bits(&results[1].0), "{level:?}");
        assert_eq!(bits(&results[0].1), bits(&results[1].1), "{level:?}");
        check(level, &results[0].0, &results[0].1);
    }
}

/// Plain, then with a transform before and everything after.
fn check(conv: &Conv) {
    let terms = conv.input.c / conv.groups * conv.taps();
    let x = noises(1, nchw_len(conv.input));
    let weight = noises(2, conv.weight_len());
    let buffer = blocked(conv.input, &x);
    let want = naive::forward(conv, &wide(&x), &wide(&weight));
    run_all(conv, Input::Blocked(Source::plain(&buffer)), &weight, Epilogue::default(), |level, out, stats| {
        close(&format!("{conv:?} {level:?}"), out, &want, terms);
        check_stats(conv, out, stats);
    });

    let [scale, shift] = [3, 4].map(|seed| noises(seed, conv.input.c));
    let [padded_scale, padded_shift] = [&scale, &shift].map(|values| padded(values, conv.input));
    let source = Source { z: &buffer, affine: Some((&padded_scale, &padded_shift)), act: Act::Relu6 };
    let value = map(conv.input, &wide(&x), |z, c| (z * f64::from(scale[c]) + f64::from(shift[c])).clamp(0.0, 6.0));
    let bias = noises(5, conv.output.c);
    let padded_bias = padded(&bias, conv.output);
    let add = noises(6, nchw_len(conv.output));
    let add_buffer = blocked(conv.output, &add);
    let raw = naive::forward(conv, &value, &wide(&weight));
    let out_scale = noises(8, conv.output.c);
    let padded_out_scale = padded(&out_scale, conv.output);
    let acts = [(Act::Relu, (|z: f64| z.max(0.0)) as fn(f64) -> f64), (Act::Silu, |z| z / (1.0 + (-z).exp()))];
    for ((act, f), scaled) in acts.into_iter().flat_map(|act| [(act, false), (act, true)]) {
        let scale = scaled.then_some(&padded_out_scale[..]);
        let epilogue = Epilogue { scale, bias: Some(&padded_bias), add: Some(&add_buffer), act };
        let value = map(conv.output, &raw, |z, c| {
            if scaled { z * f64::from(out_scale[c]) + f64::from(bias[c]) } else { z + f64::from(bias[c]) }
        });
        let want: Vec<f64> = value.iter().zip(&add).map(|(z, add)| f(z + f64::from(*add))).collect();
        run_all(conv, Input::Blocked(source), &weight, epilogue, |level, out, stats| {
            close(&format!("{conv:?} {level:?} {act:?}, scaled {scaled}"), out, &want, terms);
            check_stats(conv, out, stats);
        });
    }

    let Dims { n, c, h, w } = conv.input;
    let gate = noises(7, n * c);
    let gate_buffer = blocked(Dims::new(n, c, 1, 1), &gate);
    let value: Vec<f64> = x.iter().enumerate().map(|(at, x)| f64::from(*x) * f64::from(gate[at / (h * w)])).collect();
    let gated = naive::forward(conv, &value, &wide(&weight));
    run_all(conv, Input::Gated(&buffer, &gate_buffer), &weight, Epilogue::default(), |level, out, stats| {
        close(&format!("{conv:?} {level:?} gated"), out, &gated, terms);
        check_stats(conv, out, stats);
    });

    if conv.input.c < 16 {
        let mut pixels = Vec::new();
        for at in 0..n * h * w {
            pixels.extend((0..c).map(|channel| x[(at / (h * w) * c + channel) * h * w + at % (h * w)]));
        }
        run_all(conv, Input::Pixels(&pixels), &weight, Epilogue::default(), |level, out, _| {
            close(&format!("{conv:?} {level:?} pixels"), out, &want, terms);
        });
    }
}

/// The chunks' sums amount to the sums of all rows.
fn check_stats(conv: &Conv, out: &[f32], stats: &[f32]) {
    let (dims, rows) = (conv.output, conv::stat_rows(conv));
    let width = dims.blocks() * 16;
    let pixels = dims.h * dims.w;
    for channel in 0..dims.c {
        let value = |row: usize| f64::from(out[(row / pixels * dims.c + channel) * pixels + row % pixels]);
        for (index, chunk) in stats.chunks(3 * width).enumerate() {
            let range = index * rows..((index + 1) * rows).min(dims.rows());
            let origin = value(range.start);
            let sums = [0, 1, 2].map(|part| f64::from(chunk[part * width + channel]));
            assert_eq!(sums[0], origin);
            let want = [1, 2].map(|power| range.clone().map(|row| (value(row) - origin).powi(power)).sum::<f64>());
            for (got, want) in sums[1..].iter().zip(want) {
                assert!((got - want).abs() <= 1e-4 * (1.0 + want.abs()), "{conv:?}: {got} for {want}");
            }
        }
    }
}

proptest! {
    #![proptest_config(cases())]
    #[test]
    fn equals_the_definition(conv in any_conv()) {
        if let Some(conv) = conv {
            check(&conv);
        }
    }
}

#[test]
fn large_ones_equal_the_definition() {
    large().iter().for_each(check);
}
