//! Winograd's algorithm: all sizes, epilogues and levels, against the definition and the direct convolution.

use super::*;
use sepal_kernels::conv::winograd::{self, Tile};
use sepal_kernels::{Act, Epilogue, Exec, Input, Source, conv};

const TILES: [Tile; 2] = [Tile::Two, Tile::Four];

fn run(exec: Exec<'_>, conv: &Conv, tile: Tile, x: &[f32], weight: &[f32], epilogue: Epilogue<'_>) -> Vec<f32> {
    let mut packed = Buffer::zeroed(winograd::packed_len(conv, tile));
    packed.fill(f32::NAN);
    winograd::pack(exec, conv, tile, weight, &mut packed);
    let mut out = Buffer::zeroed(conv.output.len());
    out.fill(f32::NAN);
    let threads = sepal_kernels::pool::Pool::threads(exec.pool);
    let mut scratch = Buffer::zeroed(winograd::forward_scratch(conv, tile, threads));
    scratch.fill(f32::NAN);
    winograd::forward(exec, conv, tile, x, &packed, epilogue, &mut out, &mut scratch);
    for block in 0..conv.output.blocks() {
        let plane = &out[block * conv.output.plane()..][..conv.output.rows() * 16];
        assert!(plane.iter().all(|value| value.is_finite()), "{conv:?} {tile:?}: a lane is not finite");
    }
    dense(conv.output, &out)
}

/// As [`close`], for results whose error depends on the sizes of all products of a tile.
fn near(what: &str, got: &[f32], want: &[f64], terms: usize) {
    assert_eq!(got.len(), want.len(), "{what}");
    let bound = 8e-6 * (terms as f64).sqrt();
    for (index, (&got, &want)) in got.iter().zip(want).enumerate() {
        assert!((f64::from(got) - want).abs() <= bound, "{what}[{index}]: {got} for {want}");
    }
}

/// Every level, pool and tile; the pools must agree to the bit.
fn check(conv: &Conv) {
    let terms = conv.input.c * 9;
    let x = noises(1, nchw_len(conv.input));
    let weight = noises(2, conv.weight_len());
    let add = noises(3, nchw_len(conv.output));
    let [bias, slopes, scale] = [4, 5, 6].map(|seed| noises(seed, conv.output.c));
    let [padded_bias, padded_slopes, padded_scale] = [&bias, &slopes, &scale].map(|values| padded(values, conv.output));
    let (input, added) = (blocked(conv.input, &x), blocked(conv.output, &add));
    let plain = naive::forward(conv, &wide(&x), &wide(&weight));
    let scaled = map(conv.output, &plain, |z, c| z * f64::from(scale[c]) + f64::from(bias[c]));
    let scaled = scaled.iter().zip(&add).map(|(a, b)| (a + f64::from(*b)).max(0.0)).collect();
    let raw: Vec<f64> = plain.iter().zip(&add).map(|(a, b)| a + f64::from(*b)).collect();
    let raw = map(conv.output, &raw, |z, c| z + f64::from(bias[c]));
    let full = |act| Epilogue { bias: Some(&padded_bias), add: Some(&added), act, ..Epilogue::default() };
    let cases = [
        (Epilogue::default(), plain),
        (Epilogue { scale: Some(&padded_scale), ..full(Act::Relu) }, scaled),
        (full(Act::Relu), map(conv.output, &raw, |z, _| z.max(0.0))),
        (
            full(Act::Prelu(&padded_slopes)),
            map(conv.output, &raw, |z, c| z.max(0.0) + z.min(0.0) * f64::from(slopes[c])),
        ),
    ];
    let pools = pools();
    for (epilogue, want) in cases {
        for (level, tile) in levels().into_iter().flat_map(|level| TILES.map(|tile| (level, tile))) {
            let results = pools.each_ref().map(|pool| run(Exec { level, pool }, conv, tile, &input, &weight, epilogue));
            assert!(results[0] == results[1], "{conv:?} {level:?} {tile:?}: one thread and three differ");
            near(&format!("{conv:?} {level:?} {tile:?} {:?}", epilogue.act), &results[0], &want, terms);
        }
    }
}

fn three(n: usize, c: usize, filters: usize, size: [usize; 2], padding: [usize; 4], dilation: usize) -> Conv {
    conv(n, c, filters, size, [3, 3], [1, 1], padding, [dilation; 2], 1).unwrap()
}

prop_compose! {
    fn any_three()(
        n in 1usize..4,
        c in prop_oneof![1usize..10, 15usize..19, 30usize..42],
        filters in prop_oneof![1usize..10, 15usize..19, 30usize..42],
        size in [1usize..15, 1usize..15],
        padding in [0usize..3, 0usize..3, 0usize..3, 0usize..3],
        dilation in [1usize..5, 1usize..5],
    ) -> Option<Conv> {
        conv(n, c, filters, size, [3, 3], [1, 1], padding, dilation, 1)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..cases() })]
    #[test]
    fn equals_the_definition(conv in any_three()) {
        if let Some(conv) = conv {
            check(&conv);
        }
    }
}

/// In blocks of tiles of each worker's, and all transformed together.
#[test]
fn large_ones_equal_the_definition() {
    for conv in [
        three(1, 7, 16, [61, 67], [1; 4], 1),
        three(2, 40, 24, [23, 22], [0, 0, 1, 1], 1),
        three(1, 24, 40, [35, 9], [0; 4], 1),
        three(1, 200, 170, [7, 7], [1; 4], 1),
        three(3, 66, 100, [14, 14], [1; 4], 1),
        three(1, 12, 25, [40, 72], [16; 4], 16),
    ] {
        check(&conv);
    }
}

#[test]
fn images_do_not_depend_on_their_batch() {
    for (c, filters, size) in [(20, 33, 30), (130, 66, 7), (64, 64, 8)] {
        let [conv, one] = [3, 1].map(|n| three(n, c, filters, [size; 2], [1; 4], 1));
        let x = noises(1, nchw_len(conv.input));
        let weight = noises(2, conv.weight_len());
        for (level, tile) in levels().into_iter().flat_map(|level| TILES.map(|tile| (level, tile))) {
            let run = |conv: &Conv, x: &[f32]| {
                let pool = sepal_kernels::pool::Serial;
                let exec = Exec { level, pool: &pool };
                run(exec, conv, tile, &blocked(conv.input, x), &weight, Epilogue::default())
            };
            let single = x.chunks(x.len() / 3).flat_map(|x| run(&one, x)).collect::<Vec<_>>();
            assert!(run(&conv, &x) == single, "{conv:?} {level:?} {tile:?}");
        }
    }
}

/// A number of normal distribution for each index.
fn normals(seed: u64, len: usize) -> Vec<f32> {
    let (u, v) = (noises(seed, len), noises(seed + 1, len));
    let one = |(u, v): (f32, f32)| (-2.0 * (u.abs() + 1e-9).ln()).sqrt() * (std::f32::consts::PI * v).cos();
    u.into_iter().zip(v).map(one).collect()
}

/// The error, relative to the standard deviation of the result, stays near the direct convolution's.
#[test]
fn errors_stay_near_the_direct_ones() {
    for channels in [64, 256, 512] {
        let conv = three(1, channels, 16, [12, 12], [1; 4], 1);
        let (x, weight) = (normals(1, nchw_len(conv.input)), normals(3, conv.weight_len()));
        let want = naive::forward(&conv, &wide(&x), &wide(&weight));
        let norm = (want.iter().map(|value| value * value).sum::<f64>() / want.len() as f64).sqrt();
        let errors = |got: &[f32]| {
            let off = got.iter().zip(&want).map(|(got, want)| (f64::from(*got) - want).abs() / norm);
            (off.clone().fold(0.0, f64::max), (off.map(|off| off * off).sum::<f64>() / want.len() as f64).sqrt())
        };
        let pool = sepal_kernels::pool::Serial;
        let (exec, input) = (Exec::new(&pool), blocked(conv.input, &x));
        let mut packed = Buffer::zeroed(conv::packed_len(&conv));
        conv::pack(exec, &conv, &weight, &mut packed);
        let mut out = Buffer::zeroed(conv.output.len());
        let mut scratch = Buffer::zeroed(conv::forward_scratch(&conv, 1));
        let source = Input::Blocked(Source::plain(&input));
        conv::forward(exec, &conv, source, &packed, Epilogue::default(), &mut out, None, &mut scratch);
        let direct = errors(&dense(conv.output, &out));
        let [two, four] = TILES.map(|tile| errors(&run(exec, &conv, tile, &input, &weight, Epilogue::default())));
        println!("{channels} channels: max and mean square error {direct:.2?} {two:?} {four:?}");
        assert!(two.0 < 2.0 * direct.0 && two.1 < 1.5 * direct.1, "{channels}: {two:?}, directly {direct:?}");
        assert!(four.0 < 6.0 * direct.0 && four.1 < 6.0 * direct.1, "{channels}: {four:?}, directly {direct:?}");
    }
}
