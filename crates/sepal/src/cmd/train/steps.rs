//! Recipes in two steps: a network is trained from the weights of another, which is trained before it.

use std::path::{Path, PathBuf};

use sepal_train::find_recipe;
use sepal_zoo::Spec;

use super::args::Args;
use super::{recipe, start};
use crate::failure::{Failure, Result};

/// The first step of two.
pub(super) struct First {
    /// Its recipe.
    pub(super) name: String,
    /// The command line that trains it.
    pub(super) args: Args,
    /// Where its weights will be.
    pub(super) run: PathBuf,
}

/// The step before the one that `args` asks for, if its recipe has one. It has the same options; of a network's those that its own
/// network has, too.
pub(super) fn first(args: &Args) -> Result<Option<First>> {
    let Some(layer) = args.training.recipe.as_deref().map(recipe::layer).transpose()? else { return Ok(None) };
    let Some(name) = layer.recipe().first.clone() else { return Ok(None) };
    let before = find_recipe(&name)?.layer()?;
    let model = args.model.as_deref().unwrap_or(&layer.recipe().model);
    let run = match &args.training.files.out {
        Some(out) => beside(out)?,
        None => start::free(&name)?,
    };
    let mut first = args.clone();
    first.training.recipe = Some(PathBuf::from(&name));
    first.model = Some(shared(&model.parse()?, &before.recipe().model.parse()?)?);
    first.training.files.out = Some(run.clone());
    Ok(Some(First { name, args: first, run }))
}

/// The network `to` with the options of `from` that it has.
fn shared(from: &Spec, to: &Spec) -> Result<String> {
    let known = to.network().options;
    let options = from.options().iter().filter(|(row, _)| known.iter().any(|known| known.name == row.name));
    let options: Vec<String> = options.map(|(row, value)| format!("{}={value}", row.name)).collect();
    Ok(format!("{}:{}", to.network().name, options.join(",")).parse::<Spec>()?.to_string())
}

/// `out` with the ending of a first step.
fn beside(out: &Path) -> Result<PathBuf> {
    match out.file_name() {
        Some(name) => Ok(out.with_file_name(format!("{}-first", name.to_string_lossy()))),
        None => Err(Failure::usage(format!("{} is no name for a run folder", out.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_network_has_the_options_of_the_second_that_it_knows() {
        let shared = |from: &str| shared(&from.parse().unwrap(), &"espnet_c:p=2,q=8".parse().unwrap()).unwrap();
        assert_eq!(shared("espnet:p=3,q=3,level1=16,hff=no"), "espnet_c:p=3,q=3,hff=no");
        assert_eq!(beside(Path::new("runs/street")).unwrap(), Path::new("runs/street-first"));
        assert!(beside(Path::new("/")).is_err());
    }
}
