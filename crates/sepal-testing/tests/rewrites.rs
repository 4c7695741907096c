//! Every rewrite computes what the network before it computes, for random networks and weights.

use proptest::prelude::*;
use sepal_graph::rewrites::{
    blueprint_to_standard, fold_norms, group_branches, grouped_to_standard, merge_parallel, merge_pointwise,
    separable_to_standard, stack_pointwise,
};
use sepal_graph::{
    Activation, Builder, Concat, Conv2d, Graph, Linear, Meta, Model, NodeId, Op, Result, Role, Shape, Slice, Tensor,
    Weights,
};
use sepal_testing::{Filler, Naive, assert_close};

/// The network with random weights, variances positive.
fn random(graph: Graph, filler: &mut Filler) -> Model {
    let mut weights = Weights::new();
    for spec in graph.params().unwrap() {
        let (low, high) = if spec.role == Role::NormVar { (0.5, 1.5) } else { (-1.0, 1.0) };
        let data = filler.vec(spec.elements(), low, high);
        weights.insert(spec.path, Tensor::new(spec.shape, data).unwrap());
    }
    Model::new(graph, weights, Meta::default()).unwrap()
}

fn graph(channels: usize, size: [usize; 2], build: impl FnOnce(&mut Builder, NodeId) -> Result<NodeId>) -> Graph {
    let mut b = Builder::new("rewritten");
    let x = b.input("input", Shape::chw(channels, size[0], size[1]).unwrap()).unwrap();
    let y = build(&mut b, x).unwrap();
    b.finish(&[y]).unwrap()
}

/// Both networks on the same two pictures.
fn assert_same(before: &Model, after: &Model, filler: &mut Filler) {
    after.check().unwrap();
    assert_eq!(before.graph.input_shape().unwrap(), after.graph.input_shape().unwrap());
    let n = 2 * before.graph.input_shape().unwrap().elements();
    let input = filler.vec(n, -1.0, 1.0);
    let run = |model: &Model| Naive::new(&model.graph, &model.weights).unwrap().forward_f32(&input, 2);
    assert_close(&run(after), &run(before), 2e-5, 2e-5, "the rewritten network");
}

/// Convolutions by their groups, kernel and stride, in order.
fn convs(model: &Model) -> Vec<(usize, usize, usize)> {
    let conv = |op: &Op| match op {
        Op::Conv2d(conv) => Some((conv.groups, conv.kernel[0], conv.stride[0])),
        _ => None,
    };
    model.graph.nodes.iter().filter_map(|node| conv(&node.op)).collect()
}

fn paths(model: &Model) -> Vec<&str> {
    model.graph.nodes.iter().map(|node| node.path.as_str()).collect()
}

/// Channels, filters, height, width, stride, kernel (odd), bias, seed.
fn setting() -> impl Strategy<Value = (usize, usize, [usize; 2], usize, usize, bool, u64)> {
    (1..6_usize, 1..6_usize, (5..9_usize, 5..9_usize), 1..4_usize, 0..3_usize, any::<bool>(), any::<u64>())
        .prop_map(|(m, n, (h, w), stride, k, bias, seed)| (m, n, [h, w], stride, 2 * k + 1, bias, seed))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_blueprint_is_a_standard_convolution((m, n, size, stride, k, bias, seed) in setting()) {
        let mut filler = Filler::new(seed);
        let before = random(graph(m, size, |b, x| b.scope("place", |b| {
            let x = b.conv("pointwise", x, Conv2d::pointwise(n))?;
            b.conv("depthwise", x, Conv2d::depthwise(n, k.max(3)).stride(stride).same().bias(bias))
        })), &mut filler);
        let after = blueprint_to_standard(&before).unwrap();
        prop_assert_eq!(convs(&after), [(1, k.max(3), stride)]);
        prop_assert_eq!(paths(&after), ["input", "place.conv"]);
        assert_same(&before, &after, &mut filler);
        // Its kernels are w·B (equation 2).
        let [w, blueprint, kernels] = [
            before.weights.get("place.pointwise.weight").unwrap(),
            before.weights.get("place.depthwise.weight").unwrap(),
            after.weights.get("place.conv.weight").unwrap(),
        ].map(Tensor::data);
        let area = k.max(3) * k.max(3);
        for (at, kernel) in kernels.iter().enumerate() {
            let (filter, channel, tap) = (at / area / m, at / area % m, at % area);
            prop_assert_eq!(*kernel, w[filter * m + channel] * blueprint[filter * area + tap]);
        }
    }

    #[test]
    fn a_subspace_blueprint_is_an_unconstrained_one((m, n, size, stride, k, bias, seed) in setting()) {
        let mut filler = Filler::new(seed);
        let before = random(graph(m, size, |b, x| b.scope("place", |b| {
            let x = b.conv("down", x, Conv2d::pointwise(2).bias(bias))?;
            let x = b.conv("up", x, Conv2d::pointwise(3).bias(!bias))?;
            let x = b.conv("out", x, Conv2d::pointwise(n))?;
            b.conv("depthwise", x, Conv2d::depthwise(n, k).stride(stride).same())
        })), &mut filler);
        let after = merge_pointwise(&before).unwrap();
        let expected = if k == 1 && n == 1 { 1 } else { 2 };
        prop_assert_eq!(convs(&after).len(), expected);
        prop_assert!(after.graph.find("place.pointwise").is_some());
        assert_same(&before, &after, &mut filler);
    }

    #[test]
    fn a_separable_convolution_is_a_standard_one((m, n, size, stride, k, bias, seed) in setting()) {
        let mut filler = Filler::new(seed);
        let m = m + 1;
        let before = random(graph(m, size, |b, x| {
            let x = b.conv("depthwise", x, Conv2d::depthwise(m, k.max(3)).stride(stride).dilation(1 + usize::from(bias)).same().bias(bias))?;
            b.conv("pointwise", x, Conv2d::pointwise(n).stride(1 + usize::from(bias)).bias(!bias))
        }), &mut filler);
        let after = separable_to_standard(&before).unwrap();
        prop_assert_eq!(convs(&after), [(1, k.max(3), stride * (1 + usize::from(bias)))]);
        prop_assert_eq!(paths(&after), ["input", "conv"]);
        assert_same(&before, &after, &mut filler);
    }

    #[test]
    fn a_pyramid_is_its_largest_kernel((m, _, size, stride, _, bias, seed) in setting()) {
        let mut filler = Filler::new(seed);
        let m = m + 1;
        let before = random(graph(m, size, |b, x| b.scope("pyramid", |b| {
            let mut branches = Vec::new();
            for kernel in [3, 7, 5] {
                let conv = Conv2d::depthwise(m, kernel).stride(stride).same().bias(bias && kernel > 3);
                branches.push(b.conv(&format!("depthwise{kernel}"), x, conv)?);
            }
            let sum = b.add("add1", branches[0], branches[1])?;
            b.add("add2", sum, branches[2])
        })), &mut filler);
        let after = merge_parallel(&before).unwrap();
        prop_assert_eq!(convs(&after), [(m, 7, stride)]);
        prop_assert_eq!(paths(&after), ["input", "pyramid.depthwise"]);
        assert_same(&before, &after, &mut filler);
    }

    #[test]
    fn norms_fold((m, n, size, stride, k, bias, seed) in setting()) {
        let mut filler = Filler::new(seed);
        let before = random(graph(m, size, |b, x| {
            let x = b.batch_norm("data_norm", x)?;
            let x = b.conv("conv", x, Conv2d::standard(n, k).stride(stride).same().bias(bias))?;
            let x = b.batch_norm("bn", x)?;
            let x = b.activation("act", x, Activation::Relu)?;
            let up = sepal_graph::ConvTranspose2d { groups: if n % 2 == 0 { 2 } else { 1 }, bias, ..sepal_graph::ConvTranspose2d::new(4, 3, 2) };
            let x = b.node("up", up, &[x])?;
            let x = b.batch_norm("up_bn", x)?;
            let x = b.global_avg_pool("pool", x)?;
            let x = b.node("fc", Linear { out_features: 3, bias }, &[x])?;
            b.batch_norm("fc_bn", x)
        }), &mut filler);
        let after = fold_norms(&before).unwrap();
        prop_assert_eq!(paths(&after), ["input", "data_norm", "conv", "act", "up", "pool", "fc"]);
        assert_same(&before, &after, &mut filler);
    }

    #[test]
    fn a_simplified_inception_block_is_a_pointwise_convolution_and_branches(
        (m, _, size, stride, k, bias, seed) in setting(),
        widths in prop::collection::vec(1..5_usize, 2..4),
    ) {
        let mut filler = Filler::new(seed);
        let before = random(graph(m, size, |b, x| b.scope("block", |b| {
            let mut branches = Vec::new();
            for (i, &width) in widths.iter().enumerate() {
                let name = format!("branch{i}");
                branches.push(b.scope(&name, |b| {
                    let y = b.conv("reduce", x, Conv2d::pointwise(width).bias(bias && i == 0))?;
                    b.conv("conv", y, Conv2d::standard(width + 1, k).stride(stride).same().bias(bias))
                })?);
            }
            b.node("concat", Concat { axis: 0 }, &branches)
        })), &mut filler);
        let after = stack_pointwise(&before).unwrap();
        let (_, stacked) = after.graph.find("block.pointwise").unwrap();
        let total: usize = widths.iter().sum();
        prop_assert!(matches!(&stacked.op, Op::Conv2d(conv) if conv.out_channels == total));
        let slices = after.graph.nodes.iter().filter(|node| matches!(node.op, Op::Slice(_))).count();
        prop_assert_eq!(slices, widths.len());
        assert_same(&before, &after, &mut filler);
    }

    /// From K = 1, the standard convolution, to K = N, the depthwise one.
    #[test]
    fn equal_branches_are_a_grouped_convolution(
        (m, n, size, stride, k, bias, seed) in setting(), groups in 1..6_usize, depth in 1..4_usize,
    ) {
        let mut filler = Filler::new(seed);
        let before = random(graph(m, size, |b, x| b.scope("block", |b| {
            let mut branches = Vec::new();
            for i in 0..groups {
                let name = format!("branch{i}");
                branches.push(b.scope(&name, |b| {
                    let y = b.conv("reduce", x, Conv2d::pointwise(depth))?;
                    b.conv("conv", y, Conv2d::standard(n, k).stride(stride).same().bias(bias))
                })?);
            }
            b.concat("concat", &branches)
        })), &mut filler);
        let after = group_branches(&stack_pointwise(&before).unwrap()).unwrap();
        prop_assert_eq!(convs(&after), [(1, 1, 1), (groups, k, stride)]);
        let pointwise = if groups == 1 { "block.branch0.reduce" } else { "block.pointwise" };
        prop_assert_eq!(paths(&after)[1], pointwise);
        assert_same(&before, &after, &mut filler);
        let Op::Conv2d(conv) = &after.graph.nodes[2].op else { unreachable!() };
        prop_assert_eq!(conv.is_depthwise(groups * depth), depth == 1 && n == 1);
        prop_assert_eq!(conv.is_grouped(groups * depth), groups > 1 && !(depth == 1 && n == 1));
    }

    #[test]
    fn a_grouped_convolution_is_a_standard_one_with_zeros(
        (_, n, size, stride, k, bias, seed) in setting(), groups in 1..5_usize, depth in 1..4_usize,
    ) {
        let mut filler = Filler::new(seed);
        let conv = Conv2d::standard(groups * n, k).groups(groups).stride(stride).same().bias(bias);
        let before = random(graph(groups * depth, size, |b, x| b.conv("conv", x, conv)), &mut filler);
        let after = grouped_to_standard(&before).unwrap();
        prop_assert_eq!(convs(&after), [(1, k, stride)]);
        assert_same(&before, &after, &mut filler);
    }
}

#[test]
fn what_does_not_fit_stays() {
    let mut filler = Filler::new(7);
    let before = random(
        graph(4, [6, 6], |b, x| {
            // A bias that padding would lose, a value that others read, an activation between, other strides.
            let y = b.conv("biased", x, Conv2d::pointwise(4).bias(true))?;
            let y = b.conv("padded", y, Conv2d::depthwise(4, 3).same())?;
            let shared = b.conv("shared", y, Conv2d::pointwise(4))?;
            let z = b.conv("after", shared, Conv2d::depthwise(4, 3).same())?;
            let z = b.add("add", z, shared)?;
            let z = b.activation("act", z, Activation::Relu)?;
            let a = b.conv("a", z, Conv2d::depthwise(4, 3).stride(2).same())?;
            let c = b.conv("c", z, Conv2d::depthwise(4, 3).stride(2).dilation(2).same())?;
            let z = b.add("sum", a, c)?;
            let s = b.node("slice", Slice::channels(1, 3), &[z])?;
            let s = b.conv("segment", s, Conv2d::standard(2, 3).same())?;
            b.concat("concat", &[s])
        }),
        &mut filler,
    );
    for rewrite in [blueprint_to_standard, merge_pointwise, merge_parallel, group_branches, stack_pointwise] {
        assert_eq!(rewrite(&before).unwrap(), before);
    }
}

/// The blocks of the zoo as they are built by name.
#[test]
fn the_zoos_blocks_are_rewritten() {
    type Rewrite = fn(&Model) -> Result<Model>;
    let rewrites: [(&str, Rewrite, usize); 4] = [
        ("bsconv_u", blueprint_to_standard, 1),
        ("bsconv_s", |model| blueprint_to_standard(&merge_pointwise(model)?), 1),
        ("dsc", separable_to_standard, 1),
        ("pyramid_add", |model| separable_to_standard(&merge_parallel(model)?), 1),
    ];
    for (name, rewrite, left) in rewrites {
        for stride in [1, 2] {
            let mut filler = Filler::new(3);
            let row = sepal_zoo::blocks().iter().find(|row| row.name == name).unwrap();
            let place = sepal_zoo::Place::new(6, 3).stride(stride);
            let shape = Shape::chw(8, 9, 7).unwrap();
            let before = random(row.graph(shape, place, &sepal_zoo::Style::default()).unwrap(), &mut filler);
            let after = rewrite(&before).unwrap();
            assert_eq!(convs(&after).len(), left, "{name}");
            assert_same(&before, &after, &mut filler);
        }
    }
}

/// Whether output channel `o` depends on input channel `i`, by moving each input value of the channel.
fn depends(model: &Model) -> Vec<Vec<bool>> {
    let naive = Naive::new(&model.graph, &model.weights).unwrap();
    let input = model.graph.input_shape().unwrap().clone();
    let pixels = input.elements() / input.channels();
    let mut filler = Filler::new(11);
    let base: Vec<f64> = filler.vec(input.elements(), -1.0, 1.0).into_iter().map(f64::from).collect();
    let before = naive.forward(&base, 1);
    let outputs = model.graph.output_shape().unwrap().channels();
    let area = before.len() / outputs;
    let mut matrix = vec![vec![false; input.channels()]; outputs];
    for at in 0..base.len() {
        let mut moved = base.clone();
        moved[at] += 0.125;
        for (index, (after, before)) in naive.forward(&moved, 1).iter().zip(&before).enumerate() {
            matrix[index / area][at / pixels] |= after != before;
        }
    }
    matrix
}

/// A stack of depthwise convolutions never mixes channels; one pointwise convolution mixes them all.
#[test]
fn only_pointwise_convolutions_mix_channels() {
    for with_pointwise in [false, true] {
        let mut filler = Filler::new(5);
        let model = random(
            graph(4, [5, 5], |b, x| {
                let mut x = x;
                for (i, kernel) in [3, 5, 3].into_iter().enumerate() {
                    x = b.conv(&format!("depthwise{i}"), x, Conv2d::depthwise(4, kernel).same().bias(true))?;
                    x = b.batch_norm(&format!("bn{i}"), x)?;
                    if with_pointwise && i == 1 {
                        x = b.conv("pointwise", x, Conv2d::pointwise(4))?;
                    }
                    x = b.activation(&format!("act{i}"), x, Activation::Silu)?;
                }
                Ok(x)
            }),
            &mut filler,
        );
        for (o, row) in depends(&model).iter().enumerate() {
            for (i, &depends) in row.iter().enumerate() {
                assert_eq!(depends, with_pointwise || i == o, "output {o}, input {i}");
            }
        }
    }
}
