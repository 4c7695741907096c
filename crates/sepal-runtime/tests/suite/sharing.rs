//! Plans that share weights, and depthwise kernels that are mixed.

use std::sync::Arc;

use sepal_graph::{Activation, Builder, Conv2d, Model, Role, Shape};
use sepal_kernels::Level;
use sepal_runtime::{CompileOptions, Plan, RuntimeError, SharedWeights, compile, compile_shared, session};
use sepal_testing::{Naive, assert_close, cases};

use crate::tools::{images, network, plan, pool, random, run};

/// Models of one network that have the same tensors of these roles.
fn domains(first: Model, count: usize, roles: &[Role]) -> (Vec<Model>, SharedWeights) {
    let specs = first.graph.params().unwrap();
    let shared: Vec<String> =
        specs.into_iter().filter(|spec| roles.contains(&spec.role)).map(|spec| spec.path).collect();
    let others = (1..count).map(|seed| {
        let mut model = random(first.graph.clone(), seed as u64);
        for path in &shared {
            model.weights.insert(path.clone(), first.weights.get(path).unwrap().clone());
        }
        model
    });
    let others: Vec<Model> = others.collect();
    (std::iter::once(first).chain(others).collect(), SharedWeights::new(shared))
}

fn options(batch: usize, level: Level) -> CompileOptions {
    CompileOptions { batch, level }
}

fn plans(models: &[Model], batch: usize, shared: &SharedWeights) -> Vec<Arc<Plan>> {
    let compile = |model: &Model| compile_shared(model.clone(), &options(batch, Level::best()), shared).unwrap();
    models.iter().map(|model| Arc::new(compile(model))).collect()
}

const CONVS: [Role; 4] = [Role::ConvWeight, Role::PointwiseWeight, Role::DepthwiseWeight, Role::LinearWeight];

/// Norms of their own after the weights of convolutions that models share.
fn check(graph: sepal_graph::Graph, kinds: &[&str]) {
    let (models, shared) = domains(random(graph, 5), 2, &CONVS);
    for model in &models {
        let input = images(model, 3, 5);
        let expected = Naive::new(&model.graph, &model.weights).unwrap().forward_f32(&input, 3);
        let scale = expected.iter().fold(0.0_f64, |max, value| max.max(value.abs()));
        for level in Level::available() {
            let plan = Arc::new(compile_shared(model.clone(), &options(3, level), &shared).unwrap());
            let text = plan.to_string();
            assert!(kinds.iter().all(|kind| text.contains(kind)), "{text}");
            let output = run(&plan, &pool(1), &input, 3);
            assert_close(&output, &expected, 0.0, 1e-4 * scale, &format!("{} on {}", model.graph.name, level.name()));
            assert_eq!(run(&plan, &pool(3), &input, 3), output);
            let one = run(&plan, &pool(2), &input[..input.len() / 3], 1);
            assert_close(&one, &expected[..one.len()], 0.0, 1e-4 * scale, "one image");
        }
    }
}

#[test]
fn norms_after_shared_weights_are_applied_to_the_results() {
    let chain = "conv 3×3/2 + affine + relu → depthwise 3×3 + bias + relu → conv 1×1 + affine + relu";
    check(network("mobilenet_v1:width=0.25", 160, 10).graph, &[chain]);
    check(network("resnet20", 32, 10).graph, &["winograd 4×4, conv 3×3 + affine + add + relu"]);
    let mut b = Builder::new("Strassen");
    let x = b.input("input", Shape::chw(200, 16, 17).unwrap()).unwrap();
    let y = b.conv("conv1", x, Conv2d::pointwise(208)).unwrap();
    let y = b.batch_norm("bn1", y).unwrap();
    let y = b.activation("act1", y, Activation::Silu).unwrap();
    let y = b.conv("conv2", y, Conv2d::pointwise(200).bias(true)).unwrap();
    let y = b.batch_norm("bn2", y).unwrap();
    let y = b.add("add", x, y).unwrap();
    check(b.finish(&[y]).unwrap(), &["Strassen conv 1×1 + affine + silu", "Strassen conv 1×1 + affine + add"]);
}

#[test]
fn every_case_computes_what_the_oracle_does_with_shared_weights() {
    for case in cases() {
        let (models, shared) = domains(random(case.graph.clone(), 11), 2, &CONVS);
        for (model, plan) in models.iter().zip(plans(&models, 2, &shared)) {
            let input = case.input(2);
            let expected = Naive::new(&model.graph, &model.weights).unwrap().forward_f32(&input, 2);
            let scale = expected.iter().fold(0.0_f64, |max, value| max.max(value.abs()));
            assert_close(&run(&plan, &pool(2), &input, 2), &expected, 1e-4, 1e-5 * scale, &case.name);
        }
    }
}

#[test]
fn ten_domains_take_little_more_than_trunk_and_what_is_their_own() {
    let first = network("resdsc26", 72, 10);
    let bytes = |shared: &dyn Fn(Role) -> bool| -> usize {
        let specs = first.graph.params().unwrap();
        specs.iter().filter(|spec| shared(spec.role)).map(|spec| 4 * spec.elements()).sum()
    };
    let is_trunk = |role: Role| matches!(role, Role::PointwiseWeight);
    let (trunk, own) = (bytes(&is_trunk), bytes(&|role| !is_trunk(role)));
    let (models, shared) = domains(first.clone(), 10, &[Role::PointwiseWeight]);
    let mut plans = plans(&models[..1], 1, &shared);
    let packed = shared.bytes();
    assert_eq!(plans[0].shared_weights(), packed);
    plans.extend(models[1..].iter().map(|model| {
        let plan = compile_shared(model.clone(), &options(1, Level::best()), &shared).unwrap();
        assert_eq!((plan.shared_weights(), shared.bytes()), (packed, packed), "packed again");
        Arc::new(plan)
    }));
    let total = shared.bytes() + plans.iter().map(|plan| plan.memory(1).weights).sum::<usize>();
    let most = (trunk + 10 * own) * 11 / 10;
    assert!(total <= most, "{total} bytes, at most {most}: trunk {trunk} as {packed}, own {own}");
    // A session for all of them.
    let input = images(&first, 1, 3);
    let mut session = plans[0].session();
    for (model, plan) in models.iter().zip(&plans) {
        session.switch(Arc::clone(plan));
        let mut output = vec![f32::NAN; 10];
        session.run(&input, &mut output).unwrap();
        let alone = run(&Arc::new(compile(model, &options(1, Level::best())).unwrap()), &pool(1), &input, 1);
        let scale = alone.iter().fold(0.0_f32, |max, value| max.max(value.abs()));
        let expected: Vec<f64> = alone.iter().map(|&value| f64::from(value)).collect();
        assert_close(&output, &expected, 0.0, f64::from(1e-4 * scale), "domain");
    }
    drop((plans, session));
    assert_eq!(shared.bytes(), 0);
}

#[test]
fn where_norms_are_shared_too_they_are_folded() {
    let roles = [
        Role::ConvWeight,
        Role::PointwiseWeight,
        Role::DepthwiseWeight,
        Role::NormScale,
        Role::NormShift,
        Role::NormMean,
        Role::NormVar,
    ];
    let (models, shared) = domains(network("mobilenet_v1:width=0.25", 32, 10), 3, &roles);
    let input = images(&models[0], 2, 1);
    for (model, shared_plan) in models.iter().zip(plans(&models, 2, &shared)) {
        let alone = plan(model, 2, Level::best());
        assert_eq!(run(&shared_plan, &pool(2), &input, 2), run(&alone, &pool(2), &input, 2));
        // The classifier's.
        assert!(shared_plan.memory(1).weights <= 4 * (256 * 16 + 16), "{}", shared_plan.memory(1).weights);
    }
}

#[test]
fn pictures_of_another_size_share_the_same_weights() {
    let shared = |model: &Model| model.weights.iter().map(|(path, _)| path.to_owned()).collect::<Vec<_>>();
    let [small, large] = [40, 48].map(|size| network("mobilenet_v1:width=0.25", size, 10));
    assert_eq!(small.weights, large.weights);
    let shared = SharedWeights::new(shared(&small));
    let first = plans(&[small], 1, &shared);
    let bytes = shared.bytes();
    let second = plans(&[large], 1, &shared);
    assert_eq!((shared.bytes(), second[0].shared_weights()), (bytes, first[0].shared_weights()));
    assert_eq!(second[0].memory(1).weights, 0);
}

#[test]
fn tensors_that_differ_are_named() {
    let (mut models, shared) = domains(network("mobilenet_v1:width=0.25", 32, 10), 2, &CONVS);
    plans(&models[..1], 1, &shared);
    models[1].weights.get_mut("classifier.weight").unwrap().data_mut()[3] += 1.0;
    let error = compile_shared(models[1].clone(), &options(1, Level::best()), &shared).err().unwrap();
    assert_eq!(error, RuntimeError::NotShared { path: "classifier.weight".into() });
    assert!(error.to_string().contains("`classifier.weight`"), "{error}");
}

#[test]
fn nothing_is_left_of_another_plan_in_a_session() {
    let specs = [("mobilenet_v1:width=0.25", 48), ("resnet20", 32), ("resdsc26:width=0.25,block=soft_sharing", 24)];
    let models = specs.map(|(spec, size)| network(spec, size, 10));
    let plans =
        [plan(&models[0], 4, Level::best()), plan(&models[1], 1, Level::best()), plan(&models[2], 3, Level::best())];
    for threads in [1, 2] {
        let mut session = session(Arc::clone(&plans[0]), pool(threads));
        for index in [0, 1, 2, 1, 0, 2] {
            session.switch(Arc::clone(&plans[index]));
            let n = plans[index].max_batch();
            let input = images(&models[index], n, 7);
            let mut output = vec![0.0; 10 * n];
            session.run(&input, &mut output).unwrap();
            assert_eq!(output, run(&plans[index], &pool(1), &input, n));
            session.run(&vec![f32::NAN; input.len()], &mut output).unwrap();
        }
    }
}

#[test]
fn kernels_mixed_by_a_gate_depend_on_the_image_alone() {
    let model = network("resdsc26:width=0.25,block=soft_sharing,domains=5,between=bn_relu", 30, 10);
    let input = images(&model, 3, 8);
    let expected = Naive::new(&model.graph, &model.weights).unwrap().forward_f32(&input, 3);
    let scale = expected.iter().fold(0.0_f64, |max, value| max.max(value.abs()));
    for level in Level::available() {
        let plan = plan(&model, 3, level);
        let text = plan.to_string();
        assert!(text.contains("depthwise 3×3/2 mixed of 5") && !text.contains("gated sum"), "{text}");
        let together = run(&plan, &pool(1), &input, 3);
        assert_close(&together, &expected, 0.0, 1e-4 * scale, level.name());
        assert_eq!(run(&plan, &pool(3), &input, 3), together, "three threads on {level:?}");
        for (image, logits) in input.chunks(input.len() / 3).zip(together.chunks(10)) {
            assert_eq!(run(&plan, &pool(2), image, 1), logits);
        }
    }
}
