//! The crate's error.

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can be wrong with a spec or a request to build it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No network has this name.
    #[error("unknown network `{name}`{}; there are: {}", hint(nearest), valid.join(", "))]
    UnknownNetwork {
        /// The name given.
        name: String,
        /// The nearest names, best first.
        nearest: Vec<&'static str>,
        /// All names.
        valid: Vec<&'static str>,
    },
    /// The network has no option of this name.
    #[error("`{network}` has no option `{option}`{}; its options are: {}", hint(nearest), valid.join(", "))]
    UnknownOption {
        /// The network.
        network: &'static str,
        /// The option given.
        option: String,
        /// The nearest names, best first.
        nearest: Vec<&'static str>,
        /// All options of the network.
        valid: Vec<&'static str>,
    },
    /// An option has a value that it does not take.
    #[error("`{network}`: {option}={value} is not possible{}; {option} is {expected}", hint(nearest))]
    BadValue {
        /// The network.
        network: &'static str,
        /// The option.
        option: &'static str,
        /// The value given.
        value: String,
        /// The nearest values, best first.
        nearest: Vec<&'static str>,
        /// What it takes.
        expected: String,
    },
    /// An option is given twice.
    #[error("option `{option}` is given twice in `{spec}`")]
    RepeatedOption {
        /// The whole spec.
        spec: String,
        /// The option.
        option: String,
    },
    /// A spec cannot be read.
    #[error(
        "cannot read `{part}` in `{spec}`: a spec is a name with options, as in `mobilenet_v1:width=0.5,between=none`"
    )]
    Syntax {
        /// The whole spec.
        spec: String,
        /// The part that cannot be read.
        part: String,
    },
    /// A classifier of fewer than two classes.
    #[error("a classifier needs at least 2 classes, got {classes}")]
    Classes {
        /// The number given.
        classes: usize,
    },
    /// A network cannot be built as asked.
    #[error("cannot build `{spec}` for images of {height}×{width} pixels: {error}")]
    Build {
        /// The network and its options.
        spec: String,
        /// Height of the input.
        height: usize,
        /// Width of the input.
        width: usize,
        /// What is wrong, with the node's path.
        error: Box<sepal_graph::Error>,
    },
    /// A pattern of paths is none, or selects nothing.
    #[error("`{glob}` {problem}")]
    Glob {
        /// The pattern.
        glob: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Something is wrong with a graph.
    #[error(transparent)]
    Graph(#[from] sepal_graph::Error),
}

/// `, did you mean …?`, if anything is near.
fn hint(nearest: &[&'static str]) -> String {
    match nearest {
        [] => String::new(),
        names => format!(", did you mean `{}`?", names.join("` or `")),
    }
}

/// Up to three of `valid` that are near to `name`, best first.
pub(crate) fn nearest(name: &str, valid: &[&'static str]) -> Vec<&'static str> {
    let name: String = name.to_lowercase().chars().take(64).collect();
    let near = |candidate: &&'static str| {
        let candidate = *candidate;
        let begins = name.len() >= 3 && candidate.starts_with(&name);
        let score = strsim::normalized_damerau_levenshtein(&name, candidate);
        let score = if begins { score.max(0.9) } else { score };
        (score, candidate)
    };
    let mut scored: Vec<_> = valid.iter().map(near).filter(|(s, _)| *s >= 0.55).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}
