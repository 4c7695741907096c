//! The instruction set a command computes with.

use sepal_kernels::Level;

use crate::failure::{Failure, Result};

/// The environment variable that names one.
pub(crate) const VARIABLE: &str = "SEPAL_ISA";

/// The instruction set of this name, or the one everything uses by itself.
pub(crate) fn level(name: Option<&str>) -> Result<Level> {
    let Some(name) = name else { return Ok(Level::best()) };
    Level::named(name).ok_or_else(|| {
        let there: Vec<&str> = Level::available().into_iter().map(Level::name).collect();
        Failure::usage(format!("this processor has no instruction set `{name}`"))
            .hint(format!("it has: {}", there.join(", ")))
    })
}

/// Refuses what the environment names and this processor lacks, which the libraries would pass over.
pub(crate) fn check_environment() -> Result {
    let Some(name) = std::env::var_os(VARIABLE) else { return Ok(()) };
    level(Some(&name.to_string_lossy())).map(drop).map_err(|failure| failure.context(VARIABLE))
}
