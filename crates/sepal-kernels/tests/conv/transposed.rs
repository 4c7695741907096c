//! Transposed convolutions, against the gradients of the convolution's definition.

use super::*;
use sepal_kernels::{Act, Exec, GradSource, Source, Write, conv};

/// Of the transpose of `conv`: what it reads has the size of `conv.output`, what it makes that of `conv.input`.
fn check(conv: &Conv) {
    let x = noises(1, nchw_len(conv.output));
    let g = noises(2, nchw_len(conv.input));
    let weight = noises(3, conv.weight_len());
    let bias = noises(4, conv.input.c);
    let before = noises(5, nchw_len(conv.output));
    let [scale, shift] = [6, 7].map(|seed| padded(&noises(seed, conv.output.c), conv.output));
    let value = map(conv.output, &wide(&x), |z, c| (z * f64::from(scale[c]) + f64::from(shift[c])).max(0.0));
    let unused = vec![0.0; nchw_len(conv.input)];
    let [out, _] = naive::backward(conv, &unused, &wide(&weight), &value);
    let out = map(conv.input, &out, |value, c| value + f64::from(bias[c]));
    let mut dx = naive::forward(conv, &wide(&g), &wide(&weight));
    dx.iter_mut().zip(&before).for_each(|(dx, before)| *dx += f64::from(*before));
    let [_, dw] = naive::backward(conv, &wide(&g), &wide(&weight), &value);
    let terms = [conv.output.c / conv.groups, conv.input.c / conv.groups].map(|c| c * conv.taps());

    let (x, g, bias) = (blocked(conv.output, &x), blocked(conv.input, &g), padded(&bias, conv.input));
    let source = Source { z: &x, affine: Some((&scale, &shift)), act: Act::Relu };
    let pools = pools();
    for level in levels() {
        let results = pools.each_ref().map(|pool| {
            let exec = Exec { level, pool };
            let threads = sepal_kernels::pool::Pool::threads(pool);
            let mut packed_back = Buffer::zeroed(conv::packed_back_len(conv));
            conv::pack_back(exec, conv, &weight, &mut packed_back);
            let mut packed = Buffer::zeroed(conv::packed_len(conv));
            conv::pack(exec, conv, &weight, &mut packed);
            let mut out = blocked(conv.input, &vec![f32::NAN; nchw_len(conv.input)]);
            let mut scratch = Buffer::zeroed(conv::transposed::forward_scratch(conv, threads));
            scratch.fill(f32::NAN);
            conv::transposed::forward(exec, conv, source, &packed_back, Some(&bias), &mut out, &mut scratch);
            let mut dx = blocked(conv.output, &before);
            let mut dw = vec![f32::NAN; conv.weight_len()];
            let mut scratch = Buffer::zeroed(conv::transposed::backward_scratch(conv, threads));
            scratch.fill(f32::NAN);
            let to = Some((&mut dx[..], Write::Add));
            conv::transposed::backward(
                exec,
                conv,
                GradSource::plain(&g),
                source,
                &packed,
                to,
                Some(&mut dw),
                &mut scratch,
            );
            [dense(conv.input, &out), dense(conv.output, &dx), dw]
        });
        let bits = |all: &[Vec<f32>; 3]| all.each_ref().map(|v| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
        assert_eq!(bits(&results[0]), bits(&results[1]), "{conv:?} {level:?}");
        let what = format!("{conv:?} {level:?}");
        close(&format!("{what} out"), &results[0][0], &out, terms[0]);
        close(&format!("{what} dx"), &results[0][1], &dx, terms[1]);
        close(&format!("{what} dw"), &results[0][2], &dw, conv.output.rows());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..cases() })]
    #[test]
    fn equals_the_definition(conv in any_conv()) {
        if let Some(conv) = conv {
            check(&conv);
        }
    }
}

#[test]
fn large_ones_equal_the_definition() {
    large()[..8].iter().for_each(check);
}

/// The 2×2 and 3×3 kernels that decoders enlarge with.
#[test]
fn decoders_equal_the_definition() {
    for (kernel, padding, output) in [(2, 0, 10), (3, 1, 10), (4, 1, 10)] {
        let (input, output) = (Dims::new(2, 20, output, output), Dims::new(2, 33, 5, 5));
        check(&Conv {
            input,
            output,
            kernel: [kernel; 2],
            stride: [2, 2],
            padding: [padding; 2],
            dilation: [1, 1],
            groups: 1,
        });
    }
}
