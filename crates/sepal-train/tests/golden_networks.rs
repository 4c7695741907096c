//! Every network against PyTorch, in eval and in training mode: `tools/golden/networks.py` made the numbers.
//!
//! An error is relative: of logits to the greatest, of a gradient to its norm, or to a thousandth of the greatest gradient's norm
//! if that is more (some gradients are zero but for rounding). It may be 1e-4, or twice what PyTorch's own f32 is off
//! from its f64, where that is more.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sepal_graph::{Graph, Meta, Model, Role, Weights};
use sepal_kernels::pool::Serial;
use sepal_runtime::{CompileOptions, compile, session};
use sepal_train::{Batch, Engine, EngineOptions, Params};
use serde::Deserialize;

const TOLERANCE: f64 = 1e-4;
const FLOOR: f64 = 1e-3;

#[derive(Deserialize)]
struct Golden {
    spec: String,
    size: [usize; 2],
    classes: usize,
    batch: usize,
    /// Ordinal of the noise that is the pictures of `calm`; `plain` has 1000.
    seed: usize,
    /// Of the channels of a norm, one in so many is not calmed.
    kinked: usize,
    /// With the formula's weights.
    plain: Results,
    /// With norms that keep most channels clear of their activations' kinks; with gradients.
    calm: Results,
}

/// What PyTorch computes, in f64.
#[derive(Deserialize)]
struct Results {
    eval_logits: Vec<f64>,
    train_logits: Vec<f64>,
    loss: f64,
    /// Norm, and dot product with noise, in the order of the graph's learnable parameters.
    #[serde(default)]
    gradients: Vec<[f64; 2]>,
    torch_f32: Errors,
}

/// PyTorch's own errors in f32.
#[derive(Deserialize)]
struct Errors {
    eval_logits: f64,
    train_logits: f64,
    gradients: f64,
}

impl Golden {
    fn graph(&self) -> Graph {
        sepal_zoo::build(&self.spec.parse().unwrap(), Some(self.size), self.classes).unwrap()
    }

    fn images(&self, seed: usize) -> Vec<f32> {
        let [h, w] = self.size;
        (0..self.batch * 3 * h * w).map(|i| Weights::noise(seed, i) as f32).collect()
    }

    /// Rows are images, or their pixels where the output is a map.
    fn labels(&self, graph: &Graph) -> Vec<u32> {
        let rows = self.batch * graph.output_shape().unwrap().elements() / self.classes;
        (0..rows).map(|row| ((7 * row + 3) % self.classes) as u32).collect()
    }

    fn calm_weights(&self, graph: &Graph) -> Weights {
        let mut weights = Weights::formula(graph).unwrap();
        for spec in graph.params().unwrap() {
            let tensor = weights.get_mut(&spec.path).unwrap().data_mut();
            let calm = tensor.iter_mut().enumerate().filter(|(channel, _)| channel % self.kinked > 0);
            match spec.role {
                Role::NormScale => calm.for_each(|(_, value)| *value *= 0.25),
                Role::NormShift => calm.for_each(|(_, value)| *value += 1.0),
                _ => {}
            }
        }
        weights
    }
}

/// What is off by more than it may be, and the greatest error of each kind.
#[derive(Default)]
struct Report {
    faults: Vec<String>,
    worst: Vec<(&'static str, f64)>,
}

impl Report {
    fn add(&mut self, what: &'static str, detail: &str, error: f64, allowed: f64) {
        match self.worst.iter_mut().find(|(name, _)| *name == what) {
            Some((_, worst)) => *worst = worst.max(error),
            None => self.worst.push((what, error)),
        }
        if error.is_nan() || error > allowed {
            self.faults.push(format!("{what} {detail}: error {error:.1e}, {allowed:.1e} allowed"));
        }
    }

    fn logits(&mut self, what: &'static str, got: &[f32], want: &[f64], torch: f64) {
        let (want, got) = match want {
            // Of maps there are the norm and a dot product.
            [norm, dot] => (vec![*norm, *dot], probe(1001, got).to_vec()),
            all => (all.to_vec(), got.iter().map(|&value| f64::from(value)).collect()),
        };
        assert_eq!(got.len(), want.len(), "{what}");
        let greatest = want.iter().fold(0.0, |greatest: f64, value| greatest.max(value.abs()));
        let error = got.iter().zip(&want).fold(0.0, |error: f64, (got, want)| error.max((got - want).abs()));
        self.add(what, "", error / greatest, allowed(torch));
    }
}

fn allowed(torch: f64) -> f64 {
    TOLERANCE.max(2.0 * torch)
}

fn probe(ordinal: usize, values: &[f32]) -> [f64; 2] {
    let (mut squares, mut dot) = (0.0, 0.0);
    for (i, &value) in values.iter().enumerate() {
        squares += f64::from(value).powi(2);
        dot += f64::from(value) * Weights::noise(ordinal, i);
    }
    [squares.sqrt(), dot]
}

/// Gradients, logits and loss of a step in training mode.
fn step(golden: &Golden, graph: &Graph, weights: &Weights, seed: usize) -> (Params, Vec<f32>, f64) {
    let mut params = Params::new(graph, weights).unwrap();
    let mut engine = Engine::new(graph, &params, golden.batch, Arc::new(Serial), EngineOptions::default()).unwrap();
    engine.keep_logits();
    let (images, labels) = (golden.images(seed), golden.labels(graph));
    let batch = Batch { images: &images, labels: &labels, weights: None, mixed: None, smoothing: 0.0, seed: 0 };
    let loss = engine.step(&mut params, &batch).unwrap().loss;
    (params, engine.logits().to_vec(), loss)
}

fn eval(golden: &Golden, graph: &Graph, weights: Weights, seed: usize) -> Vec<f32> {
    let model = Model::new(graph.clone(), weights, Meta::default()).unwrap();
    let options = CompileOptions { batch: golden.batch, ..CompileOptions::default() };
    let plan = Arc::new(compile(&model, &options).unwrap());
    let mut output = vec![f32::NAN; golden.batch * plan.output_shape().elements()];
    session(plan, Arc::new(Serial)).run(&golden.images(seed), &mut output).unwrap();
    output
}

fn check(golden: &Golden) -> Report {
    let mut report = Report::default();
    let graph = golden.graph();
    let plain = Weights::formula(&graph).unwrap();
    let calm = golden.calm_weights(&graph);
    for (weights, seed, want) in [(plain, 1000, &golden.plain), (calm, golden.seed, &golden.calm)] {
        let torch = &want.torch_f32;
        let (params, logits, loss) = step(golden, &graph, &weights, seed);
        report.logits("train", &logits, &want.train_logits, torch.train_logits);
        report.add("loss", "", (loss - want.loss).abs() / want.loss, allowed(torch.train_logits));
        report.logits("eval", &eval(golden, &graph, weights, seed), &want.eval_logits, torch.eval_logits);
        if !want.gradients.is_empty() {
            gradients(&mut report, &graph, &params, want);
        }
    }
    report
}

fn gradients(report: &mut Report, graph: &Graph, params: &Params, want: &Results) {
    let specs = graph.params().unwrap();
    let ordinal = |path: &str| specs.iter().position(|spec| spec.path == path).unwrap();
    let largest = want.gradients.iter().fold(0.0, |largest: f64, [norm, _]| largest.max(*norm));
    assert_eq!(params.slots.len(), want.gradients.len());
    for (slot, [norm, dot]) in params.slots.iter().zip(&want.gradients) {
        let [got_norm, got_dot] = probe(2000 + ordinal(&slot.path), &params.grads[slot.range.clone()]);
        let error = (got_norm - norm).abs().max((got_dot - dot).abs()) / norm.max(FLOOR * largest);
        report.add("gradients", &slot.path, error, allowed(want.torch_f32.gradients));
    }
}

#[test]
fn every_network_computes_what_pytorch_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/golden/networks");
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 40, "{} goldens", paths.len());
    let (next, faults) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            let golden: Golden = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            let report = check(&golden);
            let worst: Vec<String> = report.worst.iter().map(|(what, error)| format!("{what} {error:.1e}")).collect();
            println!("{:60} {}", golden.spec, worst.join(", "));
            faults.lock().unwrap().extend(report.faults.iter().map(|fault| format!("{}: {fault}", golden.spec)));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
