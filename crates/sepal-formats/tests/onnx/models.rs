//! Small networks that between them use every operator.

use std::collections::BTreeMap;

use sepal_graph::{
    Activation, Add, AvgPool, BatchNorm, Builder, ColorOrder, Concat, Constant, Conv2d, ConvTranspose2d, Coordinates,
    Divide, Filter, Flatten, GatedSum, GlobalAvgPool, Interpolate, Interpolation, LayerNorm, Linear, MaxPool, Mean,
    Meta, Model, Multiply, NodeId, Op, Pad, PadMode, Preprocessing, Reshape, Resize, ResizeTo, Result, Rounding, Shape,
    Slice, Softmax, Subtract, Task, Transpose, Weights,
};

pub(crate) fn models() -> Vec<Model> {
    [maps(), tokens(), activations(), windows()].into_iter().map(Result::unwrap).collect()
}

fn start(name: &str) -> Result<(Builder, NodeId)> {
    let mut b = Builder::new(name);
    let x = b.input("input", Shape::chw(3, 8, 8)?)?;
    Ok((b, x))
}

fn finish(b: Builder, outputs: NodeId, classes: usize) -> Result<Model> {
    let graph = b.finish(&[outputs])?;
    let weights = Weights::formula(&graph)?;
    let meta = Meta {
        task: Task::Classify,
        classes: (0..classes).map(|i| format!("class \"{i}'\n鸟")).collect(),
        colors: (0..classes).map(|i| [i as u8, 0, 255]).collect(),
        preprocessing: Some(Preprocessing {
            size: [8, 8],
            mean: [0.1, 0.485, 1.0 / 3.0],
            std: [0.2, 0.229, 1e-3],
            resize: Resize::ShortSide { crop_pct: 0.875 },
            filter: Filter::Lanczos3,
            color_order: ColorOrder::Rgb,
        }),
        provenance: BTreeMap::from([("author".into(), "somebody".into()), ("names".into(), "a clash".into())]),
    };
    Model::new(graph, weights, meta)
}

fn constant(b: &mut Builder, name: &str, dims: &[usize], learnt: bool) -> Result<NodeId> {
    b.node(name, Constant { shape: Shape::new(dims.to_vec())?, learnt }, &[])
}

fn maps() -> Result<Model> {
    let (mut b, x) = start("maps")?;
    let x = b.conv("stem.conv", x, Conv2d::standard(4, 3).stride(2).same())?;
    let x = b.node("stem.bn", BatchNorm { eps: 1e-3, momentum: 0.03, affine: true }, &[x])?;
    let y = b.node("plain", BatchNorm { affine: false, ..BatchNorm::default() }, &[x])?;
    let y = b.conv("grouped", y, Conv2d { padding: [1, 0, 1, 2], ..Conv2d::standard(4, 3).groups(2).bias(true) })?;
    let x = b.conv("narrow", x, Conv2d::standard(4, 3).dilation(2).padding(2))?;
    let sum = b.node("sum", Add {}, &[x, y])?;
    let difference = b.node("difference", Subtract {}, &[x, y])?;
    let gate = constant(&mut b, "gate", &[2], true)?;
    let sharp = b.node("sharp", Softmax { axis: 0 }, &[gate])?;
    let shared = b.node("shared", GatedSum {}, &[sharp, sum, difference])?;
    let scale = constant(&mut b, "scale", &[4, 1, 1], false)?;
    let x = b.node("product", Multiply {}, &[shared, scale])?;
    let x = b.node("quotient", Divide {}, &[x, scale])?;
    let up =
        ConvTranspose2d { output_padding: [1, 0], padding: [1, 1, 0, 1], bias: true, ..ConvTranspose2d::new(6, 3, 2) };
    let x = b.node("up", up, &[x])?;
    let sizes = b.node("evens", Slice { axis: 0, start: 1, end: 6, step: 2 }, &[x])?;
    let rows = b.node("rows", Slice { axis: 1, start: 0, end: 4, step: 1 }, &[sizes])?;
    let x = b.node("dropout", sepal_graph::Dropout { p: 0.25 }, &[rows])?;
    let x = b.node("flat", Flatten {}, &[x])?;
    let x = b.node("classifier", Linear::new(5), &[x])?;
    finish(b, x, 5)
}

fn windows() -> Result<Model> {
    let (mut b, x) = start("windows")?;
    let mut list = Vec::new();
    for (i, (to, mode, coordinates)) in [
        (ResizeTo::Scale([1.5, 2.0]), Interpolation::Nearest(Rounding::Floor), Coordinates::Asymmetric),
        (ResizeTo::Size([12, 16]), Interpolation::Nearest(Rounding::HalfDown), Coordinates::HalfPixel),
        (ResizeTo::Size([12, 16]), Interpolation::Bilinear, Coordinates::AlignCorners),
        (ResizeTo::Scale([1.5, 2.0]), Interpolation::Bilinear, Coordinates::PytorchHalfPixel),
        (ResizeTo::Scale([1.5, 2.0]), Interpolation::Bicubic, Coordinates::HalfPixel),
    ]
    .into_iter()
    .enumerate()
    {
        list.push(b.node(&format!("resize{i}"), Interpolate { to, mode, coordinates }, &[x])?);
    }
    let x = b.concat("stack", &list)?;
    let x = b.node("max", MaxPool { padding: [0, 1, 1, 0], ..MaxPool::new(3, 2) }, &[x])?;
    let a = b.node("mean", AvgPool::new(3, 1).padding(1), &[x])?;
    let c =
        b.node("inside", AvgPool { count_include_pad: false, padding: [1, 0, 1, 2], ..AvgPool::new(3, 1) }, &[x])?;
    let x = b.concat("both", &[a, c])?;
    for (i, mode) in [PadMode::Constant(0.5), PadMode::Reflect, PadMode::Edge].into_iter().enumerate() {
        let x = b.node(&format!("pad{i}"), Pad { before: vec![1, 0, 2], after: vec![0, 1, 1], mode }, &[x])?;
        list.push(b.node(&format!("mix{i}"), Conv2d::pointwise(4).bias(true), &[x])?);
    }
    let x = b.concat("padded", &list[5..])?;
    let y = b.node("squeeze", GlobalAvgPool { keep_dims: true }, &[x])?;
    let y = b.node("gate", Activation::HardSigmoid, &[y])?;
    let x = b.node("excite", Multiply {}, &[x, y])?;
    let x = b.global_avg_pool("pool", x)?;
    let x = b.node("classifier", Linear { out_features: 4, bias: false }, &[x])?;
    finish(b, x, 4)
}

fn tokens() -> Result<Model> {
    let (mut b, x) = start("tokens")?;
    let x = b.node("patches", Reshape { shape: vec![6, 32] }, &[x])?;
    let x = b.node("turned", Transpose { order: vec![1, 0] }, &[x])?;
    let x = b.node("embed", Linear::new(8), &[x])?;
    let x = b.node("norm", LayerNorm { eps: 1e-6, affine: true }, &[x])?;
    let token = constant(&mut b, "token", &[1, 8], true)?;
    let x = b.node("all", Concat { axis: 0 }, &[token, x])?;
    let position = constant(&mut b, "position", &[33, 8], true)?;
    let x = b.node("placed", Add {}, &[x, position])?;
    let x = b.node("mlp.fc1", Linear { out_features: 12, bias: false }, &[x])?;
    let x = b.node("mlp.act", Activation::Gelu, &[x])?;
    let x = b.node("plain", LayerNorm { affine: false, ..LayerNorm::default() }, &[x])?;
    let y = b.node("weights", Softmax { axis: 1 }, &[x])?;
    let x = b.node("weighted", Multiply {}, &[x, y])?;
    let m = b.node("middle", Mean { axes: vec![0], keep_dims: false }, &[x])?;
    let whole = b.node("whole", Mean { axes: vec![0, 1], keep_dims: false }, &[x])?;
    let kept = b.node("kept", Mean { axes: vec![0, 1], keep_dims: true }, &[x])?;
    let kept = b.node("kept.flat", Flatten {}, &[kept])?;
    let x = b.node("joined", Concat { axis: 0 }, &[m, whole, kept])?;
    finish(b, x, 14)
}

fn activations() -> Result<Model> {
    let (mut b, x) = start("activations")?;
    let all = [
        Activation::Relu,
        Activation::Relu6,
        Activation::Elu { alpha: 0.7 },
        Activation::Prelu,
        Activation::Silu,
        Activation::HardSwish,
        Activation::HardSigmoid,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::LeakyRelu { slope: 0.1 },
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Mish,
        Activation::Clip { min: -0.5, max: 0.25 },
    ];
    let wide = b.conv("wide", x, Conv2d::pointwise(4))?;
    let mut values = Vec::new();
    for act in all {
        values.push(b.activation(&format!("map.{}", act.name()), wide, act)?);
    }
    let x = b.concat("maps", &values)?;
    let x = b.global_avg_pool("pool", x)?;
    let x = b.linear("fc", x, 6)?;
    let mut values = Vec::new();
    for act in all {
        values.push(b.activation(&format!("vector.{}", act.name()), x, act)?);
    }
    let x = b.node("vectors", Concat { axis: 0 }, &values)?;
    finish(b, x, 84)
}

/// The kinds of operator that the models use.
pub(crate) fn kinds(models: &[Model]) -> std::collections::BTreeSet<&'static str> {
    models.iter().flat_map(|m| m.graph.nodes.iter().map(|n: &sepal_graph::Node| Op::kind(&n.op))).collect()
}
