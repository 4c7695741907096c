//! The training step against PyTorch: `tools/golden/mobilenet_v1.py` made the numbers.

use std::sync::Arc;

use sepal_graph::{Graph, Weights};
use sepal_kernels::pool::{Serial, ThreadPool};
use sepal_train::{Batch, Engine, EngineOptions, Params};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../tools/golden/mobilenet_v1.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

struct Case {
    graph: Graph,
    images: Vec<f32>,
    labels: Vec<u32>,
}

fn case(golden: &Value) -> Case {
    let size = golden["size"].as_u64().unwrap() as usize;
    let spec = golden["spec"].as_str().unwrap().parse().unwrap();
    let classes = golden["classes"].as_u64().unwrap() as usize;
    let graph = sepal_zoo::build(&spec, Some([size, size]), classes).unwrap();
    let labels: Vec<u32> = numbers(&golden["labels"]).into_iter().map(|label| label as u32).collect();
    let floats = labels.len() * 3 * size * size;
    let images = (0..floats).map(|i| Weights::noise(1000, i) as f32).collect();
    Case { graph, images, labels }
}

/// SGD with Nesterov momentum as PyTorch writes it, independent of the crate's own.
fn sgd(params: &mut Params, momentum: &mut [f32], lr: f32) {
    for slot in &params.slots {
        let decay = if slot.shape.len() > 1 { 1e-3 } else { 0.0 };
        for at in slot.range.clone() {
            let g = params.grads[at] + decay * params.values[at];
            momentum[at] = 0.9 * momentum[at] + g;
            params.values[at] -= lr * (g + 0.9 * momentum[at]);
        }
    }
}

#[test]
fn gradients_statistics_and_ten_losses_are_pytorchs() {
    let golden = golden();
    let case = case(&golden);
    let weights = Weights::formula(&case.graph).unwrap();
    let mut params = Params::new(&case.graph, &weights).unwrap();
    let n = case.labels.len();
    let mut engine = Engine::new(&case.graph, &params, n, Arc::new(Serial), EngineOptions::default()).unwrap();
    let mut momentum = vec![0.0; params.values.len()];
    let batch =
        Batch { images: &case.images, labels: &case.labels, weights: None, mixed: None, smoothing: 0.1, seed: 0 };
    for (step, expected) in numbers(&golden["losses_f64"]).into_iter().enumerate() {
        let output = engine.step(&mut params, &batch).unwrap();
        assert!((output.loss - expected).abs() <= 2e-6 * expected, "step {step}: {} for {expected}", output.loss);
        if step == 0 {
            check_gradients(&params, &golden);
            check_statistics(&params, &golden);
        }
        sgd(&mut params, &mut momentum, 1e-3);
    }
}

fn check_gradients(params: &Params, golden: &Value) {
    for (slot, expected) in params.slots.iter().zip(golden["gradients"].as_array().unwrap()) {
        let got = &params.grads[slot.range.clone()];
        let norm = got.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        let expected_norm = expected["norm"].as_f64().unwrap();
        assert!((norm - expected_norm).abs() <= 3e-5 * expected_norm, "{}: norm {norm} for {expected_norm}", slot.path);
        for (got, want) in got.iter().zip(numbers(&expected["first"])) {
            let error = (f64::from(*got) - want).abs();
            assert!(error <= 3e-5 * expected_norm, "{}: {got} for {want} of norm {expected_norm}", slot.path);
        }
    }
}

fn check_statistics(params: &Params, golden: &Value) {
    for (slot, expected) in params.buffer_slots.iter().zip(golden["running"].as_array().unwrap()) {
        let got = &params.buffers[slot.range.clone()];
        let sum: f64 = got.iter().map(|&value| f64::from(value)).sum();
        let expected_sum = expected["sum"].as_f64().unwrap();
        assert!((sum - expected_sum).abs() <= 1e-5 * got.len() as f64, "{}: sum {sum} for {expected_sum}", slot.path);
        for (got, want) in got.iter().zip(numbers(&expected["first"])) {
            assert!((f64::from(*got) - want).abs() <= 1e-5 * want.abs().max(1.0), "{}: {got} for {want}", slot.path);
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let case = case(&golden());
    let weights = Weights::formula(&case.graph).unwrap();
    let runs: Vec<Vec<u32>> = [1, 2, 5]
        .into_iter()
        .map(|threads| {
            let mut params = Params::new(&case.graph, &weights).unwrap();
            let pool = Arc::new(ThreadPool::new(threads).unwrap());
            let mut engine =
                Engine::new(&case.graph, &params, case.labels.len(), pool, EngineOptions::default()).unwrap();
            let batch = Batch {
                images: &case.images,
                labels: &case.labels,
                weights: None,
                mixed: None,
                smoothing: 0.0,
                seed: 3,
            };
            engine.step(&mut params, &batch).unwrap();
            params.grads.iter().chain(params.buffers.iter()).map(|value| value.to_bits()).collect()
        })
        .collect();
    assert!(runs.windows(2).all(|pair| pair[0] == pair[1]));
}
