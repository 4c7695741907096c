//! The graphs that every executor runs.

use sepal_graph::{
    Activation, AvgPool, BatchNorm, Builder, Conv2d, Graph, Linear, MaxPool, NodeId, Result, Shape, Weights,
};

use crate::Filler;

/// A small graph of one input for an executor to run.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is about, unique.
    pub name: String,
    /// The graph. Its output is a vector if and only if `classifies`.
    pub graph: Graph,
    /// Whether its output is a vector of at least two logits, so that it can be trained.
    pub classifies: bool,
}

impl Case {
    /// Weights that keep values sane: [`Weights::formula`].
    ///
    /// # Panics
    /// The graph is not valid.
    #[must_use]
    pub fn weights(&self) -> Weights {
        Weights::formula(&self.graph).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// A batch of inputs from −1 to 1, N, C, H, W.
    ///
    /// # Panics
    /// The graph is not valid.
    #[must_use]
    pub fn input(&self, batch: usize) -> Vec<f32> {
        let shape = self.graph.input_shape().unwrap_or_else(|error| panic!("{}: {error}", self.name));
        Filler::new(batch as u64).vec(batch * shape.elements(), -1.0, 1.0)
    }
}

/// All cases: every operator with every attribute, at odd sizes, and in the company it keeps in
/// networks. Channel counts lie below, at and above multiples of 16.
///
/// # Panics
/// A case does not build.
#[must_use]
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    convolutions(&mut cases);
    pools(&mut cases);
    pointwise_operators(&mut cases);
    heads(&mut cases);
    blocks(&mut cases);
    cases
}

fn case(
    cases: &mut Vec<Case>,
    name: impl Into<String>,
    shape: [usize; 3],
    classifies: bool,
    body: impl FnOnce(&mut Builder, NodeId) -> Result<NodeId>,
) {
    let name = name.into();
    let build = || {
        let mut b = Builder::new(&name);
        let [c, h, w] = shape;
        let x = b.input("input", Shape::chw(c, h, w)?)?;
        let y = body(&mut b, x)?;
        b.finish(&[y])
    };
    let graph = build().unwrap_or_else(|error| panic!("{name}: {error}"));
    cases.push(Case { name, graph, classifies });
}

fn convolutions(cases: &mut Vec<Case>) {
    let mut conv = |name: &str, shape: [usize; 3], conv: Conv2d| {
        case(cases, format!("conv {name}"), shape, false, |b, x| b.conv("conv", x, conv));
    };
    conv("3×3 same", [5, 9, 11], Conv2d::standard(7, 3).same());
    conv("3×3 first layer", [3, 17, 19], Conv2d::standard(32, 3).stride(2).same());
    conv("3×3 bias, no padding", [16, 8, 5], Conv2d::standard(17, 3).bias(true));
    conv("5×3 strides 2,3 asymmetric padding", [4, 13, 14], uneven());
    conv("3×3 dilation 2", [6, 11, 10], Conv2d::standard(6, 3).dilation(2).same());
    conv("2×2 even kernel", [3, 7, 6], Conv2d::standard(4, 2).same());
    conv("one pixel", [3, 1, 1], Conv2d::standard(2, 3).same());
    conv("one channel", [1, 6, 7], Conv2d::standard(1, 3).same());
    conv("grouped, 3 groups", [9, 8, 7], Conv2d::standard(6, 3).groups(3).same());
    conv("grouped, 2 groups of 16", [32, 6, 6], Conv2d::standard(32, 3).groups(2).same().bias(true));
    conv("grouped with multiplier", [4, 7, 7], Conv2d::standard(8, 3).groups(4).same());
    for c in [1, 3, 16, 20, 33] {
        conv(&format!("depthwise {c}"), [c, 9, 8], Conv2d::depthwise(c, 3).same());
    }
    conv("depthwise stride 2, even", [18, 8, 10], Conv2d::depthwise(18, 3).stride(2).same());
    conv("depthwise stride 2, odd", [16, 7, 9], Conv2d::depthwise(16, 3).stride(2).same());
    conv("depthwise 5×5 bias", [17, 6, 12], Conv2d::depthwise(17, 5).same().bias(true));
    conv("depthwise 7×7 dilation 2", [5, 15, 13], Conv2d::depthwise(5, 7).dilation(2).same());
    let tensorflow = Conv2d { padding: [0, 0, 1, 1], ..Conv2d::depthwise(16, 3).stride(2) };
    conv("depthwise TensorFlow padding", [16, 8, 8], tensorflow);
    conv("depthwise one pixel", [16, 1, 1], Conv2d::depthwise(16, 3).same());
    conv("depthwise 1×1", [16, 3, 4], Conv2d::depthwise(16, 1));
    for (m, n) in [(1, 1), (3, 17), (16, 16), (32, 48), (19, 5), (33, 70)] {
        conv(&format!("pointwise {m}→{n}"), [m, 5, 7], Conv2d::pointwise(n));
    }
    conv("pointwise bias", [24, 3, 3], Conv2d::pointwise(40).bias(true));
    conv("pointwise stride 2", [16, 7, 8], Conv2d::pointwise(20).stride(2));
    conv("pointwise one pixel", [64, 1, 1], Conv2d::pointwise(96));
    conv("1×1 padded", [8, 4, 4], Conv2d::pointwise(8).padding(1));
}

fn uneven() -> Conv2d {
    Conv2d { kernel: [5, 3], stride: [2, 3], padding: [1, 2, 3, 0], ..Conv2d::standard(9, 1) }
}

fn pools(cases: &mut Vec<Case>) {
    let uneven = ([3, 2], [2, 1], [1, 0, 2, 1]);
    let max = [
        ("2×2", MaxPool::new(2, 2)),
        ("3×3 padded", MaxPool::new(3, 2).padding(1)),
        ("uneven", MaxPool { kernel: uneven.0, stride: uneven.1, padding: uneven.2 }),
    ];
    for (name, pool) in max {
        case(cases, format!("max_pool {name}"), [17, 9, 8], false, |b, x| b.node("pool", pool, &[x]));
    }
    for count_include_pad in [true, false] {
        let avg = [
            ("2×2", AvgPool::new(2, 2)),
            ("3×3 padded", AvgPool::new(3, 2).padding(1)),
            ("uneven", AvgPool { kernel: uneven.0, stride: uneven.1, padding: uneven.2, count_include_pad }),
        ];
        for (name, pool) in avg {
            let pool = AvgPool { count_include_pad, ..pool };
            let name = format!("avg_pool {name}, padding counts: {count_include_pad}");
            case(cases, name, [17, 9, 8], false, |b, x| b.node("pool", pool, &[x]));
        }
    }
}

fn pointwise_operators(cases: &mut Vec<Case>) {
    let acts = Activation::NAMES.map(|name| name.parse().unwrap_or(Activation::ELU));
    for act in acts.into_iter().chain([Activation::Elu { alpha: 0.4 }]) {
        case(cases, format!("activation {act}"), [18, 5, 5], false, |b, x| {
            // Spread over all pieces of the function.
            let x = b.conv("conv", x, Conv2d::standard(18, 5).bias(true))?;
            b.activation("act", x, act)
        });
        let name = format!("conv, norm, activation {act}");
        case(cases, name, [8, 6, 5], false, |b, x| {
            let x = b.conv("conv", x, Conv2d::standard(20, 3).same())?;
            let x = b.batch_norm("bn", x)?;
            b.activation("act", x, act)
        });
    }
    for affine in [true, false] {
        let norm = BatchNorm { eps: 1e-3, momentum: 0.2, affine };
        case(cases, format!("norm of the input, affine {affine}"), [3, 7, 6], false, |b, x| {
            let x = b.node("bn", norm, &[x])?;
            b.conv("conv", x, Conv2d::standard(16, 3).same())
        });
    }
    case(cases, "activation before convolution", [16, 6, 6], false, |b, x| {
        let x = b.batch_norm("bn", x)?;
        let x = b.activation("act", x, Activation::Relu)?;
        b.conv("conv", x, Conv2d::depthwise(16, 3).same())
    });
    case(cases, "sum of the input with itself", [3, 4, 5], false, |b, x| b.add("add", x, x));
}

fn heads(cases: &mut Vec<Case>) {
    case(cases, "flatten, linear", [3, 4, 5], true, |b, x| {
        let x = b.flatten("flatten", x)?;
        b.linear("fc", x, 7)
    });
    case(cases, "flatten of a convolution", [3, 6, 5], true, |b, x| {
        let x = b.conv("conv", x, Conv2d::standard(18, 3).same())?;
        let x = b.flatten("flatten", x)?;
        let x = b.node("fc1", Linear { out_features: 20, bias: false }, &[x])?;
        let x = b.batch_norm("bn", x)?;
        let x = b.activation("act", x, Activation::Relu)?;
        b.linear("fc2", x, 3)
    });
    case(cases, "pool, dropout, linear", [20, 5, 3], true, |b, x| {
        let x = b.global_avg_pool("pool", x)?;
        let x = b.dropout("dropout", x, 0.3)?;
        b.linear("fc", x, 33)
    });
}

fn blocks(cases: &mut Vec<Case>) {
    case(cases, "separable network", [3, 16, 15], true, |b, x| {
        let mut x = norm_act(b, "stem", x, Conv2d::standard(8, 3).stride(2).same())?;
        for (i, (channels, stride)) in [(24, 1), (32, 2), (32, 1)].into_iter().enumerate() {
            x = b.scope(&format!("block{}", i + 1), |b| {
                let depthwise = Conv2d::depthwise(b.channels(x)?, 3).stride(stride).same();
                let x = norm_act(b, "depthwise", x, depthwise)?;
                norm_act(b, "pointwise", x, Conv2d::pointwise(channels))
            })?;
        }
        head(b, x)
    });
    case(cases, "residual network", [3, 9, 8], true, |b, x| {
        let x = norm_act(b, "stem", x, Conv2d::standard(16, 3).same())?;
        let y = norm_act(b, "first", x, Conv2d::standard(16, 3).same())?;
        let y = b.conv("second", y, Conv2d::standard(16, 3).same())?;
        let y = b.batch_norm("second_bn", y)?;
        let x = b.add("add1", x, y)?;
        let x = b.activation("act1", x, Activation::Relu)?;
        let y = norm_act(b, "down", x, Conv2d::standard(24, 3).stride(2).same())?;
        let skip = b.conv("skip", x, Conv2d::pointwise(24).stride(2))?;
        let skip = b.batch_norm("skip_bn", skip)?;
        let x = b.add("add2", y, skip)?;
        head(b, x)
    });
    case(cases, "value with three readers", [4, 6, 6], true, |b, x| {
        let x = b.conv("conv", x, Conv2d::pointwise(16))?;
        let y = b.activation("relu", x, Activation::Relu)?;
        let z = b.activation("silu", x, Activation::Silu)?;
        let y = b.add("add1", y, z)?;
        let y = b.add("add2", y, x)?;
        head(b, y)
    });
    case(cases, "nothing between depthwise and pointwise, pools", [3, 14, 14], true, |b, x| {
        let x = b.conv("depthwise", x, Conv2d::depthwise(3, 5).same())?;
        let x = norm_act(b, "pointwise", x, Conv2d::pointwise(17))?;
        let x = b.node("max", MaxPool::new(3, 2).padding(1), &[x])?;
        let x = norm_act(b, "grouped", x, Conv2d::standard(34, 3).groups(17).same())?;
        let x = b.node("avg", AvgPool::new(2, 2), &[x])?;
        head(b, x)
    });
}

fn norm_act(b: &mut Builder, name: &str, x: NodeId, conv: Conv2d) -> Result<NodeId> {
    b.scope(name, |b| {
        let x = b.conv("conv", x, conv)?;
        let x = b.batch_norm("bn", x)?;
        b.activation("act", x, Activation::Relu)
    })
}

fn head(b: &mut Builder, x: NodeId) -> Result<NodeId> {
    let x = b.global_avg_pool("pool", x)?;
    b.linear("classifier", x, 5)
}
