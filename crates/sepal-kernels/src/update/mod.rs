//! Optimizer steps and other passes over flat parameter buffers.
//!
//! All follow PyTorch's formulas, in `f32`, and update their buffers in place.

mod rules;
mod squares;

pub use squares::{sum_of_squares, sum_of_squares_scratch};

use crate::exec::{Exec, Shared};
use crate::isa::{Isa, Kernel, Vector};
use crate::layout::LANES;

/// Floats of one item.
const CHUNK: usize = 1 << 14;

/// Stochastic gradient descent, as `torch.optim.SGD` without dampening.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f32,
    /// Share of the velocity kept; 0 for plain descent.
    pub momentum: f32,
    /// Nesterov's form of momentum.
    pub nesterov: bool,
    /// Added to the gradient, times the parameter.
    pub weight_decay: f32,
}

/// Adam, as `torch.optim.AdamW` (Loshchilov and Hutter, arXiv:1711.05101) or, with `coupled`, as `torch.optim.Adam`
/// (Kingma and Ba, arXiv:1412.6980).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Learning rate.
    pub lr: f32,
    /// Decay of the mean of gradients and of their squares.
    pub betas: [f32; 2],
    /// Added to the root of the mean of squares.
    pub eps: f32,
    /// Parameters shrink by `lr·weight_decay` of themselves.
    pub weight_decay: f32,
    /// Instead, the decay is added to the gradient, times the parameter.
    pub coupled: bool,
}

/// RMSprop, as `torch.optim.RMSprop`, not centered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsProp {
    /// Learning rate.
    pub lr: f32,
    /// Decay of the mean of squares.
    pub alpha: f32,
    /// Added to the root of the mean of squares.
    pub eps: f32,
    /// Share of the velocity kept; 0 for none.
    pub momentum: f32,
    /// Added to the gradient, times the parameter.
    pub weight_decay: f32,
}

/// One step of [`Sgd`]: `v = momentum·v + g`, `w -= lr·v` (Nesterov: `w -= lr·(g + momentum·v)`).
///
/// `velocity` starts as zeros.
///
/// # Panics
/// If the slices differ in length.
pub fn sgd(exec: Exec<'_>, rule: &Sgd, weights: &mut [f32], gradient: &[f32], velocity: &mut [f32]) {
    run(exec, *rule, [weights, velocity], gradient);
}

/// One step of [`Adam`]; `step` counts from 1, `mean` and `square` start as zeros.
///
/// # Panics
/// If the slices differ in length or `step` is 0.
pub fn adam(
    exec: Exec<'_>,
    rule: &Adam,
    step: u64,
    weights: &mut [f32],
    gradient: &[f32],
    mean: &mut [f32],
    square: &mut [f32],
) {
    run(exec, rules::AdamStep::new(rule, step), [weights, mean, square], gradient);
}

/// One step of [`RmsProp`]; `square` and `velocity` start as zeros.
///
/// # Panics
/// If the slices differ in length.
pub fn rmsprop(
    exec: Exec<'_>,
    rule: &RmsProp,
    weights: &mut [f32],
    gradient: &[f32],
    square: &mut [f32],
    velocity: &mut [f32],
) {
    run(exec, *rule, [weights, square, velocity], gradient);
}

/// Moves an exponential moving average: `average += (1 − decay)·(weights − average)`.
///
/// # Panics
/// If the slices differ in length.
pub fn ema(exec: Exec<'_>, decay: f32, average: &mut [f32], weights: &[f32]) {
    run(exec, rules::Lerp(1.0 - decay), [average], weights);
}

/// Multiplies every value by `factor`.
pub fn scale(exec: Exec<'_>, factor: f32, values: &mut [f32]) {
    run(exec, rules::Scale(factor), [values], &[]);
}

/// New values of `N` buffers from their old ones and a gradient, element by element.
trait Rule<const N: usize>: Copy + Sync {
    fn step<I: Isa>(&self, isa: I, old: [I::Block; N], gradient: I::Block) -> [I::Block; N];
}

/// Applies `rule` to the whole of `buffers`; `gradient` may be empty where the rule does not read it.
fn run<const N: usize>(exec: Exec<'_>, rule: impl Rule<N>, buffers: [&mut [f32]; N], gradient: &[f32]) {
    let len = buffers.first().map_or(0, |buffer| buffer.len());
    let lengths = buffers.iter().map(|buffer| buffer.len());
    assert!(lengths.into_iter().all(|each| each == len) && (gradient.is_empty() || gradient.len() == len));
    let buffers = buffers.map(Shared::new);
    exec.pool.run(len.div_ceil(CHUNK), &|item, _| {
        let first = item * CHUNK;
        let count = CHUNK.min(len - first);
        let gradient = if gradient.is_empty() { None } else { Some(&gradient[first..][..count]) };
        exec.level.dispatch(Item { rule, buffers, first, count, gradient });
    });
}

struct Item<'a, R, const N: usize> {
    rule: R,
    buffers: [Shared<'a>; N],
    first: usize,
    count: usize,
    gradient: Option<&'a [f32]>,
}

impl<R: Rule<N>, const N: usize> Kernel for Item<'_, R, N> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { rule, buffers, first, count, gradient } = self;
        let buffers = buffers.map(|buffer| buffer.at(first, count));
        let zeros = [0.0; LANES];
        let whole = count / LANES * LANES;
        let mut at = 0;
        while at < whole {
            let gradient = gradient.map_or(zeros.as_ptr(), |gradient| gradient[at..][..LANES].as_ptr());
            // SAFETY: `at + LANES <= count`.
            unsafe { line(isa, rule, buffers.map(|buffer| buffer.add(at)), gradient) }
            at += LANES;
        }
        if at < count {
            // The last line is completed with zeros, in copies.
            let mut lines = [[0.0; LANES]; N];
            let mut last = zeros;
            let rest = count - at;
            if let Some(gradient) = gradient {
                last[..rest].copy_from_slice(&gradient[at..]);
            }
            // SAFETY: `rest` floats follow in every buffer; lines are longer.
            unsafe {
                for (line, buffer) in lines.iter_mut().zip(buffers) {
                    line.as_mut_ptr().copy_from_nonoverlapping(buffer.add(at), rest);
                }
                line(isa, rule, lines.each_mut().map(|line| line.as_mut_ptr()), last.as_ptr());
                for (line, buffer) in lines.iter().zip(buffers) {
                    buffer.add(at).copy_from_nonoverlapping(line.as_ptr(), rest);
                }
            }
        }
    }
}

/// Sixteen elements.
///
/// # Safety
/// All pointers are valid for them.
#[inline(always)]
unsafe fn line<I: Isa, const N: usize>(isa: I, rule: impl Rule<N>, buffers: [*mut f32; N], gradient: *const f32) {
    // SAFETY: by the caller's promise.
    unsafe {
        let mut old = [I::Block::splat(isa, 0.0); N];
        for (old, buffer) in old.iter_mut().zip(buffers) {
            *old = I::Block::load(isa, buffer);
        }
        let new = rule.step(isa, old, I::Block::load(isa, gradient));
        for (buffer, new) in buffers.into_iter().zip(new) {
            new.store(isa, buffer);
        }
    }
}

#[cfg(test)]
mod tests;
