//! Which parameters a recipe leaves as they are.

use std::collections::HashSet;

use sepal_graph::{Graph, Sharing};

use crate::error::Result;
use crate::groups::Globs;
use crate::params::Params;
use crate::recipe::Recipe;

/// Freezes what the recipe's globs match, and what its protocol shares with the trunk.
///
/// # Errors
/// [`Error::Glob`](crate::Error::Glob) for a `freeze` that is no glob or matches nothing;
/// [`Error::Graph`](crate::Error::Graph) for a network that the protocol is not for.
pub(crate) fn freeze(params: &mut Params, graph: &Graph, recipe: &Recipe) -> Result<()> {
    let globs = Globs::new("freeze", &recipe.freeze)?;
    globs.check_used(params.slots.iter().chain(&params.buffer_slots))?;
    let shared = recipe.protocol.map(|protocol| Sharing::new(protocol, graph)).transpose()?;
    let shared: HashSet<String> = shared.into_iter().flat_map(|sharing| sharing.shared).map(|spec| spec.path).collect();
    params.freeze(|path| globs.matches(path) || shared.contains(path));
    Ok(())
}
