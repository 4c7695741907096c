//! The learning-rate range test: the rate rises from step to step, and the loss tells which rates are of use (Smith 2017,
//! arXiv:1506.01186, §3.3).

use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::{Trainer, loader, usable};
use crate::error::{Error, Result};
use crate::evaluate::workers;
use crate::recipe::Recipe;

/// Share of the smoothed loss that a step keeps.
const SMOOTHING: f64 = 0.9;
/// A smoothed loss of so many times the lowest has diverged.
const DIVERGED: f64 = 2.0;
/// Steps before that counts: the first losses are those of chance.
const SETTLED: usize = 10;
/// Points of the curve on either side between which its slope is taken, as a share of all.
const SLOPE: usize = 20;
/// A loss that falls by no more than this share of the first one has not learnt.
const LEARNT: f64 = 0.03;
/// Of the rate with the lowest loss, this share is safe.
const MARGIN: f64 = 0.1;
/// The rates that are tried, as shares of the optimizer's default, which suits many networks.
const RANGE: [f64; 2] = [1e-3, 1e2];
const STEPS: usize = 200;
const MAX_STEPS: usize = 1_000_000;

/// Which rates are tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FindLr {
    /// The first rate, above 0.
    pub from: f64,
    /// The last one, above the first.
    pub to: f64,
    /// Updates, at least 2. The rate rises by the same factor from each to the next.
    pub steps: usize,
}

/// A rate, and what the loss was before its update.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LrPoint {
    /// The learning rate.
    pub lr: f64,
    /// Mean loss of the batches of the update.
    pub loss: f64,
    /// The same, smoothed over the steps before.
    pub smoothed: f64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LrCurve {
    /// The rates in rising order. They end early where the loss diverged.
    pub points: Vec<LrPoint>,
    /// Whether it did.
    pub diverged: bool,
    /// The rate at which the smoothed loss fell most steeply on its way to the lowest, but at most a tenth of
    /// [`LrCurve::lowest`]: what serves for a few steps may be too much for many. `None` where it hardly fell.
    pub suggestion: Option<f64>,
    /// The rate at which it was lowest: one to stay below.
    pub lowest: Option<f64>,
}

impl FindLr {
    /// From a thousandth to a hundred times the default rate of the recipe's optimizer, in two hundred steps.
    #[must_use]
    pub fn around(recipe: &Recipe) -> Self {
        let lr = Recipe { lr: None, ..recipe.clone() }.lr();
        let [from, to] = RANGE.map(|share| share * lr);
        Self { from, to, steps: STEPS }
    }

    fn check(&self) -> Result<()> {
        let Self { from, to, steps } = *self;
        if !(from > 0.0 && from.is_finite()) {
            return Err(Error::recipe("find_lr.from", from, "a number above 0"));
        }
        if !(to > from && to.is_finite()) {
            return Err(Error::recipe("find_lr.to", to, format!("a number above the first rate, {from}")));
        }
        if !(2..=MAX_STEPS).contains(&steps) {
            return Err(Error::recipe("find_lr.steps", steps, format!("a whole number from 2 to {MAX_STEPS}")));
        }
        Ok(())
    }

    fn rate(&self, step: usize) -> f64 {
        self.from * (self.to / self.from).powf(step as f64 / (self.steps - 1) as f64)
    }
}

impl LrCurve {
    fn new(points: Vec<LrPoint>, diverged: bool) -> Self {
        let at_lowest = (0..points.len()).min_by(|&a, &b| points[a].smoothed.total_cmp(&points[b].smoothed));
        // Rates rise evenly in their logarithm, so that the difference is the slope.
        let reach = (points.len() / SLOPE).max(1);
        let slope = |at: usize| points[at + reach].smoothed - points[at - reach].smoothed;
        let fell = |at: usize| points[at].smoothed < (1.0 - LEARNT) * points[0].smoothed;
        let end = at_lowest.filter(|&at| fell(at)).unwrap_or(0).min(points.len().saturating_sub(reach));
        let steepest = (reach..end).min_by(|&a, &b| slope(a).total_cmp(&slope(b)));
        let rate = |at: usize| points[at].lr;
        let lowest = at_lowest.map(rate);
        let suggestion = steepest.map(rate).zip(lowest).map(|(steepest, lowest)| steepest.min(MARGIN * lowest));
        Self { suggestion, lowest, diverged, points }
    }
}

impl Trainer {
    /// Tries rates on the run's own batches and updates, from its present weights, and uses them up. Nothing is written.
    /// `progress` is called with the number of steps done after each; `stop` ends the test early.
    ///
    /// # Errors
    /// [`Error::Recipe`] for rates out of their range, [`Error::NoPictures`]; in strict mode the first picture that
    /// cannot be read.
    pub fn find_lr(mut self, find: &FindLr, progress: &mut dyn FnMut(usize), stop: &AtomicBool) -> Result<LrCurve> {
        find.check()?;
        let workers = workers(self.recipe.workers, self.options.pool.threads());
        let (mut points, mut diverged) = (Vec::new(), false);
        let (mut average, mut lowest) = (0.0, f64::INFINITY);
        let (mut sum, mut images) = (0.0, 0);
        'test: for epoch in 0.. {
            let mut loader = loader(&self.recipe, &self.data, &self.meta, workers, epoch, 0)?;
            let mut used = false;
            for batch in 1.. {
                let Some(made) = loader.next() else { break };
                let made = made?;
                let lr = find.rate(points.len());
                if usable(&made) {
                    used = true;
                    self.progress.step += 1;
                    match self.gradient(&made, self.progress.step - 1, lr) {
                        Ok(output) => {
                            sum += output.loss * made.len() as f64;
                            images += made.len();
                        }
                        Err(Error::Diverged { .. }) => {
                            diverged = true;
                            break 'test;
                        }
                        Err(error) => return Err(error),
                    }
                }
                loader.recycle(made);
                if images == 0 || !self.accumulator.is_due(batch, self.batches) {
                    continue;
                }
                let loss = sum / images as f64;
                (sum, images) = (0.0, 0);
                average = SMOOTHING * average + (1.0 - SMOOTHING) * loss;
                let smoothed = average / (1.0 - SMOOTHING.powi(points.len() as i32 + 1));
                points.push(LrPoint { lr, loss, smoothed });
                progress(points.len());
                lowest = smoothed.min(lowest);
                diverged = points.len() > SETTLED && smoothed > DIVERGED * lowest;
                if diverged || points.len() == find.steps || stop.load(Ordering::SeqCst) {
                    break 'test;
                }
                match self.update(lr) {
                    Ok(_) => {}
                    Err(Error::Diverged { .. }) => {
                        diverged = true;
                        break 'test;
                    }
                    Err(error) => return Err(error),
                }
            }
            if !used {
                let first = "see `sepal data check`".into();
                return Err(Error::NoPictures { pictures: self.data.train.len(), first });
            }
        }
        Ok(LrCurve::new(points, diverged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_by_the_same_factor() {
        let find = FindLr { from: 1e-4, to: 1.0, steps: 5 };
        for (step, rate) in [1e-4, 1e-3, 1e-2, 1e-1, 1.0].into_iter().enumerate() {
            assert!((find.rate(step) / rate - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn the_steepest_descent_is_suggested() {
        // Flat, falling around the thirtieth of sixty points, rising at the end.
        let loss = |at: f64| 2.0 - 1.0 / (1.0 + (30.0 - at).exp()) + (at / 12.0 - 4.5).exp();
        let lr = |at: usize| 10.0_f64.powf(at as f64 / 5.0);
        let point = |at: usize| LrPoint { lr: lr(at), loss: loss(at as f64), smoothed: loss(at as f64) };
        let curve = LrCurve::new((0..60).map(point).collect(), false);
        let (suggestion, lowest) = (curve.suggestion.unwrap(), curve.lowest.unwrap());
        assert!((lr(29)..=lr(31)).contains(&suggestion) && (lr(33)..lr(40)).contains(&lowest), "{suggestion} {lowest}");
        let near = (0..60).map(|at| LrPoint { lr: lr(at).sqrt(), ..point(at) }).collect();
        let near = LrCurve::new(near, false);
        assert_eq!(near.suggestion, near.lowest.map(|lowest| 0.1 * lowest));
        let rising = (0..60).map(|at| LrPoint { lr: 1.0, loss: 0.0, smoothed: at as f64 }).collect();
        assert_eq!(LrCurve::new(rising, false).suggestion, None);
        assert_eq!(LrCurve::new(Vec::new(), true).suggestion, None);
    }
}
