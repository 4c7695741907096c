//! Folding of norms keeps what is computed: the oracle against itself.

use sepal_graph::rewrites::fold_norms;
use sepal_testing::{Naive, assert_close, cases};

use crate::tools::random;

#[test]
fn every_case_computes_the_same_without_its_norms() {
    for (seed, case) in cases().into_iter().enumerate() {
        let model = random(case.graph.clone(), seed as u64);
        let folded = fold_norms(&model).unwrap();
        let input = case.input(2);
        let [expected, output] =
            [&model, &folded].map(|model| Naive::new(&model.graph, &model.weights).unwrap().forward_f32(&input, 2));
        let scale = expected.iter().fold(0.0_f64, |max, value| max.max(value.abs()));
        // Folded weights are rounded to f32 once more.
        assert_close(&output, &expected, 0.0, 1e-6 * scale, &case.name);
    }
}
