//! The oracle's operators on shapes of any rank, by hand and against PyTorch's outputs in f64.

use sepal_graph::{
    Add, Builder, Concat, Constant, ConvTranspose2d, Coordinates, Divide, GatedSum, Graph, Interpolate, Interpolation,
    LayerNorm, Linear, Mean, Multiply, Op, Pad, PadMode, Reshape, ResizeTo, Rounding, Shape, Slice, Softmax, Subtract,
    Tensor, Transpose, Weights,
};
use sepal_testing::{Naive, assert_close};

/// The operator alone on `inputs`, of which the first is the network's and the others its constants.
fn run(op: impl Into<Op>, inputs: &[(&[usize], &[f64])], params: &[(&str, &[f64])]) -> Vec<f64> {
    let mut b = Builder::new("one");
    let shape = |dims: &[usize]| Shape::new(dims.to_vec()).unwrap();
    let mut ids = vec![b.input("input", shape(inputs[0].0)).unwrap()];
    for (i, (dims, _)) in inputs.iter().enumerate().skip(1) {
        ids.push(b.node(&format!("constant{i}"), Constant { shape: shape(dims), learnt: true }, &[]).unwrap());
    }
    let y = b.node("op", op, &ids).unwrap();
    let graph: Graph = b.finish(&[y]).unwrap();
    let mut weights = Weights::init(&graph, 0).unwrap();
    let named = inputs.iter().enumerate().skip(1).map(|(i, (_, values))| (format!("constant{i}.value"), *values));
    for (path, values) in named.chain(params.iter().map(|(name, values)| (format!("op.{name}"), *values))) {
        let dims = weights.get(&path).unwrap().shape().to_vec();
        weights.insert(&path, Tensor::new(dims, values.iter().map(|&v| v as f32).collect()).unwrap());
    }
    Naive::new(&graph, &weights).unwrap().forward(inputs[0].1, 1)
}

fn count(n: usize) -> Vec<f64> {
    (1..=n).map(|i| i as f64).collect()
}

#[test]
fn a_dimension_of_one_is_repeated() {
    let (column, row): (&[f64], &[f64]) = (&[1.0, 2.0], &[10.0, 20.0, 40.0]);
    let both = |op: Op| run(op, &[(&[2, 1], column), (&[1, 3], row)], &[]);
    assert_eq!(both(Add {}.into()), [11.0, 21.0, 41.0, 12.0, 22.0, 42.0]);
    assert_eq!(both(Subtract {}.into()), [-9.0, -19.0, -39.0, -8.0, -18.0, -38.0]);
    assert_eq!(both(Multiply {}.into()), [10.0, 20.0, 40.0, 20.0, 40.0, 80.0]);
    assert_eq!(both(Divide {}.into()), [0.1, 0.05, 0.025, 0.2, 0.1, 0.05]);
}

#[test]
fn a_gate_weighs_each_image_on_its_own() {
    let mut b = Builder::new("gate");
    let x = b.input("input", Shape::features(4).unwrap()).unwrap();
    let g = b.node("gate", Slice::channels(0, 2), &[x]).unwrap();
    let values = b.node("values", Slice::channels(2, 4), &[x]).unwrap();
    let y = b.node("sum", GatedSum {}, &[g, values, x]).err();
    assert!(y.is_some(), "shapes that differ");
    let y = b.node("sum", GatedSum {}, &[g, values, g]).unwrap();
    let graph = b.finish(&[y]).unwrap();
    let naive = Naive::new(&graph, &Weights::new()).unwrap();
    let y = naive.forward(&[1.0, 10.0, 5.0, 6.0, 2.0, 0.0, 1.0, 3.0], 2);
    assert_eq!(y, [5.0 + 10.0, 6.0 + 100.0, 2.0 + 0.0, 6.0 + 0.0]);
}

#[test]
fn values_are_moved() {
    let x = count(6);
    let concat = |axis| run(Concat { axis }, &[(&[2, 3], &x), (&[2, 3], &[0.0; 6])], &[]);
    assert_eq!(concat(0), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(concat(1), [1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 4.0, 5.0, 6.0, 0.0, 0.0, 0.0]);
    let matrix: &[(&[usize], &[f64])] = &[(&[2, 3], &x)];
    assert_eq!(run(Slice { axis: 1, start: 0, end: 3, step: 2 }, matrix, &[]), [1.0, 3.0, 4.0, 6.0]);
    assert_eq!(run(Transpose { order: vec![1, 0] }, matrix, &[]), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    assert_eq!(run(Reshape { shape: vec![-1, 2] }, matrix, &[]), x);
    // Dimension i of the output is dimension order[i] of the input.
    let cube: &[(&[usize], &[f64])] = &[(&[1, 2, 3], &x)];
    assert_eq!(run(Transpose { order: vec![2, 0, 1] }, cube, &[]), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    let pad = |mode| run(Pad { before: vec![2], after: vec![1], mode }, &[(&[3], &x[..3])], &[]);
    assert_eq!(pad(PadMode::Constant(9.0)), [9.0, 9.0, 1.0, 2.0, 3.0, 9.0]);
    assert_eq!(pad(PadMode::Reflect), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]);
    assert_eq!(pad(PadMode::Edge), [1.0, 1.0, 1.0, 2.0, 3.0, 3.0]);
}

#[test]
fn dimensions_are_reduced() {
    let x = count(6);
    let matrix: &[(&[usize], &[f64])] = &[(&[2, 3], &x)];
    let mean = |axes: &[usize], keep_dims| run(Mean { axes: axes.to_vec(), keep_dims }, matrix, &[]);
    assert_eq!(mean(&[0], false), [2.5, 3.5, 4.5]);
    assert_eq!(mean(&[1], true), [2.0, 5.0]);
    assert_eq!(mean(&[0, 1], false), [3.5]);
    let e = std::f64::consts::E;
    let (first, second) = (1.0 / (1.0 + e + e * e), 1.0 / (1.0 + e * e * e));
    let soft = run(Softmax { axis: 1 }, matrix, &[]);
    assert_close(&soft[..3], &[first, e * first, e * e * first], 1e-14, 0.0, "along the row");
    let soft = run(Softmax { axis: 0 }, matrix, &[]);
    assert_close(&soft[..3], &[second; 3], 1e-14, 0.0, "along the column");
    let eps = 0.25_f32;
    let norm =
        run(LayerNorm { eps, affine: true }, matrix, &[("weight", &[1.0, 2.0, 4.0]), ("bias", &[0.5, 0.0, 1.0])]);
    let unit = 1.0 / (2.0_f64 / 3.0 + 0.25).sqrt();
    assert_close(&norm, &[0.5 - unit, 0.0, 1.0 + 4.0 * unit].repeat(2), 1e-14, 0.0, "norm");
    let linear = Linear { out_features: 1, bias: true };
    assert_eq!(run(linear, matrix, &[("weight", &[1.0, 10.0, 100.0]), ("bias", &[0.5])]), [321.5, 654.5]);
}

#[test]
fn transposed_convolutions_are_pytorchs() {
    let conv = ConvTranspose2d {
        kernel: [2, 3],
        stride: [2, 3],
        padding: [1, 0, 1, 0],
        output_padding: [1, 0],
        dilation: [1, 2],
        bias: true,
        ..ConvTranspose2d::new(1, 1, 1)
    };
    let weight: Vec<f64> = count(12).iter().map(|v| v * 0.5).collect();
    let x: &[f64] = &[1.0, 2.0, -1.0, 3.0, 0.5, -2.0, 4.0, 1.0];
    let y = run(conv, &[(&[2, 2, 2], x)], &[("weight", &weight), ("bias", &[0.25])]);
    let want = [
        4.75, 0.25, 5.5, -5.75, 6.25, -5.75, 0.25, -5.75, 13.75, 0.25, 15.25, 5.25, 16.75, 7.25, 0.25, 9.25, 18.25,
        0.25, 19.75, 11.25, 21.25, 13.25, 0.25, 15.25,
    ];
    assert_eq!(y, want);
    let grouped = ConvTranspose2d { groups: 2, ..ConvTranspose2d::new(2, 2, 2) };
    let y = run(grouped, &[(&[2, 2, 2], x)], &[("weight", &[1.0, 2.0, 3.0, 4.0, 9.0, 10.0, 11.0, 12.0])]);
    let want = [
        1.0, 2.0, 2.0, 4.0, 3.0, 4.0, 6.0, 8.0, -1.0, -2.0, 3.0, 6.0, -3.0, -4.0, 9.0, 12.0, 4.5, 5.0, -18.0, -20.0,
        5.5, 6.0, -22.0, -24.0, 36.0, 40.0, 9.0, 10.0, 44.0, 48.0, 11.0, 12.0,
    ];
    assert_eq!(y, want);
}

#[test]
fn interpolation_is_pytorchs() {
    let mut x = count(12);
    x[6] = -5.0;
    let resize = |op: Interpolate| run(op, &[(&[1, 3, 4], &x)], &[]);
    let row = resize(Interpolate::bilinear(2.0))[16..24].to_vec();
    assert_eq!(row, [4.0, 4.25, 4.75, 3.0, -1.0, -0.5, 4.5, 7.0]);
    let cubic = |size, coordinates| Interpolate { to: ResizeTo::Size(size), mode: Interpolation::Bicubic, coordinates };
    let want = [
        0.652140625,
        1.2286791992,
        2.7243041992,
        3.8181196289,
        3.7213149414,
        3.058390625,
        4.7214946289,
        -0.7211303711,
        -1.9679887695,
        6.726284668,
        6.820109375,
        8.4832133789,
        3.0405883789,
        1.7937299805,
        10.488003418,
        9.226359375,
        9.8028979492,
        11.2985229492,
        12.3923383789,
        12.2955336914,
    ];
    assert_close(&resize(cubic([4, 5], Coordinates::HalfPixel)), &want, 1e-9, 1e-9, "bicubic");
    let want = [1.0, 1.504, 2.248, 2.752, 3.496, 4.0, 9.0, 9.504, 10.248, 10.752, 11.496, 12.0];
    assert_close(&resize(cubic([2, 6], Coordinates::AlignCorners)), &want, 1e-12, 0.0, "bicubic, corners aligned");
    let nearest =
        |mode, coordinates| Interpolate { to: ResizeTo::Size([2, 6]), mode: Interpolation::Nearest(mode), coordinates };
    let y = resize(nearest(Rounding::Floor, Coordinates::Asymmetric));
    assert_eq!(y, [1.0, 1.0, 2.0, 3.0, 3.0, 4.0, 5.0, 5.0, 6.0, -5.0, -5.0, 8.0]);
    // Coordinates 0, ⅔, 1⅓, 2, 2⅔, 3⅓ in rows 0 and 1½; beyond the edge the last pixel counts.
    let y = resize(nearest(Rounding::Ceil, Coordinates::Asymmetric));
    assert_eq!(y, [1.0, 2.0, 3.0, 3.0, 4.0, 4.0, 9.0, 10.0, 11.0, 11.0, 12.0, 12.0]);
    let y = resize(nearest(Rounding::HalfDown, Coordinates::Asymmetric));
    assert_eq!(y, [1.0, 2.0, 2.0, 3.0, 4.0, 4.0, 5.0, 6.0, 6.0, -5.0, 8.0, 8.0]);
    let y = resize(nearest(Rounding::HalfUp, Coordinates::Asymmetric));
    assert_eq!(y, [1.0, 2.0, 2.0, 3.0, 4.0, 4.0, 9.0, 10.0, 10.0, 11.0, 12.0, 12.0]);
}
