//! Weights: their fit, their initial values, and models made of them.

use sepal_graph::{
    Activation, Builder, ColorOrder, Conv2d, Error, Filter, Graph, Meta, Model, Preprocessing, Resize, Role, Shape,
    Task, Tensor, Weights,
};

fn graph(extra: bool) -> Graph {
    let mut b = Builder::new("weighted");
    let mut x = b.input("input", Shape::chw(3, 8, 8).unwrap()).unwrap();
    x = b.conv("stem", x, Conv2d::standard(64, 3).same()).unwrap();
    x = b.batch_norm("stem_bn", x).unwrap();
    if extra {
        x = b.conv("extra", x, Conv2d::pointwise(64)).unwrap();
    }
    x = b.activation("act", x, Activation::Prelu).unwrap();
    x = b.conv("dw", x, Conv2d::depthwise(64, 3).same()).unwrap();
    let grouped = Conv2d::standard(128, 3).groups(4).same().bias(true);
    x = b.conv("grouped", x, grouped).unwrap();
    x = b.global_avg_pool("pool", x).unwrap();
    x = b.linear("fc", x, 10).unwrap();
    b.finish(&[x]).unwrap()
}

fn std_of(weights: &Weights, path: &str) -> f64 {
    let data = weights.get(path).unwrap().data();
    let n = data.len() as f64;
    let mean = data.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    assert!(mean.abs() < 4.0 * 0.5 / n.sqrt(), "{path}: mean {mean}");
    let square = |v: &f32| (f64::from(*v) - mean).powi(2);
    (data.iter().map(square).sum::<f64>() / n).sqrt()
}

#[test]
fn initial_weights_have_the_documented_spread() {
    let weights = Weights::init(&graph(false), 7).unwrap();
    let cases = [
        ("stem.weight", (2.0_f64 / (9.0 * 64.0)).sqrt()),
        ("dw.weight", (2.0_f64 / 9.0).sqrt()),
        ("grouped.weight", (2.0_f64 / (9.0 * 32.0)).sqrt()),
        ("fc.weight", 0.01),
    ];
    for (path, want) in cases {
        let got = std_of(&weights, path);
        assert!((got / want - 1.0).abs() < 0.1, "{path}: {got}, not {want}");
    }
    for (path, want) in [
        ("stem_bn.weight", 1.0),
        ("stem_bn.bias", 0.0),
        ("stem_bn.running_mean", 0.0),
        ("stem_bn.running_var", 1.0),
        ("grouped.bias", 0.0),
        ("act.weight", 0.25),
        ("fc.bias", 0.0),
    ] {
        let data = weights.get(path).unwrap().data();
        assert!(data.iter().all(|&v| v == want), "{path}");
    }
}

#[test]
fn initial_weights_depend_on_seed_and_path_alone() {
    let small = Weights::init(&graph(false), 1).unwrap();
    let large = Weights::init(&graph(true), 1).unwrap();
    for (path, tensor) in small.iter() {
        assert_eq!(tensor, large.get(path).unwrap(), "{path}");
    }
    let other = Weights::init(&graph(false), 2).unwrap();
    assert_ne!(small.get("fc.weight"), other.get("fc.weight"));
    assert_eq!(small, Weights::init(&graph(false), 1).unwrap());
    // Frozen: a change of generator or hash would change every trained result. The tolerance is
    // for other platforms' logarithms and cosines.
    let first = &small.get("stem.weight").unwrap().data()[..2];
    for (got, want) in first.iter().zip([-0.084_744_535_f64, -0.031_402_39]) {
        assert!((f64::from(*got) - want).abs() < 1e-8, "{first:?}");
    }
}

#[test]
fn the_formula_is_the_documented_one() {
    // From the Python in the documentation.
    let want = PYTHON_NOISE;
    let pairs = [(0, 0), (0, 1), (3, 1000), (57, 123_456_789)];
    for ((p, i), want) in pairs.into_iter().zip(want) {
        assert_eq!(Weights::noise(p, i), want, "noise({p}, {i})");
    }
    let graph = graph(true);
    let weights = Weights::formula(&graph).unwrap();
    weights.check(&graph).unwrap();
    weights.check_finite().unwrap();
    for (p, spec) in graph.params().unwrap().iter().enumerate() {
        let data = weights.get(&spec.path).unwrap().data();
        let u = Weights::noise(p, 1);
        let want = match spec.role {
            Role::ConvWeight | Role::DepthwiseWeight | Role::PointwiseWeight => (6.0 / spec.fan_in as f64).sqrt() * u,
            Role::LinearWeight => (3.0 / 128.0_f64).sqrt() * u,
            Role::Bias | Role::NormShift | Role::NormMean => 0.1 * u,
            Role::NormScale => 1.0 + 0.25 * u,
            Role::NormVar => 1.0 + 0.5 * u,
            Role::Slope => 0.25 + 0.1 * u,
            Role::Value | Role::Constant => 0.5 * u,
        };
        assert_eq!(data[1], want as f32, "{}", spec.path);
        assert!(spec.role != Role::NormVar || data.iter().all(|&v| v > 0.4));
    }
}

const PYTHON_NOISE: [f64; 4] = [-0.24667072296142578, -0.4570610523223877, 0.9875349998474121, -0.9277373552322388];

#[test]
fn a_misfit_lists_everything_with_the_nearest_name() {
    let graph = graph(false);
    let mut weights = Weights::init(&graph, 0).unwrap();
    let tensor = weights.remove("dw.weight").unwrap();
    weights.insert("dvv.weight", tensor);
    weights.insert("fc.bias", Tensor::full(vec![7], 0.0).unwrap());
    weights.insert("zzzzzzzzzz", Tensor::full(vec![1], 0.0).unwrap());
    let text = weights.check(&graph).unwrap_err().to_string();
    for part in [
        "do not fit the network `weighted`",
        "missing: `dw.weight` (nearest: `dvv.weight`)",
        "unexpected: `dvv.weight` (nearest: `dw.weight`)",
        "unexpected: `zzzzzzzzzz`",
        "wrong shape: `fc.bias` should be 10, is 7",
    ] {
        assert!(text.contains(part), "{part} not in {text}");
    }
    let error = weights.get("dw.weight").unwrap_err().to_string();
    assert!(error.contains("did you mean `dvv.weight`?"), "{error}");
}

#[test]
fn bad_values_are_named() {
    let graph = graph(false);
    let good = Weights::init(&graph, 0).unwrap();
    let mut weights = good.clone();
    weights.get_mut("fc.weight").unwrap().data_mut()[11] = f32::NAN;
    let error = weights.check_finite().unwrap_err().to_string();
    assert!(error.contains("`fc.weight` holds NaN at index 11"), "{error}");
    assert!(Model::new(graph.clone(), weights, Meta::default()).is_err());
    let mut weights = good;
    weights.get_mut("stem_bn.running_var").unwrap().data_mut()[3] = -1.0;
    let error = weights.check_variances(&graph).unwrap_err();
    assert!(matches!(error, Error::NegativeVariance { index: 3, .. }));
}

#[test]
fn tensors_have_the_length_of_their_shape() {
    assert!(Tensor::new(vec![2, 3], vec![0.0; 6]).is_ok());
    assert!(Tensor::new(vec![], vec![1.0]).is_ok());
    let error = Tensor::new(vec![2, 3], vec![0.0; 5]).unwrap_err();
    assert_eq!(error.to_string(), "a tensor of 2×3 needs 6 values, got 5");
    for hostile in [vec![usize::MAX, 2], vec![1 << 20, 1 << 20], vec![0, 4]] {
        assert!(Tensor::new(hostile.clone(), vec![]).is_err());
        assert!(Tensor::full(hostile, 0.0).is_err());
    }
}

fn preprocessing() -> Preprocessing {
    Preprocessing {
        size: [8, 8],
        mean: [0.5; 3],
        std: [0.25; 3],
        resize: Resize::ShortSide { crop_pct: 0.875 },
        filter: Filter::Bicubic,
        color_order: ColorOrder::Rgb,
    }
}

#[test]
fn metadata_round_trip_and_are_checked() {
    let graph = graph(false);
    let mut meta = Meta {
        classes: (0..10).map(|i| format!("class {i}")).collect(),
        preprocessing: Some(preprocessing()),
        ..Meta::default()
    };
    meta.provenance.insert("author".into(), "somebody".into());
    meta.check(&graph).unwrap();
    let text = serde_json::to_string(&meta).unwrap();
    assert_eq!(serde_json::from_str::<Meta>(&text).unwrap(), meta);
    assert!(serde_json::from_str::<Meta>(r#"{"colour": 1}"#).is_err());
    assert_eq!(serde_json::from_str::<Meta>("{}").unwrap(), Meta::default());

    meta.classes.pop();
    let error = meta.check(&graph).unwrap_err().to_string();
    assert!(error.contains("9 class names for 10 outputs"), "{error}");

    let bad = |change: &dyn Fn(&mut Preprocessing)| {
        let mut p = preprocessing();
        change(&mut p);
        p.check().unwrap_err().to_string()
    };
    assert!(bad(&|p| p.size = [0, 8]).contains("size"));
    assert!(bad(&|p| p.size = [usize::MAX, 8]).contains("size"));
    assert!(bad(&|p| p.std[1] = 0.0).contains("std"));
    assert!(bad(&|p| p.mean[2] = f32::NAN).contains("mean"));
    assert!(bad(&|p| p.resize = Resize::ShortSide { crop_pct: 0.0 }).contains("crop_pct"));
}

#[test]
fn a_segmenters_output_is_a_map() {
    let mut b = Builder::new("net");
    let x = b.input("input", Shape::chw(3, 4, 4).unwrap()).unwrap();
    let y = b.global_avg_pool("pool", x).unwrap();
    let graph = b.finish(&[y]).unwrap();
    let meta = Meta { task: Task::Segment, ..Meta::default() };
    let error = meta.check(&graph).unwrap_err().to_string();
    assert!(error.contains("a segmenter's output is a map of classes, not 3"), "{error}");
    assert_eq!(Meta::default().check(&graph), Ok(()));
}
