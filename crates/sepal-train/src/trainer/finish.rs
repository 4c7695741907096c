//! The end of a run, or of this process's share of it.

use std::sync::Arc;

use sepal_formats::native;
use sepal_graph::Model;

use super::epoch::Reported;
use super::{Outcome, Trainer};
use crate::error::Result;
use crate::evaluate::evaluate;
use crate::metric::Metrics;
use crate::observer::Observer;

impl Trainer {
    /// After the last epoch: measures the best weights where that was not done yet.
    pub(super) fn finish(&mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        let test = self.data.test.as_ref().map(|set| ("test", set));
        let Some((name, set)) = test.or(self.data.val.as_ref().map(|set| ("val", set))) else {
            return Ok(self.outcome(false, None));
        };
        let set = Arc::clone(set);
        let monitored = self.monitored().is_some_and(|(monitored, _)| monitored == name);
        let epoch = self.progress.best.map_or(self.progress.epoch, |best| best.epoch);
        let metrics = match self.measured.take() {
            Some((measured, metrics)) if monitored && measured == epoch => metrics,
            _ => {
                let model = self.best_model()?;
                let mut watch = Reported { trainer: self, observer };
                evaluate(&model, &set, &watch.pool(), &watch.trainer.eval_options(), &mut watch)?
            }
        };
        self.progress.seconds = self.seconds();
        Ok(self.outcome(false, Some((name, metrics))))
    }

    /// The network with the weights of the epoch that was best on the validation set; after a run without one, those it
    /// ended with. Before the first epoch is over, the present ones.
    ///
    /// # Errors
    /// [`Error::Graph`](crate::Error::Graph) if a weight is not finite, [`Error::Format`](crate::Error::Format) if the run
    /// folder's model cannot be read.
    pub fn best_model(&self) -> Result<Model> {
        match (&self.best, &self.options.run) {
            (Some(best), _) => Ok(best.clone()),
            (None, Some(run)) if run.best().is_file() => Ok(native::read(run.best())?),
            (None, _) => self.model(),
        }
    }

    /// After a stop: leaves a model and a state behind.
    pub(super) fn stopped(&mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        if self.progress.batch > 0 {
            let model = self.model()?;
            if let Some(run) = &self.options.run {
                run.write_last(&model)?;
            }
            self.write_state(observer)?;
        }
        Ok(self.outcome(true, None))
    }

    fn outcome(&self, stopped: bool, measured: Option<(&'static str, Metrics)>) -> Outcome {
        let (set, metrics) = measured.unzip();
        Outcome {
            epochs: self.progress.epoch,
            stopped,
            seconds: self.progress.seconds,
            images_per_second: self.clock.images as f64 / self.clock.training.as_secs_f64().max(1e-9),
            waited: self.clock.waited.as_secs_f64() / self.clock.training.as_secs_f64().max(1e-9),
            set,
            metrics,
            best: self.progress.best,
            history: self.progress.history.clone(),
            skipped: self.reported.len(),
            run: self.options.run.as_ref().map(|run| run.path().to_owned()),
        }
    }
}
