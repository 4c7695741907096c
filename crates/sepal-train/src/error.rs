//! What can go wrong between a recipe and trained weights.

use std::path::PathBuf;

use crate::recipe::FieldDiff;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A hyper-parameter outside its range.
    #[error("recipe: {field} is {value}, must be {expected}")]
    Recipe {
        /// The field's dotted name, as in the TOML file.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        expected: String,
    },
    /// A recipe that is not TOML, or has an unknown field or a value of the wrong type.
    #[error("{file}: {source}")]
    RecipeSyntax {
        /// The file, or what stands for it.
        file: String,
        /// Line, column and cause.
        source: Box<toml::de::Error>,
    },
    /// A recipe that does not exist.
    #[error("no recipe is called '{name}'; there are: {there}")]
    NoRecipe {
        /// The name looked for.
        name: String,
        /// The names there are.
        there: String,
    },
    /// A glob of the recipe that is no glob or selects nothing.
    #[error("recipe: {field}: '{glob}' {problem}")]
    Glob {
        /// The field.
        field: &'static str,
        /// The glob.
        glob: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Errors of domains that cannot be scored against their baselines.
    #[error("domain '{domain}': {problem}")]
    Score {
        /// The domain.
        domain: String,
        /// Why.
        problem: String,
    },
    /// A resumed run was given another recipe than it was started with.
    #[error("{} was started with another recipe:{}", run.display(), show_diffs(fields))]
    RecipeMismatch {
        /// The run folder.
        run: PathBuf,
        /// Every field that differs.
        fields: Vec<FieldDiff>,
    },
    /// A resumed run finds other data than it was started with.
    #[error("{} was started on other data: {what} was {before}, is {now}", run.display())]
    DataMismatch {
        /// The run folder.
        run: PathBuf,
        /// What differs.
        what: &'static str,
        /// At the start.
        before: String,
        /// Now.
        now: String,
    },
    /// Nothing is left to do in the run.
    #[error("{} is finished after {epochs} epochs; start a new run from its weights with --init {}", run.display(), run.display())]
    Finished {
        /// The run folder.
        run: PathBuf,
        /// Its epochs.
        epochs: usize,
    },
    /// A folder without a training state.
    #[error("{} cannot be resumed: it holds no training state ({})", run.display(), file.display())]
    NoState {
        /// The run folder.
        run: PathBuf,
        /// The file looked for.
        file: PathBuf,
    },
    /// A training state that contradicts itself or its network.
    #[error("{}: {problem}", file.display())]
    State {
        /// The state's file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Another process trains in the run folder.
    #[error("{} is in use: another process is training in it", run.display())]
    InUse {
        /// The run folder.
        run: PathBuf,
    },
    /// The folder for a new run is in use.
    #[error("{} exists and is not empty: choose another --out, or continue that run with --resume {}", path.display(), path.display())]
    OutNotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A checkpoint could not be written; the one before it is intact.
    #[error("cannot write the checkpoint: {source} (the last complete checkpoint is intact; free some room and use --resume {})", run.display())]
    Checkpoint {
        /// The run folder.
        run: PathBuf,
        /// Path and cause.
        source: Box<sepal_formats::FormatError>,
    },
    /// Loss or gradient is not a number any more.
    #[error(
        "training diverged in epoch {epoch}, step {step}: the {what} is {value}; lower the learning rate (now {lr:.3e}), lengthen the warm-up or set clip_grad"
    )]
    Diverged {
        /// Epoch, from 1.
        epoch: usize,
        /// Step of the run, from 1.
        step: u64,
        /// Loss or gradient norm.
        what: &'static str,
        /// Its value.
        value: f64,
        /// The learning rate of the step.
        lr: f64,
    },
    /// The graph has something training cannot do.
    #[error("node `{path}`: {what}")]
    Unsupported {
        /// The node's path.
        path: String,
        /// What it asks for, and what would be right.
        what: String,
    },
    /// A batch does not fit the network.
    #[error("{0}")]
    Batch(String),
    /// Network and data do not fit each other.
    #[error("{0}")]
    Mismatch(String),
    /// Not one picture of a set could be read.
    #[error("none of the {pictures} pictures could be read; the first: {first}")]
    NoPictures {
        /// How many there are.
        pictures: usize,
        /// Path and cause of the first.
        first: String,
    },
    /// The network's structure, weights or metadata.
    #[error(transparent)]
    Graph(#[from] sepal_graph::Error),
    /// A data set or a picture.
    #[error(transparent)]
    Data(#[from] sepal_data::DataError),
    /// A model file.
    #[error(transparent)]
    Format(#[from] sepal_formats::FormatError),
    /// The compiled network that validates.
    #[error(transparent)]
    Runtime(#[from] sepal_runtime::RuntimeError),
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    pub(crate) fn recipe(field: &'static str, value: impl ToString, expected: impl Into<String>) -> Self {
        Self::Recipe { field, value: value.to_string(), expected: expected.into() }
    }
}

fn show_diffs(fields: &[FieldDiff]) -> String {
    let line = |diff: &FieldDiff| format!("\n  {}: {} in the run, {} now", diff.field, diff.before, diff.now);
    fields.iter().map(line).collect()
}
