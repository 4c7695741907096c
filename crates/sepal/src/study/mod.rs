//! Studies: what the surveys and papers claim, looked at on this machine.
//!
//! A study is a file here and a row in [`studies`]: a name, the claim, and what computes figures and a picture.

mod gridding;

use std::path::Path;

pub use gridding::{Branch, Gridding, gridding, gridding_svg};
use serde::Serialize;

/// What a study came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Findings {
    /// Figures by name.
    pub figures: Vec<Finding>,
    /// Whether they bear the claim out.
    pub holds: bool,
    /// Pictures, by the names of their files, as SVG.
    #[serde(skip)]
    pub pictures: Vec<(&'static str, String)>,
}

/// A figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: f64,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Study {
    /// Its name.
    pub name: &'static str,
    /// What is claimed, and by whom.
    pub claim: &'static str,
    /// Computes it.
    pub run: fn() -> Result<Findings, StudyError>,
}

/// Why a study could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// The network that is studied.
    #[error(transparent)]
    Graph(#[from] sepal_graph::Error),
    /// Its options.
    #[error(transparent)]
    Zoo(#[from] sepal_zoo::Error),
    /// Compiling or running it.
    #[error(transparent)]
    Runtime(#[from] sepal_runtime::RuntimeError),
    /// Writing what was found.
    #[error(transparent)]
    Write(#[from] sepal_formats::FormatError),
}

/// All studies.
#[must_use]
pub fn studies() -> &'static [Study] {
    &[gridding::STUDY]
}

impl Findings {
    /// Writes the pictures to `folder`; their paths' names in order.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<Vec<String>, StudyError> {
        let mut files = Vec::new();
        for (name, svg) in &self.pictures {
            let file = folder.join(name);
            sepal_formats::atomic::write(&file, |w| w.write_all(svg.as_bytes()))?;
            files.push(file.display().to_string());
        }
        Ok(files)
    }
}
