//! Do weights fit a graph?

use std::fmt::Write as _;

use super::Weights;
use crate::shape::show_dims;
use crate::{Error, Graph, ParamSpec, Result, Role};

/// Names compared for the nearest: beyond this a file is of another network altogether, and
/// comparing all pairs would take long.
const MAX_COMPARED: usize = 64;
/// Lines per kind in the message.
const MAX_SHOWN: usize = 20;

impl Weights {
    /// Checks that there is a tensor of the right shape for every parameter of the graph, and
    /// none besides.
    ///
    /// # Errors
    /// [`Error::Mismatch`] with everything missing, unexpected and misshapen.
    pub fn check(&self, graph: &Graph) -> Result<()> {
        let specs = graph.params()?;
        let mut missing = Vec::new();
        let mut misshapen = Vec::new();
        for spec in &specs {
            match self.0.get(&spec.path) {
                None => missing.push(spec.path.clone()),
                Some(tensor) if tensor.shape() != spec.shape => {
                    let found = tensor.shape().to_vec();
                    misshapen.push((spec.path.clone(), spec.shape.clone(), found));
                }
                Some(_) => {}
            }
        }
        let known: std::collections::HashSet<&str> = specs.iter().map(|spec| spec.path.as_str()).collect();
        let unexpected: Vec<String> = (self.0.keys()).filter(|path| !known.contains(path.as_str())).cloned().collect();
        if missing.is_empty() && unexpected.is_empty() && misshapen.is_empty() {
            return Ok(());
        }
        Err(Error::mismatch(graph.name.clone(), &missing, &unexpected, misshapen))
    }

    /// Checks that no tensor holds NaN or an infinity.
    ///
    /// # Errors
    /// [`Error::NotFinite`] with the tensor's name, the index and the value.
    pub fn check_finite(&self) -> Result<()> {
        for (path, tensor) in self.iter() {
            if let Some(index) = tensor.data().iter().position(|v| !v.is_finite()) {
                return Err(Error::NotFinite {
                    path: path.to_owned(),
                    index,
                    value: tensor.data().get(index).copied().unwrap_or(f32::NAN),
                });
            }
        }
        Ok(())
    }

    /// Checks that no running variance of the graph's norms is negative.
    ///
    /// # Errors
    /// [`Error::NegativeVariance`] with the tensor's name, the index and the value.
    pub fn check_variances(&self, graph: &Graph) -> Result<()> {
        self.check_variances_of(&graph.params()?)
    }

    /// Checks that none of the running variances among `specs` is negative.
    ///
    /// # Errors
    /// As [`Weights::check_variances`], and for a tensor that is not there.
    pub fn check_variances_of(&self, specs: &[ParamSpec]) -> Result<()> {
        for spec in specs.iter().filter(|spec| spec.role == Role::NormVar) {
            let values = self.get(&spec.path)?.data().iter().enumerate();
            if let Some((index, &value)) = values.into_iter().find(|(_, v)| **v < 0.0) {
                return Err(Error::NegativeVariance { path: spec.path.clone(), index, value });
            }
        }
        Ok(())
    }
}

impl Error {
    /// [`Error::Mismatch`] for a graph of that name, each name with the nearest of the opposite kind.
    #[must_use]
    pub fn mismatch(
        graph: String,
        missing: &[String],
        unexpected: &[String],
        misshapen: Vec<(String, Vec<usize>, Vec<usize>)>,
    ) -> Self {
        let pair = |names: &[String], others: &[String]| {
            let near = |(i, name): (usize, &String)| {
                let others = others.iter().take(MAX_COMPARED);
                let near = (i < MAX_COMPARED).then(|| nearest(name, others)).flatten();
                (name.clone(), near)
            };
            names.iter().enumerate().map(near).collect()
        };
        Self::Mismatch { graph, missing: pair(missing, unexpected), unexpected: pair(unexpected, missing), misshapen }
    }
}

/// The nearest of `names` by edit distance, if it is near at all.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a String>) -> Option<String> {
    let name: String = name.chars().take(256).collect();
    names
        .filter(|other| other.len() <= 256)
        .map(|other| (strsim::normalized_levenshtein(&name, other), other))
        .filter(|(near, _)| *near > 0.4)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, other)| other.clone())
}

/// The body of [`Error::Mismatch`]'s message: one line per tensor, the first few of each kind.
pub(crate) fn show_mismatch(
    missing: &[(String, Option<String>)],
    unexpected: &[(String, Option<String>)],
    misshapen: &[(String, Vec<usize>, Vec<usize>)],
) -> String {
    let mut text = String::new();
    let near = |near: &Option<String>| near.as_ref().map_or(String::new(), |near| format!(" (nearest: `{near}`)"));
    let lines = [
        list("missing", missing, |(name, other)| format!("`{name}`{}", near(other))),
        list("unexpected", unexpected, |(name, other)| format!("`{}`{}", name.escape_debug(), near(other))),
        list("wrong shape", misshapen, |(name, want, got)| {
            format!("`{name}` should be {}, is {}", show_dims(want), show_dims(got))
        }),
    ];
    for line in lines.iter().flatten() {
        let _ = write!(text, "\n  {line}");
    }
    text
}

fn list<T>(kind: &str, items: &[T], show: impl Fn(&T) -> String) -> Vec<String> {
    let shown = items.iter().take(MAX_SHOWN);
    let mut lines: Vec<String> = shown.map(|item| format!("{kind}: {}", show(item))).collect();
    if items.len() > MAX_SHOWN {
        lines.push(format!("{kind}: and {} more", items.len() - MAX_SHOWN));
    }
    lines
}
