//! Operators' shapes and costs, and what they refuse.

use sepal_graph::{
    Add, Builder, Concat, Constant, ConvTranspose2d, Error, GatedSum, GlobalAvgPool, Interpolate, Interpolation,
    LayerNorm, Linear, Mean, Multiply, NodeId, Op, Pad, PadMode, Reshape, ResizeTo, Shape, Slice, Softmax, Transpose,
};

/// The operator on inputs of these shapes: its shape, or what is wrong.
fn shape(op: impl Into<Op>, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
    let mut b = Builder::new("op");
    let ids: Vec<NodeId> = (inputs.iter().enumerate())
        .map(|(i, dims)| b.input(&format!("input{i}"), Shape::new(dims.to_vec()).unwrap()).unwrap())
        .collect();
    let id = b.node("op", op, &ids).map_err(|error| error.to_string())?;
    let dims = b.shape(id).unwrap().dims().to_vec();
    b.finish(&[id]).map_err(|error| error.to_string())?;
    Ok(dims)
}

fn refused(op: impl Into<Op>, inputs: &[&[usize]], part: &str) {
    let error = shape(op, inputs).expect_err(part);
    assert!(error.contains("node `op`") && error.contains(part), "{part} not in: {error}");
}

#[test]
fn arithmetic_repeats_dimensions_of_one() {
    assert_eq!(shape(Multiply {}, &[&[8, 5, 6], &[8, 1, 1]]), Ok(vec![8, 5, 6]));
    assert_eq!(shape(Add {}, &[&[1, 5, 1], &[8, 1, 6]]), Ok(vec![8, 5, 6]));
    refused(Multiply {}, &[&[8, 5, 6], &[8]], "one shape");
    refused(Add {}, &[&[8, 5, 6], &[8, 5, 3]], "one shape");
    refused(Add {}, &[&[8, 5, 6]], "takes 2 input(s), got 1");
}

#[test]
fn shapes_are_joined_cut_and_padded() {
    assert_eq!(shape(Concat { axis: 0 }, &[&[3, 4, 5], &[8, 4, 5], &[1, 4, 5]]), Ok(vec![12, 4, 5]));
    assert_eq!(shape(Concat { axis: 2 }, &[&[3, 4, 5], &[3, 4, 1]]), Ok(vec![3, 4, 6]));
    refused(Concat { axis: 0 }, &[&[3, 4, 5], &[8, 4, 6]], "differ in dimension 0 only");
    refused(Concat { axis: 0 }, &[&[3, 4, 5], &[8, 4]], "differ in dimension 0 only");
    refused(Concat { axis: 3 }, &[&[3, 4, 5]], "axis is 3");
    refused(Concat { axis: 0 }, &[], "takes 1 or more input(s), got 0");

    assert_eq!(shape(Slice::channels(2, 5), &[&[8, 4, 4]]), Ok(vec![3, 4, 4]));
    assert_eq!(shape(Slice { axis: 1, start: 1, end: 8, step: 3 }, &[&[8, 9, 4]]), Ok(vec![8, 3, 4]));
    refused(Slice::channels(5, 5), &[&[8, 4, 4]], "not empty");
    refused(Slice::channels(5, 9), &[&[8, 4, 4]], "a part of 0..8");
    refused(Slice { axis: 0, start: 0, end: 1, step: 0 }, &[&[8]], "step is 0");

    assert_eq!(shape(Pad::channels(1, 8), &[&[8, 4, 4]]), Ok(vec![17, 4, 4]));
    refused(Pad::channels(0, 8), &[&[8]], "one number for each dimension");
    let reflect = |n| Pad { before: vec![0, n, 0], after: vec![0, 0, 0], mode: PadMode::Reflect };
    assert_eq!(shape(reflect(3), &[&[8, 4, 4]]), Ok(vec![8, 7, 4]));
    refused(reflect(4), &[&[8, 4, 4]], "smaller than the dimension 4");
    refused(Pad { mode: PadMode::Constant(f32::NAN), ..reflect(0) }, &[&[8, 4, 4]], "value is NaN");
    refused(Pad::channels(usize::MAX, 1), &[&[8, 4, 4]], "dimension");
}

#[test]
fn reshapes_keep_every_value() {
    let reshape = |dims: &[i64]| Reshape { shape: dims.to_vec() };
    assert_eq!(shape(reshape(&[2, -1, 4]), &[&[8, 3, 4]]), Ok(vec![2, 12, 4]));
    assert_eq!(shape(reshape(&[96]), &[&[8, 3, 4]]), Ok(vec![96]));
    for wrong in [&[95][..], &[-1, -1], &[0, -1], &[-2, 48], &[i64::MAX, i64::MAX], &[7, -1]] {
        refused(reshape(wrong), &[&[8, 3, 4]], "product is 96");
    }
    assert_eq!(shape(Transpose { order: vec![1, 2, 0] }, &[&[8, 3, 4]]), Ok(vec![3, 4, 8]));
    refused(Transpose { order: vec![1, 1, 0] }, &[&[8, 3, 4]], "each of 0..3 once");
    refused(Transpose { order: vec![0, 1] }, &[&[8, 3, 4]], "each of 0..3 once");
}

#[test]
fn reductions_name_their_dimensions() {
    let mean = |axes: &[usize], keep_dims| Mean { axes: axes.to_vec(), keep_dims };
    assert_eq!(shape(mean(&[1, 2], false), &[&[8, 3, 4]]), Ok(vec![8]));
    assert_eq!(shape(mean(&[0], true), &[&[8, 3, 4]]), Ok(vec![1, 3, 4]));
    assert_eq!(shape(mean(&[0], false), &[&[8]]), Ok(vec![1]));
    refused(mean(&[2, 1], false), &[&[8, 3, 4]], "ascending");
    refused(mean(&[3], false), &[&[8, 3, 4]], "axes is 3");
    assert_eq!(shape(GlobalAvgPool { keep_dims: true }, &[&[8, 3, 4]]), Ok(vec![8, 1, 1]));
    assert_eq!(shape(Softmax { axis: 2 }, &[&[8, 3, 4]]), Ok(vec![8, 3, 4]));
    refused(Softmax { axis: 1 }, &[&[8]], "axis is 1");
    assert_eq!(shape(LayerNorm::default(), &[&[8, 3, 4]]), Ok(vec![8, 3, 4]));
    assert_eq!(shape(Linear::new(5), &[&[7, 4]]), Ok(vec![7, 5]));
}

#[test]
fn gates_have_a_value_for_each_input() {
    assert_eq!(shape(GatedSum {}, &[&[2], &[8, 4, 4], &[8, 4, 4]]), Ok(vec![8, 4, 4]));
    refused(GatedSum {}, &[&[3], &[8, 4, 4], &[8, 4, 4]], "a gate of 2 values");
    refused(GatedSum {}, &[&[2], &[8, 4, 4], &[8, 4, 3]], "inputs of one shape");
    refused(GatedSum {}, &[&[2]], "takes 2 or more input(s), got 1");
}

#[test]
fn maps_are_enlarged() {
    let up = ConvTranspose2d::new(6, 2, 2);
    assert_eq!(shape(up.clone(), &[&[4, 5, 7]]), Ok(vec![6, 10, 14]));
    let torch = ConvTranspose2d { padding: [1; 4], output_padding: [1, 0], ..ConvTranspose2d::new(6, 3, 2) };
    assert_eq!(shape(torch.clone(), &[&[4, 5, 7]]), Ok(vec![6, 10, 13]));
    refused(ConvTranspose2d { output_padding: [2, 0], ..torch.clone() }, &[&[4, 5, 7]], "output_padding is 2");
    refused(ConvTranspose2d { padding: [9, 0, 9, 0], ..torch.clone() }, &[&[4, 5, 7]], "padding is 18");
    refused(ConvTranspose2d { groups: 3, ..torch }, &[&[4, 5, 7]], "divisor");

    let bilinear = Interpolate::bilinear(1.5);
    assert_eq!(shape(bilinear.clone(), &[&[4, 5, 7]]), Ok(vec![4, 7, 10]));
    let to = |to| Interpolate { to, mode: Interpolation::Bilinear, ..bilinear.clone() };
    assert_eq!(shape(to(ResizeTo::Size([3, 9])), &[&[4, 5, 7]]), Ok(vec![4, 3, 9]));
    refused(to(ResizeTo::Scale([0.1, 1.0])), &[&[4, 5, 7]], "scale is 0.1");
    refused(to(ResizeTo::Scale([-1.0, 1.0])), &[&[4, 5, 7]], "a positive number");
    refused(to(ResizeTo::Size([0, 9])), &[&[4, 5, 7]], "size is 0");
}

#[test]
fn parameters_and_costs_are_counted() {
    let mut b = Builder::new("costs");
    let x = b.input("input", Shape::chw(4, 5, 7).unwrap()).unwrap();
    let up = ConvTranspose2d { groups: 2, bias: true, ..ConvTranspose2d::new(6, 3, 2) };
    let x = b.node("up", up, &[x]).unwrap();
    let scale = b.node("scale", Constant { shape: Shape::chw(6, 1, 1).unwrap(), learnt: true }, &[]).unwrap();
    let fixed = b.node("fixed", Constant { shape: Shape::chw(1, 1, 1).unwrap(), learnt: false }, &[]).unwrap();
    let x = b.multiply("mul", x, scale).unwrap();
    let x = b.multiply("fix", x, fixed).unwrap();
    let x = b.node("norm", LayerNorm::default(), &[x]).unwrap();
    let x = b.node("fc", Linear::new(2), &[x]).unwrap();
    let graph = b.finish(&[x]).unwrap();
    let cost = graph.cost().unwrap();
    let width = 15;
    // Weights [4, 3, 3, 3] and 6 biases; the scale, not the fixed value; norm and linear over the width.
    assert_eq!(cost.params, 4 * 3 * 9 + 6 + 6 + 2 * width + 2 * width + 2);
    assert_eq!(cost.macs, 4 * 5 * 7 * 3 * 9 + 6 * 11 * width * 2);
    let paths: Vec<_> = graph.params().unwrap().into_iter().map(|spec| spec.path).collect();
    assert!(paths.contains(&"scale.value".to_owned()) && paths.contains(&"up.weight".to_owned()), "{paths:?}");
    assert!(matches!(graph.with_input_shape(Shape::chw(5, 5, 7).unwrap()), Err(Error::At { .. })));
}
