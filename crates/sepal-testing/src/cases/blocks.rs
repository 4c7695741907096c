//! Operators in the company they keep in networks.

use sepal_graph::{
    Activation, AvgPool, BatchNorm, Builder, Constant, Conv2d, ConvTranspose2d, GatedSum, GlobalAvgPool, Interpolate,
    LayerNorm, MaxPool, Mean, NodeId, Pad, Reshape, Result, Shape, Slice, Softmax, Transpose,
};

use super::Cases;

pub(super) fn separable_and_residual(cases: &mut Cases) {
    cases.add("separable network", [3, 16, 15], |b, x| {
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
    cases.add("residual network", [3, 9, 8], |b, x| {
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
    cases.add("value with three readers", [4, 6, 6], |b, x| {
        let x = b.conv("conv", x, Conv2d::pointwise(16))?;
        let y = b.activation("relu", x, Activation::Relu)?;
        let z = b.activation("silu", x, Activation::Silu)?;
        let y = b.add("add1", y, z)?;
        let y = b.add("add2", y, x)?;
        head(b, y)
    });
    cases.add("nothing between depthwise and pointwise, pools", [3, 14, 14], |b, x| {
        let x = b.conv("depthwise", x, Conv2d::depthwise(3, 5).same())?;
        let x = norm_act(b, "pointwise", x, Conv2d::pointwise(17))?;
        let x = b.node("max", MaxPool::new(3, 2).padding(1), &[x])?;
        let x = norm_act(b, "grouped", x, Conv2d::standard(34, 3).groups(17).same())?;
        let x = b.node("avg", AvgPool::new(2, 2), &[x])?;
        head(b, x)
    });
    cases.add("shortcut of pooled pixels and added channels", [3, 8, 7], |b, x| {
        let x = norm_act(b, "stem", x, Conv2d::standard(10, 3).same())?;
        let y = b.conv("depthwise", x, Conv2d::depthwise(10, 3).stride(2).padding(1))?;
        let y = b.conv("pointwise", y, Conv2d::pointwise(20))?;
        let y = b.batch_norm("bn", y)?;
        let skip = b.node("skip.pool", AvgPool { padding: [0, 0, 0, 1], ..AvgPool::new(2, 2) }, &[x])?;
        let skip = b.node("skip.zeros", Pad::channels(0, 10), &[skip])?;
        let x = b.add("add", y, skip)?;
        let x = b.activation("act", x, Activation::Relu)?;
        head(b, x)
    });
}

pub(super) fn attention(cases: &mut Cases) {
    for (stride, channels) in [(1, 24), (2, 35)] {
        cases.add(
            format!("squeeze-and-excite before a pointwise convolution of stride {stride}"),
            [5, 9, 7],
            |b, x| {
                let x = norm_act(b, "expand", x, Conv2d::pointwise(35))?;
                let s = b.node("squeeze", GlobalAvgPool { keep_dims: true }, &[x])?;
                let s = b.conv("gate", s, Conv2d::pointwise(35).bias(true))?;
                let s = b.activation("sigmoid", s, Activation::HardSigmoid)?;
                let x = b.multiply("scale", x, s)?;
                let y = b.conv("project", x, Conv2d::pointwise(channels).stride(stride))?;
                let y = b.batch_norm("project_bn", y)?;
                if (stride, channels) == (2, 35) {
                    let skip = b.conv("skip", s, Conv2d::pointwise(channels))?;
                    return b.multiply("rescale", y, skip);
                }
                let z = b.conv("beside", y, Conv2d::pointwise(channels))?;
                let y = b.add("add", y, z)?;
                head(b, y)
            },
        );
    }
    cases.add("norms and activations before pointwise convolutions", [20, 6, 5], |b, mut x| {
        for (i, act) in
            [Activation::Relu, Activation::Relu6, Activation::Silu, Activation::Prelu].into_iter().enumerate()
        {
            x = b.batch_norm(&format!("bn{i}"), x)?;
            x = b.activation(&format!("act{i}"), x, act)?;
            let y = b.conv(&format!("conv{i}"), x, Conv2d::pointwise(17 + i).stride(1 + i % 2))?;
            x = b.activation(&format!("end{i}"), y, Activation::Tanh)?;
        }
        b.batch_norm("bn", x)
    });
    for (squeeze, gate) in [(Activation::Relu, Activation::HardSigmoid), (Activation::Silu, Activation::Sigmoid)] {
        cases.add(format!("squeeze and excite, {gate}"), [3, 7, 6], |b, x| {
            let x = norm_act(b, "depthwise", x, Conv2d::standard(18, 3).same())?;
            let s = b.node("se.pool", GlobalAvgPool { keep_dims: true }, &[x])?;
            let s = b.conv("se.reduce", s, Conv2d::pointwise(6).bias(true))?;
            let s = b.activation("se.act", s, squeeze)?;
            let s = b.conv("se.expand", s, Conv2d::pointwise(18).bias(true))?;
            let s = b.activation("se.gate", s, gate)?;
            let x = b.multiply("se.scale", x, s)?;
            let x = b.conv("project", x, Conv2d::pointwise(20))?;
            let x = b.batch_norm("project_bn", x)?;
            head(b, x)
        });
    }
    cases.add("depthwise kernels shared by a gate", [4, 6, 5], |b, x| {
        let x = norm_act(b, "stem", x, Conv2d::pointwise(17))?;
        let g = b.global_avg_pool("gate.pool", x)?;
        let g = b.linear("gate.fc1", g, 5)?;
        let g = b.activation("gate.act", g, Activation::Relu)?;
        let g = b.linear("gate.fc2", g, 3)?;
        let g = b.node("gate.softmax", Softmax::default(), &[g])?;
        let mut inputs = vec![g];
        for domain in ["a", "b", "c"] {
            inputs.push(b.conv(domain, x, Conv2d::depthwise(17, 3).same())?);
        }
        let x = b.node("sum", GatedSum {}, &inputs)?;
        let x = norm_act(b, "pointwise", x, Conv2d::pointwise(20))?;
        head(b, x)
    });
    cases.add_for_inference("ConvNeXt block", [18, 8, 7], |b, x| {
        let y = b.conv("depthwise", x, Conv2d::depthwise(18, 7).same().bias(true))?;
        let y = b.node("last", Transpose { order: vec![1, 2, 0] }, &[y])?;
        let y = b.node("norm", LayerNorm { eps: 1e-6, affine: true }, &[y])?;
        let y = b.linear("fc1", y, 40)?;
        let y = b.activation("act", y, Activation::Gelu)?;
        let y = b.linear("fc2", y, 18)?;
        let scale = b.node("scale", Constant { shape: Shape::new(vec![1, 1, 18])?, learnt: true }, &[])?;
        let y = b.multiply("scaled", y, scale)?;
        let y = b.node("first", Transpose { order: vec![2, 0, 1] }, &[y])?;
        b.add("add", x, y)
    });
    cases.add_for_inference("self-attention without heads", [12, 3, 4], |b, x| {
        let x = b.node("flat", Reshape { shape: vec![12, -1] }, &[x])?;
        let x = b.node("tokens", Transpose { order: vec![1, 0] }, &[x])?;
        let place = b.node("place", Constant { shape: Shape::new(vec![12, 12])?, learnt: true }, &[])?;
        let x = b.add("placed", x, place)?;
        let y = b.node("norm", LayerNorm::default(), &[x])?;
        let y = b.linear("scores", y, 12)?;
        let y = b.node("softmax", Softmax { axis: 1 }, &[y])?;
        let y = b.multiply("weighed", x, y)?;
        let x = b.add("add", x, y)?;
        let x = b.node("mean", Mean { axes: vec![0], keep_dims: false }, &[x])?;
        b.linear("classifier", x, 5)
    });
}

pub(super) fn branches(cases: &mut Cases) {
    cases.add("dense block and transition", [3, 8, 8], |b, x| {
        let mut maps = vec![b.conv("stem", x, Conv2d::standard(12, 3).same())?];
        for i in 1..=3 {
            let y = b.scope(&format!("layer{i}"), |b| {
                let x = b.concat("concat", &maps)?;
                let x = b.batch_norm("bn1", x)?;
                let x = b.activation("act1", x, Activation::Relu)?;
                let x = norm_act(b, "bottleneck", x, Conv2d::pointwise(20))?;
                b.conv("conv", x, Conv2d::standard(6, 3).same())
            })?;
            maps.push(y);
        }
        let x = b.concat("concat", &maps)?;
        let x = b.batch_norm("bn", x)?;
        let x = b.activation("act", x, Activation::Relu)?;
        let x = b.conv("transition", x, Conv2d::pointwise(15))?;
        let x = b.node("transition_pool", AvgPool::new(2, 2), &[x])?;
        head(b, x)
    });
    cases.add("inception block", [3, 7, 8], |b, x| {
        let x = norm_act(b, "stem", x, Conv2d::standard(16, 3).same())?;
        let narrow = norm_act(b, "narrow", x, Conv2d::pointwise(7))?;
        let wide = norm_act(b, "reduce", x, Conv2d::pointwise(5))?;
        let wide = norm_act(b, "wide", wide, Conv2d::standard(16, 3).same())?;
        let pooled = b.node("pooled", MaxPool::new(3, 1).padding(1), &[x])?;
        let x = b.concat("concat", &[narrow, wide, pooled])?;
        head(b, x)
    });
    cases.add("slices of one pointwise convolution, each filtered", [6, 5, 6], |b, x| {
        let x = b.conv("pointwise", x, Conv2d::pointwise(30))?;
        let mut parts = Vec::new();
        for (i, (start, end)) in [(0, 10), (10, 13), (13, 30)].into_iter().enumerate() {
            let part = b.node(&format!("slice{i}"), Slice::channels(start, end), &[x])?;
            parts.push(b.conv(&format!("conv{i}"), part, Conv2d::standard(end - start, 3).same())?);
        }
        let x = b.concat("concat", &parts)?;
        head(b, x)
    });
    cases.add("halves, one filtered, shuffled", [8, 6, 6], |b, x| {
        let x = norm_act(b, "stem", x, Conv2d::pointwise(20))?;
        let left = b.node("left", Slice::channels(0, 10), &[x])?;
        let right = b.node("right", Slice::channels(10, 20), &[x])?;
        let right = norm_act(b, "pointwise", right, Conv2d::pointwise(10))?;
        let right = b.conv("depthwise", right, Conv2d::depthwise(10, 3).same())?;
        let x = b.concat("concat", &[left, right])?;
        let x = b.node("groups", Reshape { shape: vec![2, 10, 6, 6] }, &[x])?;
        let x = b.node("swap", Transpose { order: vec![1, 0, 2, 3] }, &[x])?;
        let x = b.node("channels", Reshape { shape: vec![-1, 6, 6] }, &[x])?;
        head(b, x)
    });
}

pub(super) fn segmentation(cases: &mut Cases) {
    for fused in [true, false] {
        cases.add(format!("efficient spatial pyramid, fused {fused}"), [3, 12, 10], |b, x| {
            let x = norm_act(b, "stem", x, Conv2d::standard(25, 3).stride(2).same())?;
            let y = pyramid(b, x, 5, fused)?;
            let x = b.add("add", x, y)?;
            let x = b.batch_norm("bn", x)?;
            b.activation("act", x, Activation::Prelu)
        });
    }
    cases.add("encoder and decoder", [3, 12, 16], |b, x| {
        let first = b.conv("first", x, Conv2d::standard(16, 3).stride(2).same())?;
        let small = b.node("small", AvgPool { count_include_pad: true, ..AvgPool::new(3, 2).padding(1) }, &[x])?;
        let level1 = b.concat("level1", &[first, small])?;
        let level1 = b.node("level1_bn", BatchNorm { eps: 1e-3, ..BatchNorm::default() }, &[level1])?;
        let level1 = b.activation("level1_act", level1, Activation::Prelu)?;
        let x = norm_act(b, "down", level1, Conv2d::standard(20, 3).stride(2).same())?;
        let x = b.scope("esp", |b| pyramid(b, x, 4, true))?;
        let x = b.conv("classes", x, Conv2d::pointwise(4))?;
        let x = b.batch_norm("classes_bn", x)?;
        let x = b.node("up1", ConvTranspose2d::new(4, 2, 2), &[x])?;
        let x = b.batch_norm("up1_bn", x)?;
        let x = b.activation("up1_act", x, Activation::Prelu)?;
        let x = b.concat("level0", &[x, level1])?;
        let x = norm_act(b, "merge", x, Conv2d::standard(4, 3).same())?;
        b.node("up2", ConvTranspose2d::new(4, 2, 2), &[x])
    });
    cases.add("bilinear decoder", [3, 9, 12], |b, x| {
        let x = norm_act(b, "stem", x, Conv2d::standard(18, 3).stride(3).same())?;
        let x = b.conv("classes", x, Conv2d::pointwise(5).bias(true))?;
        b.node("up", Interpolate::bilinear(3.0), &[x])
    });
}

/// Branches of `n` channels with growing dilation, in sums of all smaller ones where `fused`, concatenated
/// with the first.
fn pyramid(b: &mut Builder, x: NodeId, n: usize, fused: bool) -> Result<NodeId> {
    let channels = b.channels(x)?;
    let x = b.conv("reduce", x, Conv2d::pointwise(n))?;
    let first = b.conv("d1", x, Conv2d::standard(channels - 3 * n, 3).same())?;
    let mut parts = vec![first];
    for dilation in [2, 4, 8] {
        let y = b.conv(&format!("d{dilation}"), x, Conv2d::standard(n, 3).dilation(dilation).same())?;
        let before = parts[parts.len() - 1];
        let y = if fused && parts.len() > 1 { b.add(&format!("sum{dilation}"), before, y)? } else { y };
        parts.push(y);
    }
    b.concat("concat", &parts)
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
