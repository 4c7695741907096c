//! The training state: all that resuming needs, in one file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sepal_formats::tensors::{self, Contents};
use sepal_graph::{Graph, Meta};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::accumulate::Accumulator;
use crate::error::{Error, Result};
use crate::history::{Best, EpochRow};
use crate::metric::Running;
use crate::optim::{Ema, Optim};
use crate::params::{Params, Slot};
use crate::recipe::{FieldDiff, Recipe};
use crate::run::state_file;
use crate::trainer::is_over;

const VERSION: &str = "sepal.state";
const RECIPE: &str = "sepal.recipe";
const GRAPH: &str = "sepal.graph";
const META: &str = "sepal.meta";
const PROGRESS: &str = "sepal.progress";
/// Kind of the tensors with the gradient that waits for its update.
const ACCUMULATED: &str = "gradient";
/// The layout that this version writes and reads.
const LAYOUT: &str = "1";

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// Complete epochs.
    pub(crate) epoch: usize,
    /// Batches done of the epoch under way.
    pub(crate) batch: usize,
    /// Batches done since the start of the run.
    pub(crate) step: u64,
    /// Updates of the weights; fewer than steps where batches had no readable picture, or several make one.
    pub(crate) updates: u64,
    /// Pictures whose gradient waits for the next update.
    #[serde(default)]
    pub(crate) accumulated: u64,
    /// Seconds spent, interruptions left out.
    pub(crate) seconds: f64,
    /// Figures of the epoch under way.
    pub(crate) running: Running,
    /// Pictures skipped in the epoch under way.
    pub(crate) skipped: u64,
    /// The best epoch so far.
    pub(crate) best: Option<Best>,
    /// Complete epochs.
    pub(crate) history: Vec<EpochRow>,
    /// Weights of the classes in the loss, so that masks need not be counted again; empty where all count alike.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) class_weights: Vec<f32>,
    /// Number of pictures to train, validate and test on.
    pub(crate) pictures: [usize; 3],
}

/// What a run is and how far, without its weights.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The run's recipe, resolved.
    pub recipe: Recipe,
    /// The network.
    pub graph: Graph,
    /// Complete epochs' figures.
    pub history: Vec<EpochRow>,
    /// The best epoch so far.
    pub best: Option<Best>,
    /// Seconds spent, interruptions left out.
    pub seconds: f64,
    /// Whether nothing is left to train.
    pub finished: bool,
}

impl Summary {
    /// Reads what the state in the run folder `run` says, its tensors left where they are.
    ///
    /// # Errors
    /// As [`State::read`].
    pub fn read(run: &Path) -> Result<Self> {
        let file = state_file(run);
        if !file.is_file() {
            return Err(Error::NoState { run: run.to_owned(), file });
        }
        let Checked { recipe, graph, progress, .. } = Checked::new(&tensors::read_metadata(&file)?, &file)?;
        let finished = is_over(&recipe, &progress);
        let Progress { history, best, seconds, .. } = progress;
        Ok(Self { recipe, graph, history, best, seconds, finished })
    }
}

/// The strings of a state's file, understood.
struct Checked {
    recipe: Recipe,
    graph: Graph,
    meta: Meta,
    progress: Progress,
}

impl Checked {
    fn new(metadata: &BTreeMap<String, String>, file: &Path) -> Result<Self> {
        let text =
            |key: &str| metadata.get(key).ok_or_else(|| damaged(file, format!("'{key}' is missing from its metadata")));
        let found = text(VERSION)?;
        if found != LAYOUT {
            return Err(damaged(file, format!("its layout is version '{found}', this program reads {LAYOUT}")));
        }
        let recipe = Recipe::from_toml(text(RECIPE)?, &format!("{} ({RECIPE})", file.display()))?;
        let graph = json(text(GRAPH)?, GRAPH, file)?;
        let meta: Meta = json(text(META)?, META, file)?;
        let progress: Progress = json(text(PROGRESS)?, PROGRESS, file)?;
        meta.check(&graph)?;
        if progress.epoch > recipe.epochs || progress.history.len() != progress.epoch {
            let problem = format!(
                "{} epochs are done and {} recorded of {}",
                progress.epoch,
                progress.history.len(),
                recipe.epochs
            );
            return Err(damaged(file, problem));
        }
        Ok(Self { recipe, graph, meta, progress })
    }
}

/// A training state as its file has it.
#[derive(Debug)]
pub struct State {
    /// The run's recipe, resolved.
    pub recipe: Recipe,
    /// The network.
    pub graph: Graph,
    /// Its class names and preprocessing.
    pub meta: Meta,
    pub(crate) progress: Progress,
    run: PathBuf,
    tensors: BTreeMap<String, tensors::Stored>,
}

impl State {
    /// Reads the state in the run folder `run`.
    ///
    /// # Errors
    /// [`Error::NoState`] if there is none, [`Error::Format`] and [`Error::State`] for a file that is
    /// damaged or contradicts itself.
    pub fn read(run: &Path) -> Result<Self> {
        let file = state_file(run);
        if !file.is_file() {
            return Err(Error::NoState { run: run.to_owned(), file });
        }
        let Contents { metadata, tensors } = tensors::read(&file)?;
        let Checked { recipe, graph, meta, progress } = Checked::new(&metadata, &file)?;
        Ok(Self { recipe, graph, meta, progress, run: run.to_owned(), tensors })
    }

    /// The run folder it was read from.
    #[must_use]
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// Complete epochs.
    #[must_use]
    pub fn epochs_done(&self) -> usize {
        self.progress.epoch
    }

    /// Checks that the run may go on under `recipe`.
    ///
    /// # Errors
    /// [`Error::RecipeMismatch`] with every field that would change the weights.
    pub fn check_recipe(&self, recipe: &Recipe) -> Result<()> {
        let fields: Vec<FieldDiff> = self.recipe.differences(recipe);
        match fields.is_empty() {
            true => Ok(()),
            false => Err(Error::RecipeMismatch { run: self.run.clone(), fields }),
        }
    }

    /// Puts the stored numbers into place. All of them must fit, and none be left.
    pub(crate) fn restore(
        &mut self,
        params: &mut Params,
        optim: &mut Optim,
        accumulator: &mut Accumulator,
        ema: Option<&mut Ema>,
    ) -> Result<()> {
        let file = state_file(&self.run);
        let Params { slots, values, buffer_slots, buffers, .. } = params;
        let mut jobs: Vec<(&str, &[Slot], &mut [f32])> =
            vec![("value", slots, values), ("buffer", buffer_slots, buffers)];
        jobs.extend(optim.state_mut().map(|(name, buffer)| (name, &slots[..], &mut buffer[..])));
        if let Some(Ema { values, buffers, .. }) = ema {
            jobs.push(("ema", slots, values));
            jobs.push(("ema", buffer_slots, buffers));
        }
        if self.progress.accumulated > 0 {
            if accumulator.mean.is_empty() {
                return Err(damaged(&file, "it has gradients that wait, but the recipe does not accumulate".into()));
            }
            jobs.push((ACCUMULATED, slots, &mut accumulator.mean));
        }
        for (kind, slots, floats) in jobs {
            for slot in slots {
                let name = name(kind, slot);
                let Some(stored) = self.tensors.remove(&name) else {
                    return Err(damaged(&file, format!("tensor '{name}' is missing")));
                };
                if stored.shape != slot.shape || stored.data.len() != slot.range.len() {
                    let problem = format!("tensor '{name}' has shape {:?}, should have {:?}", stored.shape, slot.shape);
                    return Err(damaged(&file, problem));
                }
                floats[slot.range.clone()].copy_from_slice(&stored.data);
            }
        }
        match self.tensors.keys().next() {
            Some(name) => Err(damaged(&file, format!("tensor '{name}' does not belong to this run"))),
            None => Ok(()),
        }
    }
}

/// What a state is written from.
pub(crate) struct Snapshot<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) graph: &'a Graph,
    pub(crate) meta: &'a Meta,
    pub(crate) progress: &'a Progress,
    pub(crate) params: &'a Params,
    pub(crate) optim: &'a Optim,
    pub(crate) accumulator: &'a Accumulator,
    pub(crate) ema: Option<&'a Ema>,
}

impl Snapshot<'_> {
    /// Writes the state to `file`, complete or not at all.
    pub(crate) fn write(&self, file: &Path) -> sepal_formats::Result<()> {
        let text = |value: serde_json::Result<String>| {
            value.map_err(|error| sepal_formats::FormatError::Write {
                file: file.display().to_string(),
                source: error.into(),
            })
        };
        let metadata = BTreeMap::from([
            (VERSION.to_owned(), LAYOUT.to_owned()),
            (RECIPE.to_owned(), self.recipe.to_toml()),
            (GRAPH.to_owned(), text(serde_json::to_string(self.graph))?),
            (META.to_owned(), text(serde_json::to_string(self.meta))?),
            (PROGRESS.to_owned(), text(serde_json::to_string(self.progress))?),
        ]);
        let Params { slots, values, buffer_slots, buffers, .. } = self.params;
        let mut jobs: Vec<(&str, &[Slot], &[f32])> = vec![("value", slots, values), ("buffer", buffer_slots, buffers)];
        jobs.extend(self.optim.state().map(|(name, buffer)| (name, &slots[..], &buffer[..])));
        if let Some(Ema { values, buffers, .. }) = self.ema {
            jobs.push(("ema", slots, values));
            jobs.push(("ema", buffer_slots, buffers));
        }
        if self.progress.accumulated > 0 && !self.accumulator.mean.is_empty() {
            jobs.push((ACCUMULATED, slots, &self.accumulator.mean));
        }
        let names: Vec<String> =
            jobs.iter().flat_map(|(kind, slots, _)| slots.iter().map(|slot| name(kind, slot))).collect();
        let places = jobs
            .iter()
            .flat_map(|(_, slots, floats)| slots.iter().map(|slot| (&slot.shape[..], &floats[slot.range.clone()])));
        let list: Vec<_> = names.iter().zip(places).map(|(name, (shape, data))| (&name[..], shape, data)).collect();
        tensors::write(file, &list, &metadata)
    }
}

fn name(kind: &str, slot: &Slot) -> String {
    format!("{kind}:{}", slot.path)
}

fn damaged(file: &Path, problem: String) -> Error {
    Error::State { file: file.to_owned(), problem }
}

fn json<T: DeserializeOwned>(text: &str, key: &str, file: &Path) -> Result<T> {
    serde_json::from_str(text).map_err(|error| damaged(file, format!("'{key}' in its metadata: {error}")))
}
