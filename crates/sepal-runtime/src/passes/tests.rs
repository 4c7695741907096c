use sepal_graph::{
    Activation, AvgPool, Builder, Constant, Conv2d, Divide, GlobalAvgPool, LayerNorm, MaxPool, Meta, Model, NodeId,
    Pad, PadMode, Reshape, Result, Shape, Slice, Subtract, Transpose, Weights,
};

use crate::ir::{Kind, Origin, Program, Within};
use crate::lower::lower;

mod linear;

/// The program of a network on 4×6×6 pictures after all passes; other models have the tensors of nodes called `shared…`.
fn program(build: impl FnOnce(&mut Builder, NodeId) -> Result<NodeId>) -> Program {
    let mut b = Builder::new("test");
    let x = b.input("input", Shape::chw(4, 6, 6).unwrap()).unwrap();
    let y = build(&mut b, x).unwrap();
    let graph = b.finish(&[y]).unwrap();
    let weights = Weights::init(&graph, 1).unwrap();
    let mut program =
        lower(Model::new(graph, weights, Meta::default()).unwrap(), &|path| path.starts_with("shared")).unwrap();
    super::run(&mut program);
    // Whatever the passes did, a value is written before it is read.
    let mut written = vec![false; program.values.len()];
    written[program.input] = true;
    for step in &program.steps {
        assert!(
            step.inputs.iter().all(|input| written[program.home(*input).0]),
            "{step:?} reads what is not there yet"
        );
        written[program.home(step.output).0] = true;
    }
    assert!(written[program.home(program.output).0]);
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
    assert_eq!((filters.act.function, filters.act.slopes.values.len()), (Some(Activation::Prelu), 8));
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
    assert_eq!(apply.affine.as_ref().unwrap().0.values, [-1.0; 4]);
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

/// Where the value of a path lies.
fn within(program: &Program, path: &str) -> Option<Within> {
    let of = |value: &&crate::ir::Value| value.path == path;
    program.values.iter().filter(of).find_map(|value| value.within)
}

#[test]
fn aligned_parts_are_written_into_the_whole() {
    let program = program(|b, x| {
        let y = b.conv("first", x, Conv2d::pointwise(32))?;
        let z = b.conv("second", y, Conv2d::pointwise(20))?;
        let x = b.concat("concat", &[y, z])?;
        b.conv("last", x, Conv2d::standard(3, 3))
    });
    assert_eq!(paths(&program), ["first", "second", "last"]);
    let whole = program.steps[2].inputs[0];
    assert_eq!(within(&program, "first"), Some(Within { whole, block: 0 }));
    assert_eq!(within(&program, "second"), Some(Within { whole, block: 2 }));
}

#[test]
fn a_part_that_begins_inside_a_block_is_copied() {
    let program = program(|b, x| {
        let y = b.conv("first", x, Conv2d::pointwise(20))?;
        let z = b.conv("second", x, Conv2d::pointwise(12))?;
        let w = b.conv("third", x, Conv2d::pointwise(16))?;
        let x = b.concat("concat", &[y, z, w, y])?;
        b.conv("last", x, Conv2d::standard(3, 3))
    });
    assert_eq!(paths(&program), ["first", "second", "third", "concat", "last"]);
    let Kind::Channels(join) = &program.steps[3].kind else { panic!("{:?}", program.steps[3]) };
    let copied: Vec<(usize, Origin)> = join.parts.iter().map(|part| (part.at, part.from)).collect();
    // The first one lies in the whole only once, where no other shares its last block.
    assert_eq!(copied, [(0, Origin::Input { index: 0, first: 0 }), (20, Origin::Input { index: 1, first: 0 })]);
    assert!(within(&program, "first").unwrap().block == 3 && within(&program, "second").is_none());
    assert_eq!(within(&program, "third").unwrap().block, 2);
}

#[test]
fn a_running_concatenation_is_one_map() {
    let program = program(|b, x| {
        let mut x = b.conv("stem", x, Conv2d::pointwise(32))?;
        for i in 0..3 {
            let y = b.conv(&format!("layer{i}"), x, Conv2d::standard(16, 3).same())?;
            x = b.concat(&format!("concat{i}"), &[x, y])?;
        }
        Ok(x)
    });
    assert_eq!(paths(&program), ["stem", "layer0", "layer1", "layer2"]);
    for (step, block) in program.steps.iter().zip([0, 2, 3, 4]) {
        assert_eq!(program.home(step.output), (program.output, block));
    }
    assert_eq!(program.home(program.steps[3].inputs[0]), (program.output, 0));
}

#[test]
fn a_concatenation_of_what_lies_side_by_side_is_there() {
    let program = program(|b, x| {
        let mut maps = vec![b.conv("stem", x, Conv2d::pointwise(16))?];
        for i in 0..3 {
            let x = b.concat(&format!("concat{i}"), &maps)?;
            maps.push(b.conv(&format!("layer{i}"), x, Conv2d::standard(16, 3).same())?);
        }
        b.concat("last", &maps)
    });
    assert_eq!(paths(&program), ["stem", "layer0", "layer1", "layer2"]);
    assert!(program.steps[1..].iter().all(|step| program.home(step.inputs[0]) == (program.output, 0)));
}

#[test]
fn slices_are_read_where_they_lie() {
    let program = program(|b, x| {
        let x = b.conv("conv", x, Conv2d::pointwise(48))?;
        let y = b.node("aligned", Slice::channels(16, 40), &[x])?;
        let z = b.node("shifted", Slice::channels(3, 27), &[x])?;
        b.multiply("multiply", y, z)
    });
    assert_eq!(paths(&program), ["conv", "shifted", "multiply"]);
    assert_eq!(program.home(program.steps[2].inputs[0]), (program.steps[0].output, 1));
}

#[test]
fn a_sum_and_a_norm_run_while_unaligned_parts_are_copied() {
    let branches = |channels: [usize; 2]| {
        program(|b, x| {
            let x = b.conv("stem", x, Conv2d::pointwise(channels[0] + channels[1]))?;
            let y = b.conv("first", x, Conv2d::pointwise(channels[0]))?;
            let z = b.conv("second", x, Conv2d::pointwise(channels[1]))?;
            let y = b.concat("concat", &[y, z])?;
            let y = b.batch_norm("bn", y)?;
            let y = b.activation("act", y, Activation::Prelu)?;
            let z = b.concat("concat2", &[y, y])?;
            let x = b.concat("concat3", &[x, x])?;
            let x = b.add("add", x, z)?;
            b.activation("last", x, Activation::Relu)
        })
    };
    let unaligned = branches([12, 8]);
    assert_eq!(paths(&unaligned), ["stem", "first", "second", "concat", "concat2", "concat3"]);
    let join = |step: &crate::ir::Step| if let Kind::Channels(join) = &step.kind { Some(join.clone()) } else { None };
    let joins: Vec<_> = unaligned.steps.iter().filter_map(join).collect();
    assert!(joins[0].apply.affine.is_some() && joins[0].apply.act.slopes.values.len() == 20 && !joins[0].add);
    assert!(joins[2].add && joins[2].apply.act.function == Some(Activation::Relu));
    // Where parts are free, only a sum is worth a copy.
    assert_eq!(paths(&branches([16, 16])), ["stem", "first", "second", "bn", "concat2", "concat3"]);
    let Kind::Apply(_) = &branches([16, 16]).steps[3].kind else { panic!("{:?}", branches([16, 16]).steps) };
}

#[test]
fn zeros_around_a_map_are_padding() {
    let pad = |b: &mut Builder, x, mode| b.node("pad", Pad { before: vec![0, 1, 0], after: vec![0, 2, 1], mode }, &[x]);
    let conv = program(|b, x| {
        let x = pad(b, x, PadMode::Constant(0.0))?;
        b.conv("conv", x, Conv2d::standard(4, 3).stride(2).padding(1))
    });
    assert_eq!(paths(&conv), ["conv"]);
    let Kind::Conv(filters) = &conv.steps[0].kind else { panic!("{:?}", conv.steps[0]) };
    assert_eq!((filters.conv.input.h, filters.conv.input.w, filters.conv.padding), (6, 6, [2, 1]));
    let average = program(|b, x| {
        let x = pad(b, x, PadMode::Constant(0.0))?;
        b.node("average", AvgPool::new(3, 2), &[x])
    });
    let Kind::Pool(pool) = &average.steps[0].kind else { panic!("{:?}", average.steps[0]) };
    assert_eq!((pool.padding, pool.padding_end), ([1, 0], [2, 1]));
    // Neither a maximum nor what repeats pixels.
    let maximum = program(|b, x| {
        let x = pad(b, x, PadMode::Constant(0.0))?;
        b.node("maximum", MaxPool::new(3, 2), &[x])
    });
    assert_eq!(paths(&maximum), ["pad", "maximum"]);
    let edge = program(|b, x| {
        let x = pad(b, x, PadMode::Edge)?;
        b.conv("conv", x, Conv2d::standard(4, 3))
    });
    assert_eq!(paths(&edge), ["pad", "conv"]);
}

#[test]
fn gates_and_norms_are_applied_where_pointwise_convolutions_read() {
    let program = program(|b, x| {
        let x = b.batch_norm("bn1", x)?;
        let x = b.activation("act1", x, Activation::Relu)?;
        let x = b.conv("expand", x, Conv2d::pointwise(20))?;
        let s = b.node("pool", GlobalAvgPool { keep_dims: true }, &[x])?;
        let x = b.multiply("scale", x, s)?;
        let y = b.conv("project", x, Conv2d::pointwise(20))?;
        let y = b.add("add", y, y)?;
        let y = b.activation("act2", y, Activation::Relu)?;
        b.conv("wide", y, Conv2d::standard(3, 3))
    });
    assert_eq!(paths(&program), ["expand", "pool", "project", "add", "act2", "wide"]);
    let [first, project] = [0, 2].map(|step: usize| match &program.steps[step].kind {
        Kind::Conv(filters) => filters,
        other => panic!("{other:?}"),
    });
    assert!(first.source.affine.is_some() && first.source.act.function == Some(Activation::Relu));
    assert!(project.gate && !first.gate);
    assert_eq!(program.steps[2].inputs, [program.steps[0].output, program.steps[1].output]);
    assert!(!crate::boundary::takes_pixels(&program));
}
