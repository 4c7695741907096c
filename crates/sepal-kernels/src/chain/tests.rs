use super::*;
use crate::Act;
use crate::isa::Level;
use crate::layout::{Buffer, Dims};
use crate::pool::{Pool, Serial, ThreadPool};
use crate::source::Source;
use crate::testing::{Numbers, blocked, nchw};
use crate::{conv, depthwise};
use proptest::prelude::*;

/// Acts that a chain takes.
const ACTS: [Act<'static>; 6] =
    [Act::None, Act::Relu, Act::Relu6, Act::HardSwish, Act::HardSigmoid, Act::Clip(-0.5, 0.7)];

#[derive(Clone, Debug)]
struct Case {
    images: usize,
    size: [usize; 2],
    channels: usize,
    /// Of the first layer, if it reads pixels.
    pixels: bool,
    /// Pointwise to so many channels, or depthwise with this kernel, stride and dilation.
    layers: Vec<Result<usize, [usize; 3]>>,
    add: bool,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let channels = || prop_oneof![Just(1usize), Just(16), Just(24), 1..50usize];
    let pointwise = || channels().prop_map(Ok);
    let filter = || {
        prop_oneof![
            Just([3, 1, 1]),
            Just([3, 2, 1]),
            Just([5, 1, 1]),
            Just([5, 2, 1]),
            Just([3, 1, 2]),
            Just([7, 3, 1])
        ]
        .prop_map(Err)
    };
    let layers = prop_oneof![
        (filter(), pointwise()).prop_map(|(a, b)| vec![a, b]),
        (pointwise(), filter()).prop_map(|(a, b)| vec![a, b]),
        (pointwise(), filter(), pointwise()).prop_map(|(a, b, c)| vec![a, b, c]),
        (filter(), pointwise(), filter(), pointwise()).prop_map(|(a, b, c, d)| vec![a, b, c, d]),
        (filter(), filter()).prop_map(|(a, b)| vec![a, b]),
    ];
    let size = (1..40usize, prop_oneof![1..40usize, Just(14), Just(56), Just(112)]).prop_map(|(h, w)| [h, w]);
    (1..3usize, size, channels(), any::<bool>(), layers, any::<bool>(), any::<u64>()).prop_map(
        |(images, size, channels, pixels, layers, add, seed)| Case {
            images,
            size,
            channels,
            pixels,
            layers,
            add,
            seed,
        },
    )
}

/// The layers' sizes.
fn convs(case: &Case) -> Vec<Conv> {
    let mut input = Dims::new(case.images, case.channels, case.size[0], case.size[1]);
    let mut convs = Vec::new();
    if case.pixels {
        input.c = 3;
        let output = Dims { c: case.channels, h: input.h.div_ceil(2), w: input.w.div_ceil(2), ..input };
        let sizes = ([3, 3], [2, 2], [1, 1], [1, 1]);
        let (kernel, stride, padding, dilation) = sizes;
        convs.push(Conv { input, output, kernel, stride, padding, dilation, groups: 1 });
        input = output;
    }
    for layer in &case.layers {
        let conv = match *layer {
            Ok(filters) => Conv::pointwise(input, filters),
            Err([kernel, stride, dilation]) => {
                let output = Dims { h: input.h.div_ceil(stride), w: input.w.div_ceil(stride), ..input };
                Conv {
                    input,
                    output,
                    kernel: [kernel; 2],
                    stride: [stride; 2],
                    padding: [(kernel - 1) * dilation / 2; 2],
                    dilation: [dilation; 2],
                    groups: input.c,
                }
            }
        };
        input = conv.output;
        convs.push(conv);
    }
    convs.truncate(LONGEST);
    convs
}

fn check(case: &Case) {
    let convs = convs(case);
    let mut numbers = Numbers::new(case.seed);
    let input = convs[0].input;
    let nchw_input = numbers.floats(input.n * input.c * input.h * input.w);
    let mut pixels = vec![0.0; nchw_input.len()];
    crate::pixels_from_nchw(Exec::new(&Serial), input, &nchw_input, &mut pixels);
    let x = blocked(input, &nchw_input);
    let weights: Vec<Vec<f32>> = convs.iter().map(|conv| numbers.floats(conv.weight_len())).collect();
    let biases: Vec<Vec<f32>> = convs.iter().map(|conv| numbers.channels(conv.output)).collect();
    let scales: Vec<Vec<f32>> = convs.iter().map(|conv| numbers.channels(conv.output)).collect();
    let acts: Vec<Act<'_>> = convs.iter().map(|_| ACTS[numbers.below(ACTS.len())]).collect();
    let output = convs[convs.len() - 1].output;
    let adds = case.add && !convs[convs.len() - 1].is_depthwise();
    let addend = blocked(output, &numbers.floats(output.n * output.c * output.h * output.w));
    let pools: [&dyn Pool; 2] = [&Serial, &ThreadPool::new(3).unwrap()];
    for level in Level::available() {
        let exec = Exec { level, pool: &Serial };
        let mut links = Vec::new();
        let packed: Vec<Vec<f32>> = (convs.iter().zip(&weights))
            .map(|(conv, weight)| {
                if conv.is_depthwise() {
                    let mut packed = vec![0.0; depthwise::packed_len(conv)];
                    depthwise::pack(exec, conv, weight, &mut packed);
                    packed
                } else {
                    let mut packed = vec![0.0; conv::packed_len(conv)];
                    conv::pack(exec, conv, weight, &mut packed);
                    packed
                }
            })
            .collect();
        for index in 0..convs.len() {
            let add = (adds && index + 1 == convs.len()).then_some(&addend[..]);
            let scale = (index % 2 == case.channels % 2 && !convs[index].is_depthwise()).then_some(&scales[index][..]);
            let epilogue = Epilogue { scale, bias: Some(&biases[index][..]), add, act: acts[index] };
            links.push(Link { conv: convs[index], packed: &packed[index], epilogue });
        }
        let first = if case.pixels { Input::Pixels(&pixels) } else { Input::Blocked(Source::plain(&x)) };

        // One layer after the other.
        let mut want = Buffer::zeroed(0);
        for (index, Link { conv, packed, epilogue }) in links.iter().enumerate() {
            let mut out = Buffer::zeroed(conv.output.len());
            let source = if index == 0 { first } else { Input::Blocked(Source::plain(&want)) };
            if let (Input::Blocked(source), true) = (source, conv.is_depthwise()) {
                let mut scratch = vec![0.0; depthwise::forward_scratch(conv, 1)];
                depthwise::forward(exec, conv, source, packed, *epilogue, &mut out, None, &mut scratch);
            } else {
                let mut scratch = vec![0.0; conv::forward_scratch(conv, 1)];
                conv::forward(exec, conv, source, packed, *epilogue, &mut out, None, &mut scratch);
            }
            want = out;
        }
        let want = nchw(output, &want);
        for pool in pools {
            let mut scratch = vec![f32::NAN; forward_scratch(&convs, case.pixels, pool.threads())];
            let mut out = Buffer::zeroed(output.len());
            forward(Exec { level, pool }, &links, first, &mut out, &mut scratch);
            let got = nchw(output, &out);
            let differs = (0..want.len()).find(|&at| want[at].to_bits() != got[at].to_bits());
            let figures = differs.map(|at| (at, want[at], got[at]));
            assert_eq!(figures, None, "{} on {} threads: {convs:?}", level.name(), pool.threads());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_chain_has_the_bits_of_its_layers(case in cases()) {
        check(&case);
    }
}

#[test]
#[should_panic(expected = "reads something else")]
fn layers_that_do_not_fit_are_no_chain() {
    let dims = Dims::new(1, 16, 4, 4);
    forward_scratch(&[Conv::pointwise(dims, 8), Conv::pointwise(dims, 8)], false, 1);
}
