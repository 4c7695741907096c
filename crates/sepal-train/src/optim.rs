//! Optimizer and moving average: flat state beside the parameters.

use sepal_kernels::update::{self, Adam, RmsProp, Sgd};
use sepal_kernels::{Buffer, Exec};

use crate::error::Result;
use crate::groups::{Group, groups};
use crate::params::Params;
use crate::recipe::{Optimizer, Recipe};

/// Added to the norm that the clipped gradient is divided by, as PyTorch does.
const CLIP_EPS: f64 = 1e-6;

/// The rule of the weights' update with its state, which lies as the values do.
pub(crate) struct Optim {
    rule: Optimizer,
    clip: Option<f64>,
    groups: Vec<Group>,
    /// In the order of [`Optim::names`].
    state: Vec<Buffer>,
    scratch: Buffer,
}

impl Optim {
    /// The recipe's optimizer with the state of a fresh run.
    ///
    /// # Errors
    /// [`Error::Glob`](crate::Error::Glob) for a `freeze` that leaves nothing to train, or a group that selects nothing.
    pub(crate) fn new(recipe: &Recipe, params: &Params) -> Result<Self> {
        let groups = groups(&params.slots, recipe)?;
        let longest = groups.iter().map(|group| group.range.len()).max().unwrap_or(0);
        let scratch = if recipe.clip_grad.is_some() { update::sum_of_squares_scratch(longest) } else { 0 };
        let names = names(&recipe.optimizer);
        Ok(Self {
            rule: recipe.optimizer,
            clip: recipe.clip_grad,
            groups,
            state: names.iter().map(|_| Buffer::zeroed(params.values.len())).collect(),
            scratch: Buffer::zeroed(scratch),
        })
    }

    /// The state's buffers by name.
    pub(crate) fn state(&self) -> impl Iterator<Item = (&'static str, &Buffer)> {
        names(&self.rule).iter().copied().zip(&self.state)
    }

    /// The same, to be restored.
    pub(crate) fn state_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut Buffer)> {
        names(&self.rule).iter().copied().zip(&mut self.state)
    }

    /// Bytes of the state.
    pub(crate) fn bytes(&self) -> usize {
        self.state.iter().map(|buffer| size_of_val(&**buffer)).sum()
    }

    /// Updates the values by their gradients. `update` counts from 1. Returns the norm of the gradient
    /// before clipping where the recipe clips; where that is not finite, nothing was updated.
    pub(crate) fn step(&mut self, exec: Exec<'_>, params: &mut Params, lr: f64, update: u64) -> Option<f64> {
        let norm = self.clip(exec, params);
        if norm.is_some_and(|norm| !norm.is_finite()) {
            return norm;
        }
        for Group { range, lr_factor, weight_decay } in &self.groups {
            let (lr, weight_decay) = ((lr * lr_factor) as f32, *weight_decay as f32);
            let weights = &mut params.values[range.clone()];
            let gradient = &params.grads[range.clone()];
            match (self.rule, &mut self.state[..]) {
                (Optimizer::Sgd { momentum, nesterov }, [velocity]) => {
                    let rule = Sgd { lr, momentum: momentum as f32, nesterov, weight_decay };
                    update::sgd(exec, &rule, weights, gradient, &mut velocity[range.clone()]);
                }
                (Optimizer::Adam { betas, eps } | Optimizer::Adamw { betas, eps }, [mean, square]) => {
                    let coupled = matches!(self.rule, Optimizer::Adam { .. });
                    let betas = betas.map(|beta| beta as f32);
                    let rule = Adam { lr, betas, eps: eps as f32, weight_decay, coupled };
                    let (mean, square) = (&mut mean[range.clone()], &mut square[range.clone()]);
                    update::adam(exec, &rule, update, weights, gradient, mean, square);
                }
                (Optimizer::Rmsprop { alpha, eps, momentum }, [square, velocity]) => {
                    let [alpha, eps, momentum] = [alpha, eps, momentum].map(|value| value as f32);
                    let rule = RmsProp { lr, alpha, eps, momentum, weight_decay };
                    let (square, velocity) = (&mut square[range.clone()], &mut velocity[range.clone()]);
                    update::rmsprop(exec, &rule, weights, gradient, square, velocity);
                }
                _ => unreachable!("the state was made for the rule"),
            }
        }
        norm
    }

    /// Scales the gradients of what is trained down to the recipe's largest norm.
    fn clip(&mut self, exec: Exec<'_>, params: &mut Params) -> Option<f64> {
        let most = self.clip?;
        let ranges = self.groups.iter().map(|group| group.range.clone());
        let squares = ranges.clone().map(|range| update::sum_of_squares(exec, &params.grads[range], &mut self.scratch));
        let norm = squares.sum::<f64>().sqrt();
        let factor = most / (norm + CLIP_EPS);
        if factor < 1.0 {
            ranges.for_each(|range| update::scale(exec, factor as f32, &mut params.grads[range]));
        }
        Some(norm)
    }
}

/// Names of the state's buffers, as checkpoints have them.
fn names(rule: &Optimizer) -> &'static [&'static str] {
    match rule {
        Optimizer::Sgd { .. } => &["velocity"],
        Optimizer::Adam { .. } | Optimizer::Adamw { .. } => &["mean", "square"],
        Optimizer::Rmsprop { .. } => &["square", "velocity"],
    }
}

/// Exponential moving average of values and running statistics.
pub(crate) struct Ema {
    decay: f64,
    /// Laid out as [`Params::values`].
    pub(crate) values: Buffer,
    /// Laid out as [`Params::buffers`].
    pub(crate) buffers: Buffer,
}

impl Ema {
    /// The average of nothing but the present; `None` for a decay of 0.
    pub(crate) fn new(decay: f64, params: &Params) -> Option<Self> {
        let copy = |from: &Buffer| {
            let mut buffer = Buffer::zeroed(from.len());
            buffer.copy_from_slice(from);
            buffer
        };
        (decay > 0.0).then(|| Self { decay, values: copy(&params.values), buffers: copy(&params.buffers) })
    }

    /// Bytes of the averages.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.values) + size_of_val(&*self.buffers)
    }

    /// Moves the average after `update`, counted from 1.
    pub(crate) fn step(&mut self, exec: Exec<'_>, params: &Params, update: u64) {
        let t = update as f64;
        let decay = self.decay.min((1.0 + t) / (10.0 + t)) as f32;
        update::ema(exec, decay, &mut self.values, &params.values);
        update::ema(exec, decay, &mut self.buffers, &params.buffers);
    }
}

#[cfg(test)]
mod tests;
