//! What is written when; see [`crate::RunFolder`] for why in this order.

use std::time::Instant;

use sepal_graph::Model;

use super::{CheckpointEvery, Trainer};
use crate::error::Result;
use crate::observer::Observer;
use crate::state::Snapshot;

impl Trainer {
    /// Whether it is time for a state between two epochs.
    pub(super) fn state_is_due(&self) -> bool {
        match self.options.checkpoint {
            CheckpointEvery::Epoch => false,
            CheckpointEvery::Steps(steps) => self.progress.step.is_multiple_of(steps.max(1)),
            CheckpointEvery::Time(time) => self.clock.last_state.is_some_and(|last| last.elapsed() >= time),
        }
    }

    /// Writes the training state.
    pub(super) fn write_state(&mut self, observer: &mut dyn Observer) -> Result<()> {
        self.progress.seconds = self.seconds();
        let Some(run) = &self.options.run else { return Ok(()) };
        let finite = |values: &[f32]| values.iter().find(|value| !value.is_finite()).copied();
        if let Some(value) = finite(&self.params.values).or_else(|| finite(&self.params.buffers)) {
            let lr = self.schedule.at(self.progress.step.saturating_sub(1));
            return Err(self.diverged("largest weight", value.into(), lr));
        }
        let snapshot = Snapshot {
            recipe: &self.recipe,
            graph: &self.graph,
            meta: &self.meta,
            progress: &self.progress,
            params: &self.params,
            optim: &self.optim,
            accumulator: &self.accumulator,
            ema: self.ema.as_ref(),
        };
        let file = run.state();
        run.kept(snapshot.write(&file))?;
        self.clock.last_state = Some(Instant::now());
        observer.checkpoint(&file);
        Ok(())
    }

    /// Writes models and results of a complete epoch, then the state.
    pub(super) fn write_epoch(&mut self, model: &Model, best: bool, observer: &mut dyn Observer) -> Result<()> {
        if let Some(run) = &self.options.run {
            if best {
                run.write_best(model)?;
            }
            run.write_last(model)?;
            run.write_results(&self.progress.history)?;
        }
        self.write_state(observer)
    }
}
