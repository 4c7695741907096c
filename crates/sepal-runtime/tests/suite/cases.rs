//! Every operator with every attribute: the cases that every executor runs.

use sepal_graph::{Meta, Model};
use sepal_kernels::Level;
use sepal_testing::{Naive, assert_close, cases};

use crate::tools::{plan, pool, random, run};

#[test]
fn every_case_computes_what_the_oracle_does() {
    let pools = [pool(1), pool(3)];
    for case in cases() {
        let models =
            [Model::new(case.graph.clone(), case.weights(), Meta::default()).unwrap(), random(case.graph.clone(), 11)];
        for model in models {
            let oracle = Naive::new(&model.graph, &model.weights).unwrap();
            let input = case.input(3);
            let expected = oracle.forward_f32(&input, 3);
            let scale = expected.iter().fold(0.0_f64, |max, value| max.max(value.abs()));
            for level in Level::available() {
                let plan = plan(&model, 4, level);
                let what = format!("{} on {}", case.name, level.name());
                let output = run(&plan, &pools[0], &input, 3);
                assert_close(&output, &expected, 1e-4, 1e-5 * scale, &what);
                assert_eq!(run(&plan, &pools[1], &input, 3), output, "{what}, 3 threads");
                let first = run(&plan, &pools[0], &input[..input.len() / 3], 1);
                assert_close(&first, &expected[..first.len()], 1e-4, 1e-5 * scale, &format!("{what}, one image"));
            }
        }
    }
}
