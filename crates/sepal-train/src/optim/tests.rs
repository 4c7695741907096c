use sepal_graph::{Builder, Graph, Shape, Tensor, Weights};
use sepal_kernels::pool::{Pool, Serial, ThreadPool};

use super::*;
use crate::recipe::ParamGroup;

/// Two inputs, two outputs: four weights that decay and two biases that do not.
fn graph() -> Graph {
    let mut b = Builder::new("linear");
    let x = b.input("input", Shape::features(2).unwrap()).unwrap();
    let x = b.linear("fc", x, 2).unwrap();
    b.finish(&[x]).unwrap()
}

fn params() -> Params {
    let mut weights = Weights::new();
    weights.insert("fc.weight", Tensor::new(vec![2, 2], vec![0.5, -1.0, 0.25, 2.0]).unwrap());
    weights.insert("fc.bias", Tensor::new(vec![2], vec![0.1, -0.2]).unwrap());
    Params::new(&graph(), &weights).unwrap()
}

const GRADIENTS: [[f32; 6]; 3] =
    [[0.3, -0.1, 0.2, 0.05, 1.0, -0.5], [-0.2, 0.4, 0.1, -0.3, 0.25, 0.5], [0.6, 0.2, -0.4, 0.1, -0.75, 0.1]];

fn all(params: &Params, floats: &[f32]) -> Vec<f32> {
    params.slots.iter().flat_map(|slot| floats[slot.range.clone()].to_vec()).collect()
}

/// Values after three steps, and the gradient's norms.
fn three_steps(recipe: &Recipe, pool: &dyn Pool) -> (Vec<f32>, Vec<Option<f64>>) {
    let mut params = params();
    crate::frozen::freeze(&mut params, &graph(), recipe).unwrap();
    let mut optim = Optim::new(recipe, &params).unwrap();
    let mut norms = Vec::new();
    for (update, gradient) in (1..).zip(GRADIENTS) {
        let Params { slots, grads, .. } = &mut params;
        let mut from = gradient.into_iter();
        for slot in slots {
            grads[slot.range.clone()].iter_mut().zip(&mut from).for_each(|(to, from)| *to = from);
        }
        norms.push(optim.step(Exec::new(pool), &mut params, recipe.lr(), update));
    }
    (all(&params, &params.values), norms)
}

fn assert_near(got: &[f32], expected: [f32; 6]) {
    assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 2e-6), "{got:?} {expected:?}");
}

fn recipe(optimizer: Optimizer, lr: f64) -> Recipe {
    Recipe { optimizer, lr: Some(lr), weight_decay: Some(0.1), ..Recipe::default() }
}

// The numbers are PyTorch 2.15's in double precision, weight decay 0.1 on the weights and 0 on the biases.
#[test]
fn sgd_steps_as_pytorch() {
    let nesterov = recipe(Optimizer::Sgd { momentum: 0.9, nesterov: true }, 0.1);
    let expected = [0.2998238, -1.0324829, 0.2127504, 1.8863214, -0.16915, -0.18255];
    assert_near(&three_steps(&nesterov, &Serial).0, expected);
    let plain = recipe(Optimizer::Sgd { momentum: 0.5, nesterov: false }, 0.1);
    let expected = [0.3971465, -1.020298, 0.2301728, 1.9418975, -0.0375, -0.1975];
    assert_near(&three_steps(&plain, &Serial).0, expected);
}

#[test]
fn adamw_steps_as_pytorch() {
    let recipe = recipe(Optimizer::Adamw { betas: [0.9, 0.99], eps: 1e-8 }, 0.1);
    let expected = [0.3124518, -0.9943287, 0.0727358, 1.9300674, -0.0975346, -0.118271];
    assert_near(&three_steps(&recipe, &Serial).0, expected);
}

#[test]
fn adam_steps_as_pytorch() {
    let recipe = recipe(Optimizer::Adam { betas: [0.9, 0.99], eps: 1e-8 }, 0.1);
    let expected = [0.3034578, -0.963562, 0.0711236, 1.8056592, -0.0975346, -0.118271];
    assert_near(&three_steps(&recipe, &Serial).0, expected);
}

#[test]
fn groups_step_as_pytorchs() {
    let group =
        |path: &str, lr_factor, decay| ParamGroup { paths: vec![path.into()], lr_factor, weight_decay: Some(decay) };
    let groups = vec![group("*.weight", 0.5, 0.1), group("*.bias", 2.0, 0.2)];
    let sgd = Optimizer::Sgd { momentum: 0.9, nesterov: true };
    let recipe = Recipe { groups, ..recipe(sgd, 0.1) };
    let expected = [0.3991552, -1.0160024, 0.2306889, 1.9426137, -0.3809055, -0.1307253];
    assert_near(&three_steps(&recipe, &Serial).0, expected);
}

#[test]
fn rmsprop_steps_as_pytorch() {
    let recipe = recipe(Optimizer::Rmsprop { alpha: 0.9, eps: 1e-3, momentum: 0.9 }, 0.01);
    let expected = [0.4122824, -0.9752449, 0.1628868, 1.9149163, 0.0191005, -0.1629889];
    assert_near(&three_steps(&recipe, &Serial).0, expected);
}

#[test]
fn long_gradients_are_clipped_as_pytorch_does() {
    let sgd = Optimizer::Sgd { momentum: 0.0, nesterov: false };
    let recipe = Recipe { clip_grad: Some(0.5), weight_decay: Some(0.0), ..recipe(sgd, 0.1) };
    let expected = [0.4719993, -1.0306735, 0.2538482, 2.0123699, 0.0767403, -0.2154359];
    let (values, norms) = three_steps(&recipe, &Serial);
    assert_near(&values, expected);
    for (norm, expected) in norms.into_iter().zip([1.180_042_4, 0.782_623_8, 1.068_878]) {
        assert!((norm.unwrap() - expected).abs() < 1e-6);
    }
}

#[test]
fn a_gradient_that_is_no_number_updates_nothing_where_it_is_looked_at() {
    let recipe = Recipe { clip_grad: Some(1.0), ..Recipe::default() };
    let mut params = params();
    let before = all(&params, &params.values);
    params.grads[0] = f32::NAN;
    let mut optim = Optim::new(&recipe, &params).unwrap();
    let norm = optim.step(Exec::new(&Serial), &mut params, 0.1, 1);
    assert!(norm.is_some_and(f64::is_nan));
    assert_eq!(all(&params, &params.values), before);
}

#[test]
fn frozen_parameters_stay_and_do_not_count_in_the_norm() {
    let sgd = Optimizer::Sgd { momentum: 0.9, nesterov: true };
    let recipe = Recipe { freeze: vec!["*.weight".into()], clip_grad: Some(100.0), ..recipe(sgd, 0.1) };
    let (values, norms) = three_steps(&recipe, &Serial);
    assert_eq!(values[..4], [0.5, -1.0, 0.25, 2.0]);
    assert!((values[4] - -0.16915).abs() < 1e-6 && (values[5] - -0.18255).abs() < 1e-6);
    assert!((norms[0].unwrap() - 1.25f64.sqrt()).abs() < 1e-6);
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let pool = ThreadPool::new(3).unwrap();
    for name in Optimizer::NAMES {
        let recipe = Recipe { clip_grad: Some(0.7), ..recipe(Optimizer::named(name).unwrap(), 0.05) };
        assert_eq!(three_steps(&recipe, &Serial), three_steps(&recipe, &pool), "{name}");
    }
}

#[test]
fn the_average_starts_fast_and_ends_at_its_decay() {
    let mut params = params();
    let mut ema = Ema::new(0.5, &params).unwrap();
    let mut expected: Vec<f64> = all(&params, &params.values).into_iter().map(f64::from).collect();
    for update in 1..40u32 {
        params.values[0] = update as f32;
        ema.step(Exec::new(&Serial), &params, update.into());
        let t = f64::from(update);
        let decay = 0.5f64.min((1.0 + t) / (10.0 + t));
        for (average, now) in expected.iter_mut().zip(all(&params, &params.values)) {
            *average = decay * *average + (1.0 - decay) * f64::from(now);
        }
    }
    for (got, expected) in all(&params, &ema.values).into_iter().zip(expected) {
        assert!((f64::from(got) - expected).abs() < 1e-4, "{got} {expected}");
    }
    assert!(Ema::new(0.0, &params).is_none());
}
