//! Gradients: all sizes and sources, set and added.

use super::*;
use sepal_kernels::{Act, Exec, GradSource, Input, InputGrad, NormGrad, Source, Write, conv, norm, norm::GradSums};

struct Gradients {
    dx: Vec<f32>,
    dw: Vec<f32>,
    dbias: Vec<f32>,
    /// Of the input's norm, where they can be taken.
    sums: Vec<f32>,
}

/// The gradient of the input with the sums of the input's norm taken on the way, and these; `dw` too, if given.
fn with_sums(
    exec: Exec<'_>,
    conv: &Conv,
    dz: GradSource<'_>,
    x: Input<'_>,
    packed: &[f32],
    dw: Option<&mut [f32]>,
    scratch: &mut [f32],
) -> Option<[Vec<f32>; 2]> {
    let (Input::Blocked(source), Some(chunks)) = (x, conv::grad_chunks(conv)) else { return None };
    let mean = padded(&noises(20, conv.input.c), conv.input);
    let mut dx = Buffer::zeroed(conv.input.len());
    let mut partial = vec![f32::NAN; chunks * 2 * mean.len()];
    let sums = Some(GradSums { mean: &mean, partial: &mut partial });
    let to = InputGrad { sums, ..InputGrad::new(&mut dx, Write::Set) };
    conv::backward(exec, conv, dz, x, packed, Some(to), dw, None, scratch);
    // What the pass over the same gradient says.
    let mut wanted = vec![f32::NAN; norm::grad_sums_len(&conv.input)];
    norm::grad_sums(exec, &conv.input, &dx, source, &mean, &mut wanted);
    let channels = mean.len();
    let most = dx.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    for c in (0..2).flat_map(|part| (0..conv.input.c).map(move |c| part * channels + c)) {
        let [got, wanted] = [&partial, &wanted]
            .map(|sums| sums.chunks_exact(2 * channels).map(|chunk| f64::from(chunk[c])).sum::<f64>());
        let error = (got - wanted).abs();
        assert!(error <= f64::from(most) * 1e-6 * conv.input.rows() as f64, "{conv:?} sum {c}: {got} for {wanted}");
    }
    Some([dense(conv.input, &dx), partial])
}

fn run_all(
    conv: &Conv,
    dz: GradSource<'_>,
    x: Input<'_>,
    weight: &[f32],
    before: &[f32],
    write: Write,
    check: impl Fn(Level, &Gradients),
) {
    let pools = pools();
    let pixels = matches!(x, Input::Pixels(_));
    for level in levels() {
        let results = pools.each_ref().map(|pool| {
            let exec = Exec { level, pool };
            let threads = sepal_kernels::pool::Pool::threads(pool);
            let mut packed = Buffer::zeroed(conv::packed_back_len(conv));
            conv::pack_back(exec, conv, weight, &mut packed);
            let mut scratch = Buffer::zeroed(conv::backward_scratch(conv, threads));
            let mut dx = blocked(conv.input, before);
            let mut dw = vec![f32::NAN; conv.weight_len()];
            let mut dbias = vec![f32::NAN; conv.output.blocks() * 16];
            // Together, then each alone: the same bits.
            scratch.fill(f32::NAN);
            let wanted = (!pixels).then(|| InputGrad::new(&mut dx, write));
            conv::backward(exec, conv, dz, x, &packed, wanted, Some(&mut dw), Some(&mut dbias), &mut scratch);
            dbias.truncate(conv.output.c);
            let mut together = Gradients { dx: dense(conv.input, &dx), dw, dbias, sums: Vec::new() };
            scratch.fill(f32::NAN);
            let mut dx = blocked(conv.input, before);
            let mut dw = vec![f32::NAN; conv.weight_len()];
            let mut dbias = vec![f32::NAN; conv.output.blocks() * 16];
            conv::backward(exec, conv, dz, x, &packed, None, Some(&mut dw), None, &mut scratch);
            conv::backward(exec, conv, dz, x, &packed, None, None, Some(&mut dbias), &mut scratch);
            if !pixels {
                conv::backward(
                    exec,
                    conv,
                    dz,
                    x,
                    &packed,
                    Some(InputGrad::new(&mut dx, write)),
                    None,
                    None,
                    &mut scratch,
                );
            }
            dbias.truncate(conv.output.c);
            let mut alone = Gradients { dx: dense(conv.input, &dx), dw, dbias, sums: Vec::new() };
            if write == Write::Set {
                let mut dw = alone.dw.clone();
                for (gradients, dw) in [(&mut together, Some(&mut dw[..])), (&mut alone, None)] {
                    scratch.fill(f32::NAN);
                    if let Some([dx, sums]) = with_sums(exec, conv, dz, x, &packed, dw, &mut scratch) {
                        assert_eq!(dx, gradients.dx, "{conv:?} dx, its sums taken");
                        gradients.sums = sums;
                    }
                }
                assert_eq!(dw, alone.dw, "{conv:?} dw, sums taken");
            }
            [together, alone]
        });
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let [first, others @ ..] = &results.each_ref().map(|result| &result[0]);
        for other in others.iter().copied().chain(results.iter().map(|result| &result[1])) {
            assert_eq!(bits(&first.dx), bits(&other.dx), "{conv:?} {level:?} dx");
            assert_eq!(bits(&first.dw), bits(&other.dw), "{conv:?} {level:?} dw");
            assert_eq!(bits(&first.dbias), bits(&other.dbias), "{conv:?} {level:?} dbias");
            assert_eq!(bits(&first.sums), bits(&other.sums), "{conv:?} {level:?} sums");
        }
        check(level, first);
    }
}

fn check(conv: &Conv) {
    let x = noises(1, nchw_len(conv.input));
    let g = noises(2, nchw_len(conv.output));
    let weight = noises(3, conv.weight_len());
    let before = noises(4, nchw_len(conv.input));
    let [x_buffer, g_buffer] = [(conv.input, &x), (conv.output, &g)].map(|(dims, values)| blocked(dims, values));
    let terms = [conv.output.c / conv.groups * conv.taps(), conv.output.rows()];
    let compare = |what: &str, got: &Gradients, [dx, dw]: &[Vec<f64>; 2], dz: &[f64]| {
        close(&format!("{what} dx"), &got.dx, dx, terms[0]);
        close(&format!("{what} dw"), &got.dw, dw, terms[1]);
        close(&format!("{what} dbias"), &got.dbias, &naive::channel_sums(conv.output, dz), terms[1]);
    };
    let plain = naive::backward(conv, &wide(&x), &wide(&weight), &wide(&g));
    let x_plain = Input::Blocked(Source::plain(&x_buffer));
    run_all(conv, GradSource::plain(&g_buffer), x_plain, &weight, &before, Write::Set, |level, got| {
        compare(&format!("{conv:?} {level:?}"), got, &plain, &wide(&g));
    });

    let vector = |seed: u64, dims: Dims| {
        let values = noises(seed, dims.c);
        let padded = padded(&values, dims);
        (values, padded)
    };
    let [scale, shift] = [5, 6].map(|seed| vector(seed, conv.input));
    let source = Source { z: &x_buffer, affine: Some((&scale.1, &shift.1)), act: Act::Relu };
    let value = map(conv.input, &wide(&x), |z, c| (z * f64::from(scale.0[c]) + f64::from(shift.0[c])).max(0.0));
    let z = noises(7, nchw_len(conv.output));
    let z_buffer = blocked(conv.output, &z);
    let [to_scale, to_shift, k1, k2, k3] = [8, 9, 10, 11, 12].map(|seed| vector(seed, conv.output));
    let dz_source = GradSource {
        g: &g_buffer,
        source: Source { z: &z_buffer, affine: Some((&to_scale.1, &to_shift.1)), act: Act::Relu6 },
        norm: Some(NormGrad { k1: &k1.1, k2: &k2.1, k3: &k3.1 }),
    };
    let pixels = conv.output.h * conv.output.w;
    let dz: Vec<f64> = (0..g.len())
        .map(|at| {
            let c = at / pixels % conv.output.c;
            let y = f64::from(z[at].mul_add(to_scale.0[c], to_shift.0[c]));
            let g = if y > 0.0 && y < 6.0 { f64::from(g[at]) } else { 0.0 };
            g * f64::from(k1.0[c]) + f64::from(z[at]) * f64::from(k2.0[c]) + f64::from(k3.0[c])
        })
        .collect();
    let mut want = naive::backward(conv, &value, &wide(&weight), &dz);
    want[0].iter_mut().zip(&before).for_each(|(dx, before)| *dx += f64::from(*before));
    run_all(conv, dz_source, Input::Blocked(source), &weight, &before, Write::Add, |level, got| {
        compare(&format!("{conv:?} {level:?} transformed"), got, &want, &dz);
    });

    if conv.input.c < 16 {
        let Dims { n, c, h, w } = conv.input;
        let mut pictures = Vec::new();
        for at in 0..n * h * w {
            pictures.extend((0..c).map(|channel| x[(at / (h * w) * c + channel) * h * w + at % (h * w)]));
        }
        let pictures = Input::Pixels(&pictures);
        run_all(conv, GradSource::plain(&g_buffer), pictures, &weight, &before, Write::Set, |level, got| {
            close(&format!("{conv:?} {level:?} pixels dw"), &got.dw, &plain[1], terms[1]);
        });
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

/// The gradients of the definition, against the definition itself by finite differences.
#[test]
fn the_definition_differentiates_itself() {
    let conv = conv(2, 4, 6, [5, 6], [3, 2], [2, 1], [1, 0, 0, 2], [1, 2], 2).unwrap();
    let x = wide(&noises(1, nchw_len(conv.input)));
    let weight = wide(&noises(2, conv.weight_len()));
    let g = wide(&noises(3, nchw_len(conv.output)));
    let loss = |x: &[f64], weight: &[f64]| -> f64 {
        naive::forward(&conv, x, weight).iter().zip(&g).map(|(out, g)| out * g).sum()
    };
    let [dx, dw] = naive::backward(&conv, &x, &weight, &g);
    let differ = |values: &[f64], at: usize, loss: &dyn Fn(&[f64]) -> f64| {
        let [up, down] = [1e-4, -1e-4].map(|step| {
            let mut moved = values.to_vec();
            moved[at] += step;
            loss(&moved)
        });
        (up - down) / 2e-4
    };
    for at in (0..x.len()).step_by(7) {
        assert!((differ(&x, at, &|x| loss(x, &weight)) - dx[at]).abs() < 1e-7);
    }
    for at in (0..weight.len()).step_by(5) {
        assert!((differ(&weight, at, &|weight| loss(&x, weight)) - dw[at]).abs() < 1e-7);
    }
}

/// A gradient that is stored past the caches after its sums were taken.
#[test]
fn sums_of_large_gradients_are_taken_before_they_are_streamed() {
    let conv = Conv::pointwise(Dims::new(1, 160, 115, 116), 20);
    assert!(conv.input.len() > 2 << 20);
    let [x, g] = [(1, conv.input), (2, conv.output)].map(|(seed, dims)| blocked(dims, &noises(seed, nchw_len(dims))));
    let vector = |seed| padded(&noises(seed, conv.input.c), conv.input);
    let (scale, shift) = (vector(3), vector(4));
    let source = Source { z: &x, affine: Some((&scale, &shift)), act: Act::Relu };
    let (dz, x) = (GradSource::plain(&g), Input::Blocked(source));
    for pool in &pools() {
        let exec = Exec::new(pool);
        let mut packed = Buffer::zeroed(conv::packed_back_len(&conv));
        conv::pack_back(exec, &conv, &noises(5, conv.weight_len()), &mut packed);
        let mut scratch = Buffer::zeroed(conv::backward_scratch(&conv, sepal_kernels::pool::Pool::threads(pool)));
        let mut dx = Buffer::zeroed(conv.input.len());
        let to = Some(InputGrad::new(&mut dx, Write::Set));
        conv::backward(exec, &conv, dz, x, &packed, to, None, None, &mut scratch);
        let [with, _] = with_sums(exec, &conv, dz, x, &packed, None, &mut scratch).unwrap();
        assert!(with == dense(conv.input, &dx));
    }
}
