//! The learning rate as a pure function of the step.

use crate::recipe::{Recipe, Schedule};

/// The learning rate of every step of a run. It depends on the step alone, so that a resumed run
/// continues where it was.
#[derive(Debug, Clone, PartialEq)]
pub struct LearningRate {
    peak: f64,
    warmup_steps: f64,
    total_steps: f64,
    steps_per_epoch: f64,
    schedule: Schedule,
}

impl LearningRate {
    /// The rates of a recipe whose epochs have `steps_per_epoch` steps.
    #[must_use]
    pub fn new(recipe: &Recipe, steps_per_epoch: u64) -> Self {
        let steps_per_epoch = steps_per_epoch.max(1) as f64;
        let warmup_steps = match recipe.schedule {
            Schedule::OneCycle { .. } => 0.0,
            _ => (recipe.warmup_epochs * steps_per_epoch).round(),
        };
        Self {
            peak: recipe.lr(),
            warmup_steps,
            total_steps: recipe.epochs as f64 * steps_per_epoch,
            steps_per_epoch,
            schedule: recipe.schedule.clone(),
        }
    }

    /// The rate of `step`, counted from 0 over the whole run.
    ///
    /// In the warm-up of w steps, peak·(step + 1)/w (Goyal et al., arXiv:1706.02677, §2.2). After it the
    /// schedule: cosine and polynomial run from the end of the warm-up to the end of the run, milestones are
    /// counted from the start of the run.
    #[must_use]
    pub fn at(&self, step: u64) -> f64 {
        let step = step as f64;
        if step < self.warmup_steps {
            return self.peak * (step + 1.0) / self.warmup_steps;
        }
        let factor = match &self.schedule {
            Schedule::Constant {} => 1.0,
            Schedule::Step { milestones, gamma } => {
                let epoch = step / self.steps_per_epoch;
                let passed = milestones.iter().filter(|&&milestone| epoch >= milestone).count();
                (0..passed).fold(1.0, |factor, _| factor * gamma)
            }
            Schedule::Exponential { gamma, every } => gamma.powf((step / self.steps_per_epoch / every).floor()),
            Schedule::Cosine { min } => min + (1.0 - min) * falling_cosine(self.done(step)),
            Schedule::Polynomial { power, min } => min + (1.0 - min) * (1.0 - self.done(step)).powf(*power),
            Schedule::OneCycle { rise, div, final_div } => {
                let (first, last) = (1.0 / div, 1.0 / (div * final_div));
                // PyTorch's steps of the peak and of the end, which a run of few steps may not have.
                let end = (self.total_steps - 1.0).max(1.0);
                let top = (rise * self.total_steps - 1.0).clamp(0.0, end);
                if step < top {
                    1.0 + (first - 1.0) * falling_cosine(step / top)
                } else {
                    last + (1.0 - last) * falling_cosine(((step - top) / (end - top).max(1e-9)).min(1.0))
                }
            }
        };
        self.peak * factor
    }

    /// Share of the steps between warm-up and end that are done.
    fn done(&self, step: f64) -> f64 {
        let span = (self.total_steps - self.warmup_steps).max(1.0);
        ((step - self.warmup_steps) / span).min(1.0)
    }
}

/// Half a cosine from 1 to 0.
fn falling_cosine(done: f64) -> f64 {
    0.5 * (1.0 + (std::f64::consts::PI * done).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(schedule: Schedule, warmup_epochs: f64) -> LearningRate {
        let recipe = Recipe { lr: Some(0.4), epochs: 10, warmup_epochs, schedule, ..Recipe::default() };
        LearningRate::new(&recipe, 20)
    }

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }

    #[test]
    fn warm_up_rises_linearly_to_the_peak() {
        let lr = rates(Schedule::Constant {}, 0.5);
        for step in 0..10 {
            near(lr.at(step), 0.04 * (step + 1) as f64);
        }
        near(lr.at(10), 0.4);
        near(lr.at(199), 0.4);
    }

    #[test]
    fn cosine_falls_from_the_warm_up_to_the_end() {
        let lr = rates(Schedule::Cosine { min: 0.0 }, 2.0);
        near(lr.at(39), 0.4);
        near(lr.at(40), 0.4);
        near(lr.at(40 + 80), 0.2);
        near(lr.at(40 + 40), 0.4 * 0.5 * (1.0 + 0.5f64.sqrt()));
        assert!(lr.at(199) > 0.0 && lr.at(199) < 1e-3 * 0.4);
        let lr = rates(Schedule::Cosine { min: 0.1 }, 0.0);
        near(lr.at(0), 0.4);
        near(lr.at(100), 0.4 * 0.55);
        near(lr.at(1000), 0.04);
    }

    #[test]
    fn steps_fall_at_fractional_epochs() {
        let lr = rates(Schedule::Step { milestones: vec![2.5, 8.0], gamma: 0.1 }, 0.0);
        near(lr.at(49), 0.4);
        near(lr.at(50), 0.04);
        near(lr.at(159), 0.04);
        near(lr.at(160), 0.004);
    }

    #[test]
    fn one_cycle_is_pytorchs() {
        // `OneCycleLR` of PyTorch 2.15 over 200 steps with a peak of 0.4.
        let check = |schedule: Schedule, expected: &[(u64, f64)]| {
            let lr = rates(schedule, 0.5);
            expected.iter().for_each(|&(step, rate)| near(lr.at(step), rate));
        };
        let expected = [
            (0, 0.016),
            (10, 0.042581616372389275),
            (30, 0.21311114011605276),
            (58, 0.39972787756993833),
            (59, 0.4),
            (60, 0.3999496471899134),
            (100, 0.32115832413612894),
            (150, 0.10920306324449046),
            (199, 1.6e-6),
        ];
        check(Schedule::named("one_cycle", 10).unwrap(), &expected);
        let expected = [
            (0, 0.04),
            (50, 0.25472669177370943),
            (88, 0.3998878712071561),
            (89, 0.4),
            (90, 0.39991852012707224),
            (150, 0.1661296659120018),
            (199, 0.0004),
        ];
        check(Schedule::OneCycle { rise: 0.45, div: 10.0, final_div: 100.0 }, &expected);
    }

    #[test]
    fn polynomial_and_exponential_are_pytorchs() {
        // `PolynomialLR(total_iters=200, power=2)` and `StepLR(step_size=40, gamma=0.94)`.
        let lr = rates(Schedule::Polynomial { power: 2.0, min: 0.0 }, 0.0);
        for (step, rate) in [(0, 0.4), (50, 0.225), (100, 0.1), (199, 1e-5)] {
            near(lr.at(step), rate);
        }
        near(rates(Schedule::Polynomial { power: 1.0, min: 0.25 }, 2.0).at(120), 0.4 * (0.25 + 0.75 * 0.5));
        let lr = rates(Schedule::Exponential { gamma: 0.94, every: 2.0 }, 0.0);
        for (step, rate) in [(0, 0.4), (39, 0.4), (40, 0.376), (79, 0.376), (80, 0.35344), (199, 0.312299584)] {
            near(lr.at(step), rate);
        }
    }

    #[test]
    fn a_run_of_one_step_has_a_rate_under_every_schedule() {
        for name in Schedule::NAMES {
            let schedule = Schedule::named(name, 1).unwrap();
            let recipe = Recipe { lr: Some(0.4), epochs: 1, warmup_epochs: 0.0, schedule, ..Recipe::default() };
            let lr = LearningRate::new(&recipe, 1);
            assert!(lr.at(0) > 0.0 && lr.at(0) <= 0.4 && lr.at(1).is_finite(), "{name} {}", lr.at(0));
        }
    }
}
