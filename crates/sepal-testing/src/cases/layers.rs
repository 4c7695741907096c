//! Convolutions, pools, norms, activations and heads.

use sepal_graph::{Activation, AvgPool, BatchNorm, Conv2d, ConvTranspose2d, GlobalAvgPool, Linear, MaxPool};

use super::Cases;

pub(super) fn convolutions(cases: &mut Cases) {
    let mut conv = |name: &str, shape: [usize; 3], conv: Conv2d| {
        cases.add(format!("conv {name}"), shape, |b, x| b.conv("conv", x, conv));
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

pub(super) fn transposed_convolutions(cases: &mut Cases) {
    let mut conv = |name: &str, shape: [usize; 3], conv: ConvTranspose2d| {
        cases.add(format!("conv_transpose {name}"), shape, |b, x| b.node("up", conv, &[x]));
    };
    conv("2×2 stride 2", [20, 5, 7], ConvTranspose2d::new(9, 2, 2));
    conv("2×2 stride 2, bias", [5, 4, 3], ConvTranspose2d { bias: true, ..ConvTranspose2d::new(33, 2, 2) });
    let overlapping = ConvTranspose2d { padding: [1; 4], output_padding: [1, 1], ..ConvTranspose2d::new(17, 3, 2) };
    conv("3×3 stride 2, overlapping", [16, 4, 5], overlapping);
    conv("4×4 stride 2, padding 1", [3, 5, 4], ConvTranspose2d { padding: [1; 4], ..ConvTranspose2d::new(6, 4, 2) });
    conv("3×3 stride 1", [4, 6, 5], ConvTranspose2d::new(5, 3, 1));
    let uneven = ConvTranspose2d {
        kernel: [2, 4],
        stride: [3, 2],
        padding: [0, 1, 1, 2],
        output_padding: [2, 0],
        dilation: [2, 1],
        bias: true,
        ..ConvTranspose2d::new(7, 1, 1)
    };
    conv("uneven in everything", [6, 4, 5], uneven);
    conv("2 groups", [12, 4, 4], ConvTranspose2d { groups: 2, ..ConvTranspose2d::new(10, 2, 2) });
    conv("depthwise", [18, 3, 5], ConvTranspose2d { groups: 18, padding: [1; 4], ..ConvTranspose2d::new(18, 4, 2) });
    conv("one pixel", [3, 1, 1], ConvTranspose2d::new(2, 3, 2));
}

fn uneven() -> Conv2d {
    Conv2d { kernel: [5, 3], stride: [2, 3], padding: [1, 2, 3, 0], ..Conv2d::standard(9, 1) }
}

pub(super) fn pools(cases: &mut Cases) {
    let uneven = ([3, 2], [2, 1], [1, 0, 2, 1]);
    let max = [
        ("2×2", MaxPool::new(2, 2)),
        ("3×3 padded", MaxPool::new(3, 2).padding(1)),
        ("uneven", MaxPool { kernel: uneven.0, stride: uneven.1, padding: uneven.2 }),
    ];
    for (name, pool) in max {
        cases.add(format!("max_pool {name}"), [17, 9, 8], |b, x| b.node("pool", pool, &[x]));
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
            cases.add(name, [17, 9, 8], |b, x| b.node("pool", pool, &[x]));
        }
    }
}

pub(super) fn pointwise_operators(cases: &mut Cases) {
    let acts = Activation::NAMES.map(|name| name.parse().unwrap_or(Activation::ELU));
    let others = [
        Activation::Elu { alpha: 0.4 },
        Activation::LeakyRelu { slope: 0.3 },
        Activation::Clip { min: -0.3, max: 0.7 },
    ];
    for act in acts.into_iter().chain(others) {
        cases.add(format!("activation {act}"), [18, 5, 5], |b, x| {
            // Spread over all pieces of the function.
            let x = b.conv("conv", x, Conv2d::standard(18, 5).bias(true))?;
            b.activation("act", x, act)
        });
        let name = format!("conv, norm, activation {act}");
        cases.add(name, [8, 6, 5], |b, x| {
            let x = b.conv("conv", x, Conv2d::standard(20, 3).same())?;
            let x = b.batch_norm("bn", x)?;
            b.activation("act", x, act)
        });
    }
    for affine in [true, false] {
        let norm = BatchNorm { eps: 1e-3, momentum: 0.2, affine };
        cases.add(format!("norm of the input, affine {affine}"), [3, 7, 6], |b, x| {
            let x = b.node("bn", norm, &[x])?;
            b.conv("conv", x, Conv2d::standard(16, 3).same())
        });
    }
    cases.add("activation before convolution", [16, 6, 6], |b, x| {
        let x = b.batch_norm("bn", x)?;
        let x = b.activation("act", x, Activation::Relu)?;
        b.conv("conv", x, Conv2d::depthwise(16, 3).same())
    });
    cases.add("sum of the input with itself", [3, 4, 5], |b, x| b.add("add", x, x));
}

pub(super) fn heads(cases: &mut Cases) {
    cases.add("flatten, linear", [3, 4, 5], |b, x| {
        let x = b.flatten("flatten", x)?;
        b.linear("fc", x, 7)
    });
    cases.add("flatten of a convolution", [3, 6, 5], |b, x| {
        let x = b.conv("conv", x, Conv2d::standard(18, 3).same())?;
        let x = b.flatten("flatten", x)?;
        let x = b.node("fc1", Linear { out_features: 20, bias: false }, &[x])?;
        let x = b.batch_norm("bn", x)?;
        let x = b.activation("act", x, Activation::Relu)?;
        b.linear("fc2", x, 3)
    });
    cases.add("pool that stays a map, pointwise", [20, 3, 7], |b, x| {
        let x = b.node("pool", GlobalAvgPool { keep_dims: true }, &[x])?;
        b.conv("conv", x, Conv2d::pointwise(18).bias(true))
    });
    cases.add("pool, dropout, linear", [20, 5, 3], |b, x| {
        let x = b.global_avg_pool("pool", x)?;
        let x = b.dropout("dropout", x, 0.3)?;
        b.linear("fc", x, 33)
    });
}
