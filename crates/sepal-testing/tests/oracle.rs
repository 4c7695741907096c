//! The oracle against results known by hand or by algebra.

use std::collections::HashSet;

use sepal_graph::{
    Activation, AvgPool, BatchNorm, Builder, Conv2d, Graph, MaxPool, NodeId, Op, Shape, Tensor, Weights,
};
use sepal_testing::{
    Filler, Mode, Naive, assert_close, cases, finite_difference, max_relative_error, softmax, softmax_cross_entropy,
};

fn graph(shape: [usize; 3], op: impl Into<Op>) -> Graph {
    let mut b = Builder::new("one");
    let [c, h, w] = shape;
    let x = b.input("input", Shape::chw(c, h, w).unwrap()).unwrap();
    let y = b.node("op", op, &[x]).unwrap();
    b.finish(&[y]).unwrap()
}

fn naive(graph: &Graph, params: &[(&str, &[f64])]) -> Naive {
    let mut naive = Naive::new(graph, &Weights::init(graph, 0).unwrap()).unwrap();
    for (path, values) in params {
        let old = naive.params.insert((*path).to_owned(), values.to_vec());
        assert_eq!(old.map(|v| v.len()), Some(values.len()), "{path}");
    }
    naive
}

fn count(n: usize) -> Vec<f64> {
    (1..=n).map(|i| i as f64).collect()
}

#[test]
fn convolution_by_hand() {
    // 3×3 of ones over 1..=9 with zeros around: sums of the neighbours.
    let ones = graph([1, 3, 3], Conv2d::standard(1, 3).same());
    let y = naive(&ones, &[("op.weight", &[1.0; 9])]).forward(&count(9), 1);
    assert_eq!(y, [12.0, 21.0, 16.0, 27.0, 45.0, 33.0, 24.0, 39.0, 28.0]);
    // A kernel is not flipped; stride 2 with zeros at the bottom right only.
    let conv = Conv2d { padding: [0, 0, 1, 1], ..Conv2d::standard(1, 2).stride(2).bias(true) };
    let y = naive(&graph([1, 3, 3], conv), &[("op.weight", &[1.0, 10.0, 100.0, 1000.0]), ("op.bias", &[0.5])]);
    assert_eq!(y.forward(&count(9), 1), [5421.5, 603.5, 87.5, 9.5]);
    // Dilation 2: the corners of the map.
    let y = naive(&graph([1, 3, 3], Conv2d::standard(1, 2).dilation(2)), &[("op.weight", &[1.0, 2.0, 3.0, 4.0])]);
    assert_eq!(y.forward(&count(9), 1), [1.0 + 6.0 + 21.0 + 36.0]);
}

#[test]
fn groups_see_their_own_channels() {
    // Two groups of two channels on one pixel, two images.
    let conv = graph([4, 1, 1], Conv2d::standard(2, 1).groups(2));
    let naive = naive(&conv, &[("op.weight", &[1.0, 2.0, 3.0, 4.0])]);
    let x = [1.0, 10.0, 100.0, 1000.0, 0.0, 1.0, 1.0, 0.0];
    assert_eq!(naive.forward(&x, 2), [21.0, 4300.0, 2.0, 3.0]);
}

#[test]
fn pools_by_hand() {
    let max = MaxPool::new(2, 2).padding(1);
    assert_eq!(naive(&graph([1, 3, 3], max), &[]).forward(&count(9), 1), [1.0, 3.0, 7.0, 9.0]);
    let negative: Vec<f64> = count(9).iter().map(|v| -v).collect();
    let max = MaxPool::new(3, 3).padding(1);
    assert_eq!(naive(&graph([1, 3, 3], max), &[]).forward(&negative, 1), [-1.0]);
    let avg = AvgPool::new(2, 2).padding(1);
    let pooled = naive(&graph([1, 3, 3], avg.clone()), &[]).forward(&count(9), 1);
    assert_eq!(pooled, [0.25, 1.25, 2.75, 7.0]);
    let avg = AvgPool { count_include_pad: false, ..avg };
    let pooled = naive(&graph([1, 3, 3], avg), &[]).forward(&count(9), 1);
    assert_eq!(pooled, [1.0, 2.5, 5.5, 7.0]);
}

#[test]
fn batch_norm_trains_as_pytorch_does() {
    let graph = graph([2, 1, 2], BatchNorm { eps: 0.25, ..BatchNorm::default() });
    let params: [(&str, &[f64]); 4] = [
        ("op.weight", &[2.0, 1.0]),
        ("op.bias", &[0.0, 5.0]),
        ("op.running_mean", &[1.0, 0.0]),
        ("op.running_var", &[3.75, 0.75]),
    ];
    let mut naive = naive(&graph, &params);
    // Channel 0: 0 2 4 6, mean 3, squares 20; channel 1: all 1.
    let x = [0.0, 2.0, 1.0, 1.0, 4.0, 6.0, 1.0, 1.0];
    let eval = naive.forward(&x, 2);
    assert_close(&eval, &[-1.0, 1.0, 6.0, 6.0, 3.0, 5.0, 6.0, 6.0], 0.0, 1e-12, "eval");
    let pass = naive.run(&x, 2, Mode::Train);
    let unit = 2.0 / (5.0_f64 + 0.25).sqrt();
    let want = [-3.0 * unit, -unit, 5.0, 5.0, unit, 3.0 * unit, 5.0, 5.0];
    assert_close(pass.output(), &want, 1e-12, 0.0, "train");
    naive.keep_running(&pass);
    let momentum = f64::from(0.1_f32);
    let mean = [1.0 + momentum * 2.0, momentum];
    let var = [3.75 + momentum * (20.0 / 3.0 - 3.75), 0.75 * (1.0 - momentum)];
    assert_close(&naive.params["op.running_mean"], &mean, 1e-12, 0.0, "mean");
    assert_close(&naive.params["op.running_var"], &var, 1e-12, 0.0, "variance");
}

#[test]
fn activations_by_their_definitions() {
    let x = [-4.0, -1.0, 0.0, 1.0, 2.0, 8.0];
    let sigmoid = x.map(|x: f64| 1.0 / (1.0 + (-x).exp()));
    let phi =
        [3.167_124_183_311_986e-5, 0.158_655_253_931_457_05, 0.5, 0.841_344_746_068_543, 0.977_249_868_051_820_8, 1.0];
    let gelu = [0, 1, 2, 3, 4, 5].map(|i| x[i] * phi[i]);
    let cases = [
        (Activation::Relu, [0.0, 0.0, 0.0, 1.0, 2.0, 8.0]),
        (Activation::Relu6, [0.0, 0.0, 0.0, 1.0, 2.0, 6.0]),
        (Activation::Elu { alpha: 0.5 }, [0.5 * (-4.0_f64).exp_m1(), 0.5 * (-1.0_f64).exp_m1(), 0.0, 1.0, 2.0, 8.0]),
        (Activation::Prelu, [-1.0, -0.25, 0.0, 1.0, 2.0, 8.0]),
        (Activation::Silu, [0, 1, 2, 3, 4, 5].map(|i| x[i] * sigmoid[i])),
        (Activation::HardSwish, [0.0, -1.0 / 3.0, 0.0, 2.0 / 3.0, 5.0 / 3.0, 8.0]),
        (Activation::HardSigmoid, [0.0, 1.0 / 3.0, 0.5, 2.0 / 3.0, 5.0 / 6.0, 1.0]),
        (Activation::Sigmoid, sigmoid),
        (Activation::Tanh, x.map(f64::tanh)),
        (Activation::LeakyRelu { slope: 0.25 }, [-1.0, -0.25, 0.0, 1.0, 2.0, 8.0]),
        (Activation::Clip { min: -1.5, max: 1.5 }, [-1.5, -1.0, 0.0, 1.0, 1.5, 1.5]),
        // The normal distribution's tables.
        (Activation::Gelu, gelu),
    ];
    for (act, want) in cases {
        let y = naive(&graph([1, 2, 3], act), &[]).forward(&x, 1);
        assert_close(&y, &want, if act == Activation::Gelu { 1e-9 } else { 1e-14 }, 1e-15, act.name());
    }
    // PyTorch's, in f64.
    let mish =
        [-0.072_591_740_792_025_35, -0.303_401_461_374_108_95, 0.0, 0.865_098_388_267_310_3, 1.943_958_959_533_994_6];
    let gelu_tanh =
        [-7.024_594_819_227_126e-5, -0.158_808_009_391_723_24, 0.0, 0.841_191_990_608_276_8, 1.954_597_694_087_775];
    for (act, want) in [(Activation::Mish, mish), (Activation::GeluTanh, gelu_tanh)] {
        let y = naive(&graph([1, 1, 5], act), &[]).forward(&x[..5], 1);
        assert_close(&y, &want, 1e-12, 1e-15, act.name());
    }
    let slopes = naive(&graph([2, 1, 1], Activation::Prelu), &[("op.weight", &[0.5, 2.0])]);
    assert_eq!(slopes.forward(&[-1.0, -1.0, 3.0, -3.0], 2), [-0.5, -2.0, 3.0, -6.0]);
}

#[test]
fn dropout_multiplies_in_training_only() {
    let mut b = Builder::new("drop");
    let x = b.input("input", Shape::features(3).unwrap()).unwrap();
    let y = b.dropout("drop", x, 0.5).unwrap();
    let mut naive = naive(&b.finish(&[y]).unwrap(), &[]);
    naive.dropout.insert("drop".into(), vec![0.0, 2.0, 2.0]);
    assert_eq!(naive.forward(&[1.0, 2.0, 3.0], 1), [1.0, 2.0, 3.0]);
    let pass = naive.run(&[1.0, 2.0, 3.0], 1, Mode::Train);
    assert_eq!(pass.output(), [0.0, 4.0, 6.0]);
    assert_eq!(pass.value(NodeId::new(0)), [1.0, 2.0, 3.0]);
}

#[test]
fn cross_entropy_and_its_gradient() {
    let logits = [0.5, -1.0, 2.0, 0.0, 0.0, 0.0];
    let labels = [2, 0];
    for smoothing in [0.0, 0.1] {
        let p = softmax(&logits, 3);
        let target = |i: usize| {
            let hit = f64::from(u8::from(labels[i / 3] as usize == i % 3));
            hit * (1.0 - smoothing) + smoothing / 3.0
        };
        let want: Vec<f64> = (0..6).map(|i| (p[i] - target(i)) / 2.0).collect();
        let loss = |x: &[f64]| softmax_cross_entropy(x, &labels, smoothing);
        let got = finite_difference(loss, &logits, 1e-5);
        assert_close(&got, &want, 1e-8, 1e-10, "gradient");
        let mean = -(0..6).map(|i| target(i) * p[i].ln()).sum::<f64>() / 2.0;
        assert_close(&[loss(&logits)], &[mean], 1e-14, 0.0, "loss");
    }
    assert!(softmax_cross_entropy(&[1e4, -1e4], &[1], 0.0).is_finite());
}

#[test]
fn a_linear_layer_has_the_gradient_of_its_formula() {
    let case = cases().into_iter().find(|case| case.name == "flatten, linear").unwrap();
    let naive = Naive::new(&case.graph, &case.weights()).unwrap();
    let x: Vec<f64> = case.input(2).iter().map(|v| f64::from(*v)).collect();
    let labels = [3, 0];
    let p = softmax(&naive.forward(&x, 2), 7);
    let mut want = vec![0.0; 7 * 60];
    for n in 0..2 {
        for o in 0..7 {
            let hit = f64::from(u8::from(labels[n] as usize == o));
            for i in 0..60 {
                want[o * 60 + i] += (p[n * 7 + o] - hit) * x[n * 60 + i] / 2.0;
            }
        }
    }
    let got = naive.gradient("fc.weight", &x, &labels, 0.0, 1e-5);
    assert_close(&got, &want, 1e-7, 1e-9, "gradient");
}

#[test]
fn every_case_runs_in_both_modes() {
    let mut names = HashSet::new();
    let mut kinds = HashSet::new();
    for case in cases() {
        assert!(names.insert(case.name.clone()), "{} twice", case.name);
        kinds.extend(case.graph.nodes.iter().map(|node| node.op.kind()));
        let naive = Naive::new(&case.graph, &case.weights()).unwrap();
        let x: Vec<f64> = case.input(3).iter().map(|v| f64::from(*v)).collect();
        for mode in [Mode::Eval, Mode::Train] {
            let pass = naive.run(&x, 3, mode);
            assert!(pass.output().iter().all(|v| v.is_finite() && v.abs() < 1e3), "{}", case.name);
            assert!(pass.output().iter().any(|v| *v != 0.0), "{}", case.name);
            assert_eq!(pass.running.is_empty(), mode == Mode::Eval || !has_norm(&case.graph));
        }
        // Images do not see one another in eval mode.
        let all = naive.forward(&x, 3);
        let alone = naive.forward(&x[x.len() / 3..][..x.len() / 3], 1);
        assert_eq!(alone, all[all.len() / 3..][..all.len() / 3], "{}", case.name);
    }
    assert_eq!(kinds.len(), 26, "{kinds:?}");
}

fn has_norm(graph: &Graph) -> bool {
    graph.nodes.iter().any(|node| matches!(node.op, Op::BatchNorm(_)))
}

#[test]
fn depthwise_convolutions_never_mix_channels_and_pointwise_do() {
    let stack = |last: Conv2d| {
        let mut b = Builder::new("stack");
        let x = b.input("input", Shape::chw(3, 4, 4).unwrap()).unwrap();
        let x = b.conv("first", x, Conv2d::depthwise(3, 3).same()).unwrap();
        let x = b.conv("last", x, last).unwrap();
        let graph = b.finish(&[x]).unwrap();
        let naive = Naive::new(&graph, &Weights::formula(&graph).unwrap()).unwrap();
        let zero = naive.forward(&[0.0; 48], 1);
        let mut one = [0.0; 48];
        one[5] = 1.0;
        let moved = naive.forward(&one, 1);
        [0, 1, 2].map(|c| moved[c * 16..][..16] != zero[c * 16..][..16])
    };
    assert_eq!(stack(Conv2d::depthwise(3, 3).same()), [true, false, false]);
    assert_eq!(stack(Conv2d::pointwise(3)), [true, true, true]);
}

#[test]
fn assert_close_says_what_is_off() {
    assert_close(&[1.0_f32, 2.0], &[1.0_f64, 2.0001], 1e-3, 0.0, "near");
    assert_close(&[f64::INFINITY], &[f64::INFINITY], 0.0, 0.0, "infinity");
    let message = |actual: &[f64], expected: &[f64]| {
        let (actual, expected) = (actual.to_vec(), expected.to_vec());
        let failed = std::panic::catch_unwind(move || assert_close(&actual, &expected, 1e-3, 0.0, "this"));
        *failed.unwrap_err().downcast::<String>().unwrap()
    };
    let text = message(&[1.0, 2.0, 3.5], &[1.0, 2.1, 3.0]);
    assert!(text.starts_with("this: 2 of 3 values"), "{text}");
    assert!(text.contains("worst [2] actual 3.5e0, expected 3e0, off by 5e-1"), "{text}");
    assert!(message(&[f64::NAN], &[1.0]).contains("NaN"));
    assert!(message(&[1.0], &[1.0, 2.0]).contains("lengths differ"));
    assert_eq!(max_relative_error(&[1.0, 3.0], &[1.0, 4.0]), 0.25);
    assert!(max_relative_error(&[f64::NAN], &[1.0]).is_nan());
}

#[test]
fn the_filler_is_fixed_and_in_range() {
    let mut filler = Filler::new(0);
    // SplitMix64's published first output for seed 0.
    assert_eq!(filler.clone().bits(), 0xe220_a839_7b1d_cdaf);
    assert!(filler.vec(1000, -2.0, 3.0).iter().all(|v| (-2.0..3.0).contains(v)));
    let integers = filler.integers(1000);
    assert!(integers.iter().all(|v| v.fract() == 0.0 && v.abs() <= 4.0));
    assert!(integers.contains(&4.0) && integers.contains(&-4.0));
    assert!(filler.labels(100, 3).iter().all(|label| *label < 3));
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let graph = graph([1, 3, 3], Conv2d::standard(1, 3));
    let mut weights = Weights::new();
    weights.insert("op.weight", Tensor::full(vec![1, 1, 2, 2], 0.0).unwrap());
    assert!(Naive::new(&graph, &weights).is_err());
}

#[test]
fn a_gradient_by_some_elements_is_part_of_the_whole() {
    let case = cases().into_iter().find(|case| case.name == "pool, dropout, linear").unwrap();
    let naive = Naive::new(&case.graph, &case.weights()).unwrap();
    let x: Vec<f64> = case.input(2).iter().map(|v| f64::from(*v)).collect();
    let all = naive.gradient("fc.bias", &x, &[3, 0], 0.1, 1e-5);
    let some = naive.gradient_at("fc.bias", &[7, 0], &x, &[3, 0], 0.1, 1e-5);
    assert_close(&some, &[all[7], all[0]], 0.0, 0.0, "gradient");
}
