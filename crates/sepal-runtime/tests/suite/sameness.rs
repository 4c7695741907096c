//! Results depend on the input alone: not on threads, sessions, earlier runs or the batch's size.

use std::sync::Arc;

use sepal_kernels::Level;
use sepal_runtime::session;
use sepal_testing::max_relative_error;

use crate::tools::{images, network, plan, pool, run};

const SPEC: &str = "mobilenet_v1:width=0.25";

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let model = network(SPEC, 48, 10);
    let input = images(&model, 3, 1);
    for level in Level::available() {
        let plan = plan(&model, 3, level);
        for batch in [1, 3] {
            let input = &input[..input.len() / 3 * batch];
            let expected = run(&plan, &pool(1), input, batch);
            for threads in [2, 3, 5] {
                assert_eq!(run(&plan, &pool(threads), input, batch), expected, "{threads} threads on {level:?}");
            }
        }
    }
}

#[test]
fn instruction_sets_agree() {
    let model = network(SPEC, 48, 10);
    let input = images(&model, 2, 2);
    let of = |level| run(&plan(&model, 2, level), &pool(1), &input, 2);
    let reference = of(Level::named("scalar").unwrap());
    for level in Level::available() {
        let error = max_relative_error(&of(level), &reference);
        assert!(error < 1e-5, "{}: {error:e}", level.name());
    }
}

#[test]
// There are no threads, nor sessions that have some.
#[cfg(not(target_family = "wasm"))]
fn eight_threads_share_a_plan() {
    let model = network("mobilenet_v2:width=0.35", 64, 10);
    // A run for each picture and for all of them, in another order on every thread.
    let all = images(&model, 4, 3);
    let each = all.len() / 4;
    let inputs: Vec<&[f32]> = all.chunks(each).chain([&all[..], &all[..3 * each]]).collect();
    let plan = plan(&model, 4, Level::best());
    let serial = |input: &[f32]| {
        let mut output = vec![f32::NAN; input.len() / each * 10];
        plan.session().run(input, &mut output).unwrap();
        output
    };
    let expected: Vec<Vec<f32>> = inputs.iter().map(|input| serial(input)).collect();
    let shared = pool(2);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (plan, inputs, expected, shared) = (&plan, &inputs, &expected, &shared);
            scope.spawn(move || {
                // Some have no workers, some their own, some share them.
                let mut session = match thread % 4 {
                    0 => plan.session(),
                    1 => session(Arc::clone(plan), Arc::clone(shared)),
                    n => plan.session_on(n).unwrap(),
                };
                let mut output = [0.0; 40];
                for turn in 0..60 {
                    let index = (turn * (2 * thread + 1) + thread) % inputs.len();
                    let output = &mut output[..expected[index].len()];
                    output.fill(f32::NAN);
                    session.run(inputs[index], output).unwrap();
                    assert_eq!(output, expected[index], "thread {thread}, turn {turn}");
                }
            });
        }
    });
}

#[test]
fn nothing_is_left_of_earlier_runs() {
    let model = network(SPEC, 32, 10);
    let input = images(&model, 4, 4);
    let (each, poison) = (input.len() / 4, vec![f32::NAN; input.len()]);
    let plan = plan(&model, 4, Level::best());
    let mut session = session(Arc::clone(&plan), pool(2));
    let mut output = vec![0.0; 40];
    for batch in [4, 1, 3, 2] {
        session.run(&poison, &mut output).unwrap();
        let logits = &mut output[..10 * batch];
        session.run(&input[..each * batch], logits).unwrap();
        assert_eq!(logits, run(&plan, &pool(1), &input[..each * batch], batch));
    }
}

#[test]
fn an_image_gives_the_same_logits_in_any_batch() {
    let model = network(SPEC, 32, 10);
    let input = images(&model, 5, 6);
    let plan = plan(&model, 5, Level::best());
    let together = run(&plan, &pool(2), &input, 5);
    for (image, logits) in input.chunks(input.len() / 5).zip(together.chunks(10)) {
        assert_eq!(run(&plan, &pool(2), image, 1), logits);
    }
}

#[test]
fn a_plan_says_what_it_does() {
    let model = network(SPEC, 32, 10);
    let plan = plan(&model, 2, Level::best());
    let steps = plan.describe();
    assert_eq!(steps.iter().map(|step| step.macs).sum::<u64>(), model.graph.cost().unwrap().macs);
    // Way in, 27 convolutions, pool, classifier, way out: everything else is fused.
    assert_eq!(steps.len(), 31);
    let end = |step: &sepal_runtime::StepInfo| step.output_offset.unwrap_or(0) + 4 * step.output.elements();
    assert!(steps.iter().all(|step| end(step) <= plan.memory(1).arena));
    let text = plan.to_string();
    assert!(text.contains("depthwise 3×3/2 + bias + relu"), "{text}");

    let mut profile = Vec::new();
    let input = images(&model, 1, 1);
    session(Arc::clone(&plan), pool(1)).run_profiled(&input, &mut [0.0; 10], &mut profile).unwrap();
    assert_eq!(profile.len(), steps.len());
}

#[test]
fn a_large_batch_runs_in_groups() {
    let model = network(SPEC, 96, 10);
    let input = images(&model, 11, 7);
    let plan = plan(&model, 11, Level::best());
    let together = run(&plan, &pool(2), &input, 11);
    for (image, logits) in input.chunks(input.len() / 11).zip(together.chunks(10)) {
        assert!(max_relative_error(&run(&plan, &pool(1), image, 1), logits) < 1e-6);
    }
    let one = crate::tools::plan(&model, 1, Level::best());
    assert!(plan.memory(1).arena < 11 * one.memory(1).arena);
}

#[test]
fn winograd_convolutions_depend_on_the_image_alone() {
    let model = network("resnet20", 32, 10);
    let input = images(&model, 3, 8);
    for level in Level::available() {
        let plan = plan(&model, 3, level);
        assert!(plan.describe().iter().any(|step| step.kind.starts_with("winograd 4×4, conv 3×3 + bias + add")));
        let together = run(&plan, &pool(1), &input, 3);
        assert_eq!(run(&plan, &pool(3), &input, 3), together, "three threads on {level:?}");
        for (image, logits) in input.chunks(input.len() / 3).zip(together.chunks(10)) {
            assert_eq!(run(&plan, &pool(2), image, 1), logits);
        }
    }
}
