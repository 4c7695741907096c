//! The run folder.
//!
//! | file | content |
//! |---|---|
//! | `recipe.toml` | the resolved recipe |
//! | `results.csv` | a row for each epoch |
//! | `weights/last.safetensors` | the model after the latest epoch |
//! | `weights/best.safetensors` | the model of the epoch best on the validation set; the latest if there is none |
//! | `state.safetensors` | all that resuming needs |
//!
//! Every file is complete or absent. At a checkpoint the state is written last: until it stands, the
//! state before it leads to the same files again, so a run may be killed between any two writes.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use sepal_formats::{atomic, native};
use sepal_graph::Model;

use crate::error::{Error, Result};
use crate::history::{EpochRow, write_csv};
use crate::recipe::Recipe;

const RECIPE: &str = "recipe.toml";
const RESULTS: &str = "results.csv";
const STATE: &str = "state.safetensors";
const WEIGHTS: &str = "weights";
const LAST: &str = "weights/last.safetensors";
const BEST: &str = "weights/best.safetensors";
/// Names tried after the first before giving up.
const MAX_NAMES: usize = 100_000;

/// The folder of one run, held by one process at a time.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Locked while this lives; the system lets go of it when the process dies.
    _held: File,
}

impl RunFolder {
    /// Makes `root/name`, or `root/name-2`, `root/name-3`… if that is taken, and writes the recipe to it.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] if the folder or the file cannot be made.
    pub fn create_named(root: &Path, name: &str, recipe: &Recipe) -> Result<Self> {
        fs::create_dir_all(root).map_err(|source| Error::io(root, source))?;
        for number in 1..=MAX_NAMES {
            let path = root.join(if number == 1 { name.to_owned() } else { format!("{name}-{number}") });
            match fs::create_dir(&path) {
                Ok(()) => return Self::fill(path, recipe),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io(path, error)),
            }
        }
        Err(Error::OutNotEmpty { path: root.join(name) })
    }

    /// Makes the folder at `path`, which may exist if it is empty, and writes the recipe to it.
    ///
    /// # Errors
    /// [`Error::OutNotEmpty`]; [`Error::Io`] or [`Error::Format`] if the folder or the file cannot be made.
    pub fn create(path: &Path, recipe: &Recipe) -> Result<Self> {
        fs::create_dir_all(path).map_err(|source| Error::io(path, source))?;
        let mut entries = fs::read_dir(path).map_err(|source| Error::io(path, source))?;
        match entries.next() {
            Some(_) => Err(Error::OutNotEmpty { path: path.to_owned() }),
            None => Self::fill(path.to_owned(), recipe),
        }
    }

    fn fill(path: PathBuf, recipe: &Recipe) -> Result<Self> {
        let weights = path.join(WEIGHTS);
        fs::create_dir_all(&weights).map_err(|source| Error::io(weights, source))?;
        let text = recipe.resolved().to_toml();
        atomic::write(path.join(RECIPE), |w| w.write_all(text.as_bytes()))?;
        Self::hold(path)
    }

    /// The folder of a run to be resumed.
    ///
    /// # Errors
    /// [`Error::NoState`] if it is no run that can be resumed, [`Error::InUse`] if another process is at
    /// it, [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self> {
        let file = path.join(STATE);
        if !file.is_file() {
            return Err(Error::NoState { run: path.to_owned(), file });
        }
        let weights = path.join(WEIGHTS);
        fs::create_dir_all(&weights).map_err(|source| Error::io(weights, source))?;
        Self::hold(path.to_owned())
    }

    fn hold(path: PathBuf) -> Result<Self> {
        let state = path.join(RECIPE);
        let held = File::open(&state).map_err(|source| Error::io(state, source))?;
        match held.try_lock() {
            Err(TryLockError::WouldBlock) => Err(Error::InUse { run: path }),
            // Not every file system has locks.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self { path, _held: held }),
        }
    }

    /// Whether a process is at the run in the folder `path`. Where the file system has no locks nobody seems to be.
    #[must_use]
    pub fn is_in_use(path: &Path) -> bool {
        let held = File::open(path.join(RECIPE)).map(|file| file.try_lock_shared());
        matches!(held, Ok(Err(TryLockError::WouldBlock)))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model after the latest epoch.
    #[must_use]
    pub fn last(&self) -> PathBuf {
        self.path.join(LAST)
    }

    /// The model of the best epoch.
    #[must_use]
    pub fn best(&self) -> PathBuf {
        self.path.join(BEST)
    }

    /// What resuming needs.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.path.join(STATE)
    }

    pub(crate) fn write_last(&self, model: &Model) -> Result<()> {
        self.kept(native::write(model, self.last()))
    }

    pub(crate) fn write_best(&self, model: &Model) -> Result<()> {
        self.kept(native::write(model, self.best()))
    }

    pub(crate) fn write_results(&self, rows: &[EpochRow]) -> Result<()> {
        self.kept(atomic::write(self.path.join(RESULTS), |w| write_csv(rows, w)))
    }

    /// The result of writing part of a checkpoint.
    pub(crate) fn kept(&self, written: sepal_formats::Result<()>) -> Result<()> {
        written.map_err(|source| Error::Checkpoint { run: self.path.clone(), source: Box::new(source) })
    }
}

/// The training state in the run folder `run`.
pub(crate) fn state_file(run: &Path) -> PathBuf {
    run.join(STATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_is_numbered() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("runs");
        let recipe = Recipe::default();
        let names: Vec<_> = (0..3)
            .map(|_| RunFolder::create_named(&root, "net", &recipe).unwrap().path().file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["net", "net-2", "net-3"]);
        let written = Recipe::read(&root.join("net-2/recipe.toml")).unwrap();
        assert_eq!(written, recipe.resolved());
        assert!(root.join("net/weights").is_dir());
    }

    #[test]
    fn a_folder_in_use_is_refused_and_an_empty_one_taken() {
        let dir = tempfile::tempdir().unwrap();
        let (full, empty) = (dir.path().join("full"), dir.path().join("empty"));
        fs::create_dir_all(&full).unwrap();
        fs::create_dir_all(&empty).unwrap();
        fs::write(full.join("notes.txt"), "mine").unwrap();
        let text = RunFolder::create(&full, &Recipe::default()).unwrap_err().to_string();
        assert!(text.contains("full exists and is not empty") && text.contains("--resume"), "{text}");
        assert_eq!(fs::read_dir(&full).unwrap().count(), 1);
        RunFolder::create(&empty, &Recipe::default()).unwrap();
        RunFolder::create(&dir.path().join("a/new/one"), &Recipe::default()).unwrap();
    }

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunFolder::create(&dir.path().join("run"), &Recipe::default()).unwrap();
        let text = RunFolder::open(run.path()).unwrap_err().to_string();
        assert!(text.contains("no training state") && text.contains("state.safetensors"), "{text}");
        fs::write(run.state(), "").unwrap();
        assert!(RunFolder::is_in_use(run.path()));
        let text = RunFolder::open(run.path()).unwrap_err().to_string();
        assert!(text.contains("another process"), "{text}");
        let path = run.path().to_owned();
        drop(run);
        assert!(!RunFolder::is_in_use(&path));
        RunFolder::open(&path).unwrap();
    }
}
