use super::*;
use crate::layout::Buffer;
use crate::testing::{Numbers, assert_close, blocked, everywhere, index, naive_value, nchw};
use crate::{Act, Exec};
use proptest::prelude::*;

fn pools() -> impl Strategy<Value = Pool> {
    let kind = prop_oneof![
        Just(Kind::Max),
        Just(Kind::Average { count_include_pad: true }),
        Just(Kind::Average { count_include_pad: false })
    ];
    let sizes = (1..4usize, prop_oneof![Just(16usize), Just(17), 1..40usize], 1..14usize, 1..14usize);
    let windows = ([1..5usize, 1..5usize], [1..4usize, 1..4usize], [0..3usize, 0..3usize], [0..3usize, 0..3usize]);
    (kind, sizes, windows, any::<bool>()).prop_filter_map(
        "an empty output",
        |(kind, (n, c, h, w), (kernel, stride, padding, end), ceil)| {
            let padding = [0, 1].map(|axis| padding[axis].min(kernel[axis] / 2));
            let padding_end = [0, 1].map(|axis| end[axis].min(kernel[axis] / 2));
            let output = |axis: usize, size: usize| {
                let span = (size + padding[axis] + padding_end[axis]).checked_sub(kernel[axis])?;
                let more = if ceil { stride[axis] - 1 } else { 0 };
                let count = (span + more) / stride[axis] + 1;
                // As PyTorch: the last window starts inside the picture or its padding before.
                let past = (count - 1) * stride[axis] >= size + padding[axis];
                Some(if past { count - 1 } else { count })
            };
            let (oh, ow) = (output(0, h)?, output(1, w)?);
            let (input, output) = (Dims::new(n, c, h, w), Dims::new(n, c, oh, ow));
            (oh * ow > 0).then_some(Pool { kind, input, output, kernel, stride, padding, padding_end })
        },
    )
}

/// For each output: its pixels inside the picture, and what an average divides by.
fn windows(pool: &Pool) -> Vec<(usize, Vec<usize>, f64)> {
    let mut all = Vec::new();
    let (input, output) = (pool.input, pool.output);
    for (n, c) in (0..output.n).flat_map(|n| (0..output.c).map(move |c| (n, c))) {
        for (oy, ox) in (0..output.h).flat_map(|y| (0..output.w).map(move |x| (y, x))) {
            let (mut inside, mut padded) = (Vec::new(), 0);
            for (ky, kx) in (0..pool.kernel[0]).flat_map(|y| (0..pool.kernel[1]).map(move |x| (y, x))) {
                let (y, x) = (oy * pool.stride[0] + ky, ox * pool.stride[1] + kx);
                let counts = y < input.h + pool.padding[0] + pool.padding_end[0]
                    && x < input.w + pool.padding[1] + pool.padding_end[1];
                padded += usize::from(counts);
                let (y, x) = (y.wrapping_sub(pool.padding[0]), x.wrapping_sub(pool.padding[1]));
                if y < input.h && x < input.w {
                    inside.push(index(input, n, c, y, x));
                }
            }
            let count = match pool.kind {
                Kind::Average { count_include_pad: true } => padded,
                _ => inside.len(),
            };
            all.push((index(output, n, c, oy, ox), inside, count as f64));
        }
    }
    all
}

fn buffer(dims: Dims) -> Buffer {
    let mut buffer = Buffer::zeroed(dims.len());
    buffer.fill(f32::NAN);
    buffer
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn windows_are_reduced(pool in pools(), affine in any::<bool>(), seed in any::<u64>()) {
        let mut numbers = Numbers::new(seed);
        let (input, output) = (pool.input, pool.output);
        // Few values, so that equal maxima occur.
        let z: Vec<f32> = (0..input.rows() * input.c).map(|_| numbers.below(5) as f32 - 2.0).collect();
        let g = numbers.floats(output.rows() * output.c);
        let before = numbers.floats(z.len());
        let (scale, shift) = (numbers.channels(input), numbers.channels(input));
        let affine = affine.then_some((&scale[..], &shift[..]));
        let act = if affine.is_some() { Act::Relu } else { Act::None };
        let x = naive_value(input, &z, affine, act);
        let (mut want, mut dx) = (vec![0.0; g.len()], vec![0.0; z.len()]);
        for (out, inside, count) in windows(&pool) {
            let gradient = f64::from(g[out]);
            if pool.kind == Kind::Max {
                let Some(&first) = inside.first() else { continue };
                let best = inside.iter().fold(first, |best, &at| if x[at] > x[best] { at } else { best });
                want[out] = x[best];
                dx[best] += gradient;
            } else {
                want[out] = inside.iter().map(|&at| x[at]).sum::<f64>() / count.max(1.0);
                inside.iter().for_each(|&at| dx[at] += gradient / count.max(1.0));
            }
        }
        let added: Vec<f64> = dx.iter().zip(&before).map(|(a, b)| a + f64::from(*b)).collect();
        let (z, g) = (blocked(input, &z), blocked(output, &g));
        everywhere(|exec, name| {
            let x = Source { z: &z, affine, act };
            let (mut out, mut set, mut sum) = (buffer(output), buffer(input), blocked(input, &before));
            forward(exec, &pool, x, &mut out);
            backward(exec, &pool, GradSource::plain(&g), x, &mut set, Write::Set);
            backward(exec, &pool, GradSource::plain(&g), x, &mut sum, Write::Add);
            let (out, set, sum) = (nchw(output, &out), nchw(input, &set), nchw(input, &sum));
            assert_close(&out, &want, 1e-6, name);
            assert_close(&set, &dx, 1e-6, name);
            assert_close(&sum, &added, 1e-6, name);
            vec![out, set, sum]
        });
    }

    #[test]
    fn the_whole_picture_is_averaged(n in 1..4usize, c in 1..40usize, h in 1..9usize, w in 1..9usize, seed in any::<u64>()) {
        let dims = Dims::new(n, c, h, w);
        let small = Dims::new(n, c, 1, 1);
        let mut numbers = Numbers::new(seed);
        let (z, g) = (numbers.floats(n * c * h * w), numbers.floats(n * c));
        let before = numbers.floats(z.len());
        let x = naive_value(dims, &z, None, Act::Relu);
        let pixels = (h * w) as f64;
        let want: Vec<f64> = x.chunks_exact(h * w).map(|x| x.iter().sum::<f64>() / pixels).collect();
        let dx: Vec<f64> = (0..z.len()).map(|at| f64::from(g[at / (h * w)]) / pixels).collect();
        let added: Vec<f64> = dx.iter().zip(&before).map(|(a, b)| a + f64::from(*b)).collect();
        let (z, g) = (blocked(dims, &z), blocked(small, &g));
        everywhere(|exec: Exec<'_>, name: &str| {
            let (mut out, mut set, mut sum) = (buffer(small), buffer(dims), blocked(dims, &before));
            global_average(exec, &dims, Source { z: &z, affine: None, act: Act::Relu }, &mut out);
            global_average_grad(exec, &dims, GradSource::plain(&g), &mut set, Write::Set);
            global_average_grad(exec, &dims, GradSource::plain(&g), &mut sum, Write::Add);
            let (out, set, sum) = (nchw(small, &out), nchw(dims, &set), nchw(dims, &sum));
            assert_close(&out, &want, 1e-6, name);
            assert_close(&set, &dx, 1e-6, name);
            assert_close(&sum, &added, 1e-6, name);
            vec![out, set, sum]
        });
    }
}
