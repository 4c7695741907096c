//! The formulas, element by element.

use super::{Adam, RmsProp, Rule, Sgd};
use crate::isa::{Isa, Vector};

impl Rule<2> for Sgd {
    #[inline(always)]
    fn step<I: Isa>(&self, isa: I, [w, v]: [I::Block; 2], g: I::Block) -> [I::Block; 2] {
        let s = |value: f32| I::Block::splat(isa, value);
        let g = w.mul_add(isa, s(self.weight_decay), g);
        let v = v.mul_add(isa, s(self.momentum), g);
        let down = if self.nesterov { v.mul_add(isa, s(self.momentum), g) } else { v };
        [down.mul_add(isa, s(-self.lr), w), v]
    }
}

/// [`Adam`] at one step, with its bias corrections.
#[derive(Clone, Copy)]
pub(super) struct AdamStep {
    rule: Adam,
    /// `lr / (1 − beta1^step)`
    lr: f32,
    /// `1 / sqrt(1 − beta2^step)`
    root: f32,
    /// `1 − lr·weight_decay` where the decay is decoupled
    keep: f32,
    /// Decay that is added to the gradient
    added: f32,
}

impl AdamStep {
    pub(super) fn new(rule: &Adam, step: u64) -> Self {
        assert!(step > 0, "steps count from 1");
        let left = |beta: f32| 1.0 - f64::from(beta).powf(step as f64);
        let [first, second] = rule.betas.map(left);
        let (apart, added) = if rule.coupled { (0.0, rule.weight_decay) } else { (rule.weight_decay, 0.0) };
        Self {
            rule: *rule,
            lr: (f64::from(rule.lr) / first) as f32,
            root: (1.0 / second.sqrt()) as f32,
            keep: (1.0 - f64::from(rule.lr) * f64::from(apart)) as f32,
            added,
        }
    }
}

impl Rule<3> for AdamStep {
    #[inline(always)]
    fn step<I: Isa>(&self, isa: I, [w, mean, square]: [I::Block; 3], g: I::Block) -> [I::Block; 3] {
        let s = |value: f32| I::Block::splat(isa, value);
        let [beta1, beta2] = self.rule.betas;
        let g = w.mul_add(isa, s(self.added), g);
        let mean = g.sub(isa, mean).mul_add(isa, s(1.0 - beta1), mean);
        let square = g.mul(isa, g).mul_add(isa, s(1.0 - beta2), square.mul(isa, s(beta2)));
        let root = square.sqrt(isa).mul_add(isa, s(self.root), s(self.rule.eps));
        let down = mean.div(isa, root);
        [down.mul_add(isa, s(-self.lr), w.mul(isa, s(self.keep))), mean, square]
    }
}

impl Rule<3> for RmsProp {
    #[inline(always)]
    fn step<I: Isa>(&self, isa: I, [w, square, v]: [I::Block; 3], g: I::Block) -> [I::Block; 3] {
        let s = |value: f32| I::Block::splat(isa, value);
        let g = w.mul_add(isa, s(self.weight_decay), g);
        let square = g.mul(isa, g).mul_add(isa, s(1.0 - self.alpha), square.mul(isa, s(self.alpha)));
        let down = g.div(isa, square.sqrt(isa).add(isa, s(self.eps)));
        let v = v.mul_add(isa, s(self.momentum), down);
        [v.mul_add(isa, s(-self.lr), w), square, v]
    }
}

/// Moves a value by this share of its distance to the gradient.
#[derive(Clone, Copy)]
pub(super) struct Lerp(pub(super) f32);

impl Rule<1> for Lerp {
    #[inline(always)]
    fn step<I: Isa>(&self, isa: I, [average]: [I::Block; 1], weight: I::Block) -> [I::Block; 1] {
        [weight.sub(isa, average).mul_add(isa, I::Block::splat(isa, self.0), average)]
    }
}

/// Multiplies by this factor.
#[derive(Clone, Copy)]
pub(super) struct Scale(pub(super) f32);

impl Rule<1> for Scale {
    #[inline(always)]
    fn step<I: Isa>(&self, isa: I, [value]: [I::Block; 1], _: I::Block) -> [I::Block; 1] {
        [value.mul(isa, I::Block::splat(isa, self.0))]
    }
}
