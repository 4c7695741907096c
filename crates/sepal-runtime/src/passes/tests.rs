use sepal_graph::{
    Activation, Builder, Constant, Conv2d, Divide, GlobalAvgPool, LayerNorm, Meta, Model, NodeId, Reshape, Result,
    Shape, Slice, Subtract, Transpose, Weights,
};

use crate::ir::{Kind, Program};
use crate::lower::lower;

/// The program of a network on 4×6×6 pictures after all passes.
fn program(build: impl FnOnce(&mut Builder, NodeId) -> Result<NodeId>) -> Program {
    let mut b = Builder::new("test");
    let x = b.input("input", Shape::chw(4, 6, 6).unwrap()).unwrap();
    let y = build(&mut b, x).unwrap();
    let graph = b.finish(&[y]).unwrap();
    let weights = Weights::init(&graph, 1).unwrap();
    let mut program = lower(Model::new(graph, weights, Meta::default()).unwrap()).unwrap();
    super::run(&mut program);
    // Whatever the passes did, a value is written before it is read.
    let mut written = vec![false; program.values.len()];
    written[program.input] = true;
    for step in &program.steps {
        assert!(step.inputs.iter().all(|input| written[*input]), "{step:?} reads what is not there yet");
        written[step.output] = true;
    }
    assert!(written[program.output]);
    program
}

fn paths(program: &Program) -> Vec<&str> {
    program.steps.iter().map(|step| step.path.as_str()).collect()
}

#[test]
fn dropout_and_flattened_pixels_are_gone() {
    let program = program(|b, x| {
        let x = b.dropout("drop1", x, 0.1)?;
        let x = b.dropout("drop2", x, 0.1)?;
        let x = b.conv("conv", x, Conv2d::standard(8, 6))?;
        let x = b.flatten("flat", x)?;
        let x = b.dropout("drop3", x, 0.1)?;
        b.linear("fc", x, 3)
    });
    assert_eq!(paths(&program), ["conv", "fc"]);
    assert_eq!(program.steps[0].inputs, [program.input]);
}

#[test]
fn an_identity_network_is_its_input() {
    let program = program(|b, x| {
        let x = b.dropout("drop", x, 0.1)?;
        b.flatten("flat", x)
    });
    assert!(program.steps.is_empty());
    assert_eq!(program.output, program.input);
}

#[test]
fn a_linear_layer_on_a_map_is_a_convolution_of_its_size() {
    let program = program(|b, x| {
        let x = b.activation("act", x, Activation::Relu)?;
        let x = b.flatten("flat", x)?;
        b.linear("fc", x, 3)
    });
    assert_eq!(paths(&program), ["act", "fc"]);
    let Kind::Conv(filters) = &program.steps[1].kind else { panic!("{:?}", program.steps[1]) };
    assert_eq!(filters.conv.kernel, [6, 6]);
    assert_eq!((filters.conv.input.c, filters.conv.input.h, filters.conv.output.h), (4, 6, 1));
}

#[test]
fn a_flattened_map_that_others_read_is_kept() {
    let program = program(|b, x| {
        let x = b.flatten("flat", x)?;
        let y = b.batch_norm("bn", x)?;
        b.add("add", x, y)
    });
    assert_eq!(paths(&program), ["flat", "bn", "add"]);
}

#[test]
fn activations_run_in_epilogues() {
    let program = program(|b, x| {
        let x = b.conv("conv", x, Conv2d::standard(8, 3).same())?;
        let x = b.activation("act1", x, Activation::Prelu)?;
        let x = b.activation("act2", x, Activation::Sigmoid)?;
        let x = b.batch_norm("bn", x)?;
        let x = b.activation("act3", x, Activation::Relu)?;
        let x = b.global_avg_pool("pool", x)?;
        b.activation("act4", x, Activation::Relu)
    });
    // A second activation in a row has no epilogue to go into.
    assert_eq!(paths(&program), ["conv", "act2", "bn", "pool", "act4"]);
    let Kind::Conv(filters) = &program.steps[0].kind else { panic!("{:?}", program.steps[0]) };
    assert_eq!((filters.act.function, filters.act.slopes.len()), (Some(Activation::Prelu), 8));
    let Kind::Apply(apply) = &program.steps[2].kind else { panic!("{:?}", program.steps[2]) };
    assert!(apply.affine.is_some());
    assert_eq!(apply.act.function, Some(Activation::Relu));
}

#[test]
fn a_value_with_two_readers_keeps_its_activation_apart() {
    let program = program(|b, x| {
        let x = b.conv("conv", x, Conv2d::pointwise(4))?;
        let y = b.activation("act", x, Activation::Relu)?;
        b.add("add", x, y)
    });
    assert_eq!(paths(&program), ["conv", "act", "add"]);
}

#[test]
fn a_residual_sum_and_its_activation_run_in_the_later_convolution() {
    let program = program(|b, x| {
        let y = b.conv("main", x, Conv2d::pointwise(4))?;
        let z = b.conv("shortcut", x, Conv2d::pointwise(4))?;
        let x = b.add("add", y, z)?;
        b.activation("act", x, Activation::Relu)
    });
    assert_eq!(paths(&program), ["main", "shortcut"]);
    let Kind::Conv(filters) = &program.steps[1].kind else { panic!("{:?}", program.steps[1]) };
    assert!(filters.add);
    assert_eq!(filters.act.function, Some(Activation::Relu));
    assert_eq!(program.steps[1].inputs, [program.input, program.steps[0].output]);
    assert_eq!(program.steps[1].output, program.output);
}

#[test]
fn a_convolution_waits_for_the_other_term_of_its_sum() {
    let program = program(|b, x| {
        let y = b.conv("main", x, Conv2d::pointwise(4))?;
        let z = b.batch_norm("shortcut", x)?;
        b.add("add", y, z)
    });
    assert_eq!(paths(&program), ["shortcut", "main"]);
}

#[test]
fn sums_without_a_free_convolution_stay() {
    let doubled = program(|b, x| {
        let x = b.conv("conv", x, Conv2d::pointwise(4))?;
        b.add("add", x, x)
    });
    assert_eq!(paths(&doubled), ["conv", "add"]);
    let after_activation = program(|b, x| {
        let y = b.conv("conv", x, Conv2d::pointwise(4))?;
        let y = b.activation("act", y, Activation::Relu)?;
        b.add("add", x, y)
    });
    assert_eq!(paths(&after_activation), ["conv", "add"]);
    let three_terms = program(|b, x| {
        let y = b.conv("conv", x, Conv2d::pointwise(4))?;
        let y = b.add("add1", x, y)?;
        b.add("add2", x, y)
    });
    assert_eq!(paths(&three_terms), ["conv", "add2"]);
}

#[test]
fn what_the_output_does_not_need_is_not_run() {
    let program = program(|b, x| {
        let y = b.conv("unused", x, Conv2d::pointwise(4))?;
        b.activation("unused_act", y, Activation::Relu)?;
        let x = b.flatten("flat", x)?;
        b.linear("fc", x, 2)
    });
    assert_eq!(paths(&program), ["fc"]);
}

fn reshape(b: &mut Builder, name: &str, x: NodeId, shape: &[i64]) -> Result<NodeId> {
    b.node(name, Reshape { shape: shape.to_vec() }, &[x])
}

fn transpose(b: &mut Builder, name: &str, x: NodeId, order: &[usize]) -> Result<NodeId> {
    b.node(name, Transpose { order: order.to_vec() }, &[x])
}

#[test]
fn channels_shuffled_by_way_of_groups_are_one_step() {
    let program = program(|b, x| {
        let x = reshape(b, "groups", x, &[2, 2, 6, 6])?;
        let x = transpose(b, "swap", x, &[1, 0, 2, 3])?;
        reshape(b, "channels", x, &[4, 6, 6])
    });
    assert_eq!(paths(&program), ["channels"]);
    assert_eq!(program.steps[0].inputs, [program.input]);
    assert!(matches!(program.steps[0].kind, Kind::Rearrange(_)));
}

#[test]
fn there_and_back_is_nothing() {
    let program = program(|b, x| {
        let x = reshape(b, "groups", x, &[2, 2, 6, 6])?;
        let x = reshape(b, "pixels", x, &[2, 12, 6])?;
        reshape(b, "channels", x, &[4, 6, 6])
    });
    assert!(program.steps.is_empty());
    assert_eq!(program.output, program.input);
}

#[test]
fn tokens_of_pixels_move_nothing() {
    let program = program(|b, x| {
        let y = transpose(b, "last", x, &[1, 2, 0])?;
        let y = reshape(b, "tokens", y, &[36, 4])?;
        let y = b.node("norm", LayerNorm::default(), &[y])?;
        let y = b.linear("fc1", y, 9)?;
        let y = b.activation("act", y, Activation::Gelu)?;
        let y = b.linear("fc2", y, 4)?;
        let y = reshape(b, "pixels", y, &[6, 6, 4])?;
        let y = transpose(b, "first", y, &[2, 0, 1])?;
        b.add("add", x, y)
    });
    assert_eq!(paths(&program), ["norm", "fc1", "fc2"]);
    let Kind::Conv(filters) = &program.steps[2].kind else { panic!("{:?}", program.steps[2]) };
    assert!(filters.add);
}

#[test]
fn arithmetic_with_a_constant_per_channel_is_an_affine_map() {
    let program = program(|b, x| {
        let mut constant = |name: &str, shape: &[usize]| {
            b.node(name, Constant { shape: Shape::new(shape.to_vec())?, learnt: false }, &[])
        };
        let (scale, number) = (constant("scale", &[4, 1, 1])?, constant("number", &[1, 1, 1])?);
        let column = constant("column", &[1, 1, 6])?;
        let x = b.multiply("multiply", x, scale)?;
        let x = b.node("subtract", Subtract {}, &[number, x])?;
        let x = b.activation("act", x, Activation::Relu)?;
        let x = b.node("divide", Divide {}, &[x, number])?;
        b.add("add", x, column)
    });
    // The column is repeated, as no channel has one value.
    assert_eq!(paths(&program), ["column", "multiply", "subtract", "divide", "add", "add"]);
    let Kind::Apply(apply) = &program.steps[2].kind else { panic!("{:?}", program.steps[2]) };
    assert_eq!(apply.affine.as_ref().unwrap().0, [-1.0; 4]);
    assert_eq!(apply.act.function, Some(Activation::Relu));
    assert!(matches!(program.steps[4].kind, Kind::Rearrange(_)) && matches!(program.steps[5].kind, Kind::Binary(_)));
}

#[test]
fn a_gate_per_channel_scales() {
    let program = program(|b, x| {
        let s = b.node("pool", GlobalAvgPool { keep_dims: true }, &[x])?;
        let s = b.conv("expand", s, Conv2d::pointwise(4))?;
        b.multiply("scale", s, x)
    });
    assert_eq!(paths(&program), ["pool", "expand", "scale"]);
    assert_eq!((&program.steps[2].kind, program.steps[2].inputs[0]), (&Kind::Scale, program.input));
}

#[test]
fn a_convolution_of_one_pixel_is_not_taken_for_a_linear_layer() {
    let program = program(|b, x| {
        let x = reshape(b, "pixel", x, &[144, 1, 1])?;
        b.conv("depthwise", x, Conv2d::depthwise(144, 3).same())
    });
    assert_eq!(paths(&program), ["pixel", "depthwise"]);
}

#[test]
fn a_reshaped_map_keeps_its_size_for_whoever_reads_windows() {
    let program = program(|b, x| {
        let x = reshape(b, "wide", x, &[4, 4, 9])?;
        let x = b.node("slice", Slice { axis: 1, start: 1, end: 3, step: 1 }, &[x])?;
        b.conv("conv", x, Conv2d::standard(2, 3).same())
    });
    assert_eq!(paths(&program), ["slice", "conv"]);
    let Kind::Resample(taps) = &program.steps[0].kind else { panic!("{:?}", program.steps[0]) };
    assert_eq!((taps.from(), taps.to()), ([4, 9], [2, 9]));
}
