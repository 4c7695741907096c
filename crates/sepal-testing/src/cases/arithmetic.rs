//! Arithmetic on two values and more, and what reduces a dimension.

use sepal_graph::{
    Activation, Add, Builder, Constant, Conv2d, Divide, GatedSum, GlobalAvgPool, LayerNorm, Mean, Multiply, NodeId, Op,
    Result, Shape, Softmax, Subtract,
};

use super::Cases;

/// The operators, each with its name.
fn operators() -> [(&'static str, Op); 4] {
    [
        ("add", Add {}.into()),
        ("subtract", Subtract {}.into()),
        ("multiply", Multiply {}.into()),
        ("divide", Divide {}.into()),
    ]
}

/// What makes a value of another.
type Make = fn(&mut Builder, NodeId) -> Result<NodeId>;

/// A positive value, away from zero.
fn positive(b: &mut Builder, name: &str, x: NodeId) -> Result<NodeId> {
    b.activation(name, x, Activation::Sigmoid)
}

pub(super) fn two_values(cases: &mut Cases) {
    for (name, op) in operators() {
        for shape in [[18, 4, 5], [3, 1, 1], [32, 3, 3]] {
            cases.add(format!("{name} of two values of {shape:?}"), shape, |b, x| {
                let y = b.conv("conv", x, Conv2d::pointwise(shape[0]))?;
                let y = positive(b, "positive", y)?;
                b.node("op", op.clone(), &[x, y])
            });
        }
        cases.add(format!("{name} of two normed values"), [5, 6, 4], |b, x| {
            let mut sides = Vec::new();
            for side in ["left", "right"] {
                let y = b.conv(side, x, Conv2d::standard(20, 3).same())?;
                let y = b.batch_norm(&format!("{side}_bn"), y)?;
                sides.push(positive(b, &format!("{side}_act"), y)?);
            }
            let x = b.node("op", op.clone(), &sides)?;
            b.batch_norm("bn", x)
        });
        // Which side is repeated, and along what.
        let repeated: [(&str, bool, Make); 5] = [
            ("a value per channel", name == "multiply", |b, x| b.node("pool", GlobalAvgPool { keep_dims: true }, &[x])),
            ("a value per pixel", false, |b, x| b.conv("one", x, Conv2d::pointwise(1))),
            ("one value", false, |b, x| {
                let x = b.conv("one", x, Conv2d::pointwise(1))?;
                b.node("pool", GlobalAvgPool { keep_dims: true }, &[x])
            }),
            ("a value per channel of the network", name == "multiply", |b, _| constant(b, &[19, 1, 1])),
            ("a value per column of the network", false, |b, _| constant(b, &[1, 1, 5])),
        ];
        for (what, trains, small) in repeated {
            for swapped in [false, true] {
                let body = |b: &mut Builder, x: NodeId| {
                    let y = small(b, x)?;
                    let (x, y) = (positive(b, "left", x)?, positive(b, "right", y)?);
                    b.node("op", op.clone(), &if swapped { [y, x] } else { [x, y] })
                };
                let title = format!("{name} with {what}, first {swapped}");
                match trains {
                    true => cases.add(title, [19, 4, 5], body),
                    false => cases.add_for_inference(title, [19, 4, 5], body),
                }
            }
        }
        cases.add_for_inference(format!("{name} of a row and a column"), [17, 4, 5], |b, x| {
            let column = b.node("column", Mean { axes: vec![2], keep_dims: true }, &[x])?;
            let row = b.node("row", Mean { axes: vec![1], keep_dims: true }, &[x])?;
            let row = positive(b, "positive", row)?;
            b.node("op", op.clone(), &[column, row])
        });
    }
    cases.add("square of a value", [18, 3, 4], |b, x| b.multiply("square", x, x));
    cases.add("product of vectors", [20, 3, 4], |b, x| {
        let x = b.global_avg_pool("pool", x)?;
        let y = b.linear("fc", x, 20)?;
        b.multiply("product", x, y)
    });
}

fn constant(b: &mut Builder, dims: &[usize]) -> Result<NodeId> {
    b.node("constant", Constant { shape: Shape::new(dims.to_vec())?, learnt: dims[0] > 1 }, &[])
}

pub(super) fn reductions(cases: &mut Cases) {
    for c in [1, 7, 16, 33] {
        cases.add(format!("softmax of a vector of {c}"), [c, 2, 3], |b, x| {
            let x = b.global_avg_pool("pool", x)?;
            let x = b.linear("fc", x, c)?;
            b.node("softmax", Softmax::default(), &[x])
        });
    }
    cases.add("softmax over the channels of a map", [19, 4, 3], |b, x| {
        let x = b.batch_norm("bn", x)?;
        b.node("softmax", Softmax::default(), &[x])
    });
    for axis in [1, 2] {
        cases.add_for_inference(format!("softmax over dimension {axis}"), [18, 4, 3], |b, x| {
            b.node("softmax", Softmax { axis }, &[x])
        });
    }
    for keep_dims in [false, true] {
        for axes in [&[1, 2][..], &[0], &[1], &[2], &[0, 2], &[0, 1, 2]] {
            let name = format!("mean over {axes:?}, kept {keep_dims}");
            let mean = Mean { axes: axes.to_vec(), keep_dims };
            let body = |b: &mut Builder, x: NodeId| b.node("mean", mean, &[x]);
            match axes == [1, 2] {
                true => cases.add(name, [18, 4, 3], body),
                false => cases.add_for_inference(name, [18, 4, 3], body),
            }
        }
    }
    for affine in [true, false] {
        for c in [5, 33] {
            cases.add(format!("layer norm of a vector of {c}, affine {affine}"), [3, 3, 4], |b, x| {
                let x = b.flatten("flatten", x)?;
                let x = b.linear("fc", x, c)?;
                b.node("norm", LayerNorm { eps: 1e-3, affine }, &[x])
            });
        }
        cases.add_for_inference(format!("layer norm of a map's rows, affine {affine}"), [3, 4, 18], |b, x| {
            b.node("norm", LayerNorm { eps: 1e-6, affine }, &[x])
        });
    }
}

pub(super) fn gated_sums(cases: &mut Cases) {
    for (domains, shape) in [(1, [5, 3, 4]), (2, [16, 1, 1]), (3, [20, 4, 3])] {
        cases.add(format!("gated sum of {domains}"), shape, |b, x| {
            let g = b.global_avg_pool("pool", x)?;
            let g = b.linear("gate", g, domains)?;
            let mut inputs = vec![positive(b, "gate_act", g)?];
            for i in 0..domains {
                let y = b.conv(&format!("conv{i}"), x, Conv2d::pointwise(shape[0]))?;
                inputs.push(b.activation(&format!("act{i}"), y, Activation::Silu)?);
            }
            b.node("sum", GatedSum {}, &inputs)
        });
    }
    cases.add("gated sum of one value thrice", [18, 2, 3], |b, x| {
        let g = b.global_avg_pool("pool", x)?;
        let g = b.linear("gate", g, 3)?;
        b.node("sum", GatedSum {}, &[g, x, x, x])
    });
}
