//! Pointwise convolutions by Strassen's algorithm: against the definition, beside the ordinary product, image by image.

use super::*;
use sepal_kernels::conv::strassen;
use sepal_kernels::{Act, Epilogue, Exec, Input, Source, conv, pool::Pool};

fn run(level: Level, pool: &dyn Pool, conv: &Conv, x: &[f32], weight: &[f32], epilogue: Epilogue<'_>) -> Buffer {
    let exec = Exec { level, pool };
    let mut packed = Buffer::zeroed(strassen::packed_len(conv));
    packed.fill(f32::NAN);
    strassen::pack(exec, conv, weight, &mut packed);
    let mut out = Buffer::zeroed(conv.output.len());
    out.fill(f32::NAN);
    let mut scratch = Buffer::zeroed(strassen::forward_scratch(conv, pool.threads()));
    scratch.fill(f32::NAN);
    strassen::forward(exec, conv, x, &packed, epilogue, &mut out, &mut scratch);
    out
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn pointwise(n: usize, c: usize, filters: usize, size: [usize; 2]) -> Conv {
    Conv::pointwise(Dims::new(n, c, size[0], size[1]), filters)
}

/// With each epilogue; both pools must agree to the bit.
fn check(conv: &Conv) {
    let x = noises(1, nchw_len(conv.input));
    let weight = noises(2, conv.weight_len());
    let buffer = blocked(conv.input, &x);
    let raw = naive::forward(conv, &wide(&x), &wide(&weight));
    let bias = noises(5, conv.output.c);
    let padded_bias = padded(&bias, conv.output);
    let scale = noises(8, conv.output.c);
    let padded_scale = padded(&scale, conv.output);
    let add = noises(6, nchw_len(conv.output));
    let add_buffer = blocked(conv.output, &add);
    let slopes = padded(&noises(7, conv.output.c), conv.output);
    let pools = pools();
    type Apply<'a> = &'a dyn Fn(f64, usize) -> f64;
    let acts: [(Act<'_>, Apply<'_>); 5] = [
        (Act::None, &|z, _| z),
        (Act::Relu6, &|z, _| z.clamp(0.0, 6.0)),
        (Act::HardSwish, &|z, _| z * (z / 6.0 + 0.5).clamp(0.0, 1.0)),
        (Act::Silu, &|z, _| z / (1.0 + (-z).exp())),
        (Act::Prelu(&slopes), &|z, c| if z > 0.0 { z } else { f64::from(slopes[c]) * z }),
    ];
    for (index, (act, f)) in acts.into_iter().enumerate() {
        let [has_scale, has_bias, has_add] = [index >= 2, index % 2 == 1, index / 2 == 1];
        let epilogue = Epilogue {
            scale: has_scale.then_some(&padded_scale[..]),
            bias: has_bias.then_some(&padded_bias[..]),
            add: has_add.then_some(&add_buffer[..]),
            act,
        };
        let scaled = map(conv.output, &raw, |z, c| if has_scale { z * f64::from(scale[c]) } else { z });
        let with_bias = map(conv.output, &scaled, |z, c| if has_bias { z + f64::from(bias[c]) } else { z });
        let with_add: Vec<f64> =
            with_bias.iter().zip(&add).map(|(z, add)| if has_add { z + f64::from(*add) } else { *z }).collect();
        let want = map(conv.output, &with_add, f);
        for level in levels() {
            let [alone, together] =
                pools.each_ref().map(|pool| dense(conv.output, &run(level, pool, conv, &buffer, &weight, epilogue)));
            assert_eq!(bits(&alone), bits(&together), "{conv:?} {level:?}");
            close(&format!("{conv:?} {level:?} {act:?}"), &alone, &want, conv.input.c);
        }
    }
}

prop_compose! {
    /// Any small one, with tails of channels, odd panels, and odd numbers of rows.
    fn any_pointwise()(
        n in 1usize..4,
        c in 32usize..140,
        filters in 17usize..120,
        size in [1usize..9, 1usize..9],
    ) -> Conv {
        pointwise(n, c, filters, size)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..cases() })]
    #[test]
    fn equals_the_definition(conv in any_pointwise()) {
        check(&conv);
    }
}

#[test]
fn those_of_several_row_blocks_equal_the_definition() {
    for conv in [
        pointwise(2, 64, 48, [23, 23]),
        pointwise(1, 728, 40, [19, 19]),
        pointwise(3, 33, 17, [7, 7]),
        pointwise(1, 1040, 100, [9, 11]),
        pointwise(1, 32, 1000, [1, 1]),
    ] {
        check(&conv);
    }
}

#[test]
fn an_image_has_the_same_bits_in_any_batch() {
    for (c, filters, size) in [(96, 64, [7, 7]), (72, 50, [19, 18])] {
        let conv = pointwise(3, c, filters, size);
        let mut x = noises(1, nchw_len(conv.input));
        let each = x.len() / 3;
        // Large neighbours must not cost a small image its digits.
        x[each..2 * each].iter_mut().for_each(|value| *value *= 1e6);
        let weight = noises(2, conv.weight_len());
        let one = pointwise(1, c, filters, size);
        for level in levels() {
            let pool = &pools()[1];
            let run = |conv: &Conv, x: &[f32]| {
                let out = run(level, pool, conv, &blocked(conv.input, x), &weight, Epilogue::default());
                bits(&dense(conv.output, &out))
            };
            let singles: Vec<u32> = x.chunks(each).flat_map(|image| run(&one, image)).collect();
            assert!(run(&conv, &x) == singles, "{conv:?} {level:?}");
        }
    }
}

/// With the inputs and weights that networks have (He et al. 2015): the greatest error, in relation to the root mean square
/// of the results, beside that of the ordinary product.
#[test]
fn errors_are_those_of_the_ordinary_product_to_a_small_factor() {
    // Nearly normal, deviation 1.
    let normal = |seed: u64, len: usize| -> Vec<f32> {
        (0..len).map(|index| (0..12).map(|part| noise(seed + part, index)).sum::<f32>() / 2.0).collect()
    };
    for c in [256, 512, 1024] {
        let conv = pointwise(1, c, 64, [8, 8]);
        let x: Vec<f32> = normal(1, nchw_len(conv.input)).into_iter().map(|value| value.max(0.0)).collect();
        let deviation = (2.0 / c as f32).sqrt();
        let weight: Vec<f32> = normal(100, conv.weight_len()).into_iter().map(|value| value * deviation).collect();
        let want = naive::forward(&conv, &wide(&x), &wide(&weight));
        let size = (want.iter().map(|value| value * value).sum::<f64>() / want.len() as f64).sqrt();
        let worst = |out: &[f32]| {
            let errors =
                dense(conv.output, out).into_iter().zip(&want).map(|(got, want)| (f64::from(got) - want).abs());
            errors.fold(0.0, f64::max) / size
        };
        let [pool, _] = pools();
        let buffer = blocked(conv.input, &x);
        for level in levels() {
            let exec = Exec { level, pool: &pool };
            let mut packed = Buffer::zeroed(conv::packed_len(&conv));
            conv::pack(exec, &conv, &weight, &mut packed);
            let mut out = Buffer::zeroed(conv.output.len());
            let mut scratch = Buffer::zeroed(conv::forward_scratch(&conv, 1));
            let input = Input::Blocked(Source::plain(&buffer));
            conv::forward(exec, &conv, input, &packed, Epilogue::default(), &mut out, None, &mut scratch);
            let ordinary = worst(&out);
            let halved = worst(&run(level, &pool, &conv, &buffer, &weight, Epilogue::default()));
            println!("{c} channels, {}: {ordinary:.1e}, by Strassen's algorithm {halved:.1e}", level.name());
            assert!(halved < 4.0 * ordinary && halved < 1e-5, "{c}: {halved:e} beside {ordinary:e}");
        }
    }
}
