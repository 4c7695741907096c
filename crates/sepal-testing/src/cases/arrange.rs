//! What moves values: concatenation, slices, padding, resizing, other shapes.

use sepal_graph::{
    Activation, AvgPool, Builder, Concat, Conv2d, Coordinates, Interpolate, Interpolation, Linear, MaxPool, Pad,
    PadMode, Reshape, ResizeTo, Rounding, Slice, Transpose,
};

use super::Cases;

pub(super) fn concat_and_slice(cases: &mut Cases) {
    for channels in [&[16, 16][..], &[5, 16, 20], &[1, 1, 1, 1], &[17, 2], &[33]] {
        cases.add(format!("concat of {channels:?}"), [3, 5, 4], |b, x| {
            let mut maps = Vec::new();
            for (i, &c) in channels.iter().enumerate() {
                let y = b.conv(&format!("conv{i}"), x, Conv2d::pointwise(c))?;
                maps.push(b.activation(&format!("act{i}"), y, Activation::Silu)?);
            }
            let x = b.concat("concat", &maps)?;
            b.batch_norm("bn", x)
        });
    }
    cases.add("concat of a value with itself", [7, 3, 4], |b, x| b.concat("concat", &[x, x, x]));
    cases.add("concat of vectors", [18, 2, 3], |b, x| {
        let x = b.global_avg_pool("pool", x)?;
        let y = b.linear("fc", x, 5)?;
        b.concat("concat", &[y, x])
    });
    for axis in [1, 2] {
        cases.add_for_inference(format!("concat along dimension {axis}"), [17, 3, 3], |b, x| {
            let y = b.conv("conv", x, Conv2d::pointwise(17))?;
            b.node("concat", Concat { axis }, &[x, y])
        });
    }
    for (start, end) in [(0, 16), (16, 40), (3, 21), (39, 40), (0, 40)] {
        cases.add(format!("slice of channels {start}..{end}"), [40, 3, 5], |b, x| {
            let x = b.activation("act", x, Activation::Silu)?;
            b.node("slice", Slice::channels(start, end), &[x])
        });
    }
    cases.add("slice of a vector", [20, 3, 5], |b, x| {
        let x = b.global_avg_pool("pool", x)?;
        b.node("slice", Slice::channels(7, 18), &[x])
    });
    for (axis, start, end, step) in [(1, 1, 4, 1), (2, 0, 7, 2), (1, 2, 5, 3)] {
        cases.add(format!("slice of dimension {axis}, {start}..{end} by {step}"), [18, 5, 7], |b, x| {
            b.node("slice", Slice { axis, start, end, step }, &[x])
        });
    }
    cases.add("slice of every third channel", [40, 3, 5], |b, x| {
        b.node("slice", Slice { axis: 0, start: 2, end: 39, step: 3 }, &[x])
    });
}

/// Maps that are a part of others, of which an executor may keep one copy.
pub(super) fn values_in_others(cases: &mut Cases) {
    let conv = |b: &mut Builder, name: &str, x, channels| b.conv(name, x, Conv2d::standard(channels, 3).same());
    for channels in [16, 12] {
        cases.add(format!("running concat, {channels} at a time"), [16, 5, 4], |b, x| {
            let mut x = conv(b, "stem", x, 2 * channels)?;
            for i in 0..4 {
                let y = b.batch_norm(&format!("bn{i}"), x)?;
                let y = b.activation(&format!("act{i}"), y, Activation::Relu)?;
                let y = conv(b, &format!("conv{i}"), y, channels)?;
                x = b.concat(&format!("concat{i}"), &[x, y])?;
            }
            b.conv("last", x, Conv2d::pointwise(7))
        });
        cases.add(format!("concats of the same maps and one more, {channels} channels each"), [3, 5, 4], |b, x| {
            let mut maps = vec![conv(b, "stem", x, channels)?];
            for i in 0..3 {
                let x = b.concat(&format!("concat{i}"), &maps)?;
                let x = b.conv(&format!("reduce{i}"), x, Conv2d::pointwise(20))?;
                maps.push(conv(b, &format!("conv{i}"), x, channels)?);
            }
            b.concat("last", &maps)
        });
    }
    for parts in [[32, 16, 9], [9, 16, 32], [16, 5, 12]] {
        cases.add(format!("maps of {parts:?} that others read too, side by side twice"), [16, 4, 5], |b, x| {
            let mut maps = vec![x];
            for (i, channels) in parts.into_iter().enumerate() {
                let y = conv(b, &format!("conv{i}"), maps[i], channels)?;
                maps.push(b.activation(&format!("act{i}"), y, Activation::Silu)?);
            }
            let first = b.concat("first", &maps)?;
            maps.reverse();
            let second = b.concat("second", &maps)?;
            let both = b.concat("both", &[first, second, maps[1]])?;
            let both = b.activation("act", both, Activation::Tanh)?;
            let first = conv(b, "from_first", first, 5)?;
            let both = conv(b, "from_both", both, 5)?;
            b.add("add", first, both)
        });
    }
    cases.add("halves that go apart and meet, with others in between", [3, 5, 5], |b, x| {
        let mut x = conv(b, "stem", x, 48)?;
        for i in 0..3 {
            let kept = b.node(&format!("kept{i}"), Slice::channels(0, 16), &[x])?;
            let changed = b.node(&format!("changed{i}"), Slice::channels(16, 48), &[x])?;
            let changed = conv(b, &format!("conv{i}"), changed, 32)?;
            let odd = b.node(&format!("odd{i}"), Slice::channels(7, 23), &[x])?;
            let changed = b.concat(&format!("changed{i}.concat"), &[changed, odd])?;
            let parts = if i == 1 { [kept, changed] } else { [changed, kept] };
            x = b.concat(&format!("concat{i}"), &parts)?;
        }
        b.node("last", Slice::channels(16, 40), &[x])
    });
    cases.add("what is taken apart is put together again", [3, 5, 5], |b, x| {
        let x = conv(b, "stem", x, 40)?;
        let parts = [(0, 16), (16, 32), (32, 40)];
        let mut maps = Vec::new();
        for (start, end) in parts {
            maps.push(b.node(&format!("from{start}"), Slice::channels(start, end), &[x])?);
        }
        let x = b.concat("concat", &maps)?;
        b.conv("conv", x, Conv2d::pointwise(3))
    });
    for [first, rest] in [[16, 12], [14, 12], [16, 16]] {
        cases.add(format!("pyramids of {first} and {rest} channels with a residual sum"), [16, 6, 7], |b, x| {
            let mut x = conv(b, "stem", x, first + 3 * rest)?;
            for i in 0..2 {
                let (y, mut maps) = (b.conv(&format!("reduce{i}"), x, Conv2d::pointwise(rest))?, Vec::new());
                for j in 0..4 {
                    let mut z = conv(b, &format!("conv{i}.{j}"), y, if j == 0 { first } else { rest })?;
                    if j > 1 {
                        z = b.add(&format!("sum{i}.{j}"), maps[j - 1], z)?;
                    }
                    maps.push(z);
                }
                let y = b.concat(&format!("concat{i}"), &maps)?;
                x = b.add(&format!("add{i}"), x, y)?;
                x = b.batch_norm(&format!("bn{i}"), x)?;
                x = b.activation(&format!("act{i}"), x, Activation::Prelu)?;
            }
            Ok(x)
        });
    }
}

pub(super) fn padding(cases: &mut Cases) {
    for (before, after) in [(0, 7), (3, 0), (16, 16), (5, 30)] {
        cases.add(format!("pad {before} and {after} channels"), [18, 3, 4], |b, x| {
            b.node("pad", Pad::channels(before, after), &[x])
        });
    }
    let modes = [PadMode::Constant(0.0), PadMode::Constant(-1.5), PadMode::Reflect, PadMode::Edge];
    for mode in modes {
        for (before, after) in [([0, 1, 2], [0, 3, 1]), ([0, 0, 4], [0, 0, 0])] {
            cases.add(format!("pad {before:?} and {after:?}, {mode:?}"), [18, 4, 5], |b, x| {
                let x = b.activation("act", x, Activation::Silu)?;
                b.node("pad", Pad { before: before.to_vec(), after: after.to_vec(), mode }, &[x])
            });
        }
        cases.add(format!("pad every dimension, {mode:?}"), [18, 4, 5], |b, x| {
            b.node("pad", Pad { before: vec![1, 2, 0], after: vec![2, 1, 3], mode }, &[x])
        });
    }
    let mut folded = |name: &str, before: [usize; 2], after: [usize; 2], op: sepal_graph::Op| {
        cases.add(format!("zeros {before:?} and {after:?} before {name}"), [18, 7, 6], |b, x| {
            let x = b.activation("act", x, Activation::Silu)?;
            let pad = |[h, w]: [usize; 2]| vec![0, h, w];
            let pad = Pad { before: pad(before), after: pad(after), mode: PadMode::Constant(0.0) };
            let x = b.node("pad", pad, &[x])?;
            b.node("op", op, &[x])
        });
    };
    let conv = Conv2d::standard(9, 3).stride(2);
    for (before, after) in [([0, 0], [1, 1]), ([1, 1], [1, 1]), ([2, 0], [0, 3])] {
        folded("a convolution", before, after, conv.clone().into());
        folded("a padded convolution", before, after, conv.clone().padding(1).into());
        folded("a depthwise convolution", before, after, Conv2d::depthwise(18, 5).stride(2).into());
        folded("a maximum", before, after, MaxPool::new(3, 2).into());
        folded("an average", before, after, AvgPool::new(3, 2).into());
        let counted = AvgPool { count_include_pad: true, ..AvgPool::new(3, 1).padding(1) };
        folded("a padded average", before, after, counted.clone().into());
        let average = AvgPool { count_include_pad: !counted.count_include_pad, ..counted };
        folded("a padded average of what is there", before, after, average.into());
    }
    cases.add("pad a vector, Edge", [18, 2, 2], |b, x| {
        let x = b.global_avg_pool("pool", x)?;
        b.node("pad", Pad { before: vec![2], after: vec![3], mode: PadMode::Edge }, &[x])
    });
}

pub(super) fn resizing(cases: &mut Cases) {
    let mut resize = |name: &str, shape: [usize; 3], op: Interpolate| {
        cases.add(format!("interpolate {name}"), shape, |b, x| b.node("resize", op, &[x]));
    };
    resize("nearest ×2", [18, 4, 5], Interpolate::nearest(2.0));
    resize("bilinear ×2", [18, 4, 5], Interpolate::bilinear(2.0));
    resize("bilinear ×8", [3, 2, 3], Interpolate::bilinear(8.0));
    resize("nearest ×0.5", [16, 7, 8], Interpolate::nearest(0.5));
    resize("one pixel", [5, 1, 1], Interpolate::bilinear(3.0));
    let sizes = [ResizeTo::Size([7, 5]), ResizeTo::Size([1, 3]), ResizeTo::Scale([2.5, 0.75])];
    let coordinates =
        [Coordinates::HalfPixel, Coordinates::PytorchHalfPixel, Coordinates::AlignCorners, Coordinates::Asymmetric];
    let modes = [
        Interpolation::Nearest(Rounding::Floor),
        Interpolation::Nearest(Rounding::Ceil),
        Interpolation::Nearest(Rounding::HalfDown),
        Interpolation::Nearest(Rounding::HalfUp),
        Interpolation::Bilinear,
        Interpolation::Bicubic,
    ];
    for to in sizes {
        for coordinates in coordinates {
            for mode in modes {
                let name = format!("{to:?} {mode:?} {coordinates:?}");
                resize(&name, [3, 4, 8], Interpolate { to, mode, coordinates });
            }
        }
    }
}

pub(super) fn other_shapes(cases: &mut Cases) {
    let mut reshape = |name: &str, shape: [usize; 3], to: &[i64]| {
        cases.add(format!("reshape {name}"), shape, |b, x| b.node("reshape", Reshape { shape: to.to_vec() }, &[x]));
    };
    reshape("to a vector", [5, 3, 4], &[-1]);
    reshape("to a matrix", [18, 3, 4], &[18, -1]);
    reshape("to another map", [6, 4, 5], &[20, 2, 3]);
    reshape("to four dimensions", [36, 2, 4], &[2, 18, 2, -1]);
    for order in [[1, 2, 0], [0, 2, 1], [2, 0, 1], [2, 1, 0]] {
        cases.add(format!("transpose {order:?}"), [18, 3, 5], |b, x| {
            b.node("transpose", Transpose { order: order.to_vec() }, &[x])
        });
    }
    cases.add("space to depth", [5, 4, 6], |b, x| {
        let x = b.node("cells", Reshape { shape: vec![5, 2, 2, 3, 2] }, &[x])?;
        let x = b.node("order", Transpose { order: vec![2, 4, 0, 1, 3] }, &[x])?;
        b.node("channels", Reshape { shape: vec![20, 2, 3] }, &[x])
    });
    for bias in [true, false] {
        cases.add_for_inference(format!("linear over a map's rows, bias {bias}"), [3, 4, 18], |b, x| {
            b.node("linear", Linear { out_features: 21, bias }, &[x])
        });
    }
}
