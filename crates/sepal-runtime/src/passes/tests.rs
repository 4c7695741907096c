use sepal_graph::{Activation, Builder, Conv2d, Meta, Model, NodeId, Result, Shape, Weights};

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
