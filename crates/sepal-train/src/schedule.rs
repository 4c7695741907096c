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
        Self {
            peak: recipe.lr(),
            warmup_steps: (recipe.warmup_epochs * steps_per_epoch).round(),
            total_steps: recipe.epochs as f64 * steps_per_epoch,
            steps_per_epoch,
            schedule: recipe.schedule.clone(),
        }
    }

    /// The rate of `step`, counted from 0 over the whole run.
    ///
    /// In the warm-up of w steps, peak·(step + 1)/w (Goyal et al., arXiv:1706.02677, §2.2). After it the
    /// schedule: the cosine runs from the end of the warm-up to the end of the run, milestones are
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
            Schedule::Cosine { min } => {
                let span = (self.total_steps - self.warmup_steps).max(1.0);
                let done = ((step - self.warmup_steps) / span).min(1.0);
                min + (1.0 - min) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
        };
        self.peak * factor
    }
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
}
