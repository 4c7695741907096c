//! `sepal recipes`: the recipes that have names.

use sepal_report::Table;
use sepal_train::{NamedRecipe, Recipe, find_recipe, named_recipes};
use serde::Serialize;

use super::train::{optimizer, schedule};
use crate::failure::Result;
use crate::output::Output;

/// List the recipes that have names, or print one as TOML
///
/// `sepal train --recipe NAME` trains by one; options override it, and so does a TOML file that says `base = "NAME"`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal recipes
  sepal recipes bsconv_u                       print it, to be saved and changed
  sepal recipes --json")]
pub(crate) struct Args {
    /// Print this recipe
    name: Option<String>,
}

#[derive(Serialize)]
struct Listing {
    recipes: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    title: &'static str,
    paper: &'static str,
    /// In a few words.
    sets: String,
    /// The fields it sets, as TOML.
    toml: &'static str,
    /// All fields with their values, the defaults for small pictures where it sets none.
    recipe: Recipe,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    if let Some(name) = &args.name {
        let recipe = find_recipe(name)?;
        out.text(recipe.toml.trim_end())?;
        return Ok(out.result(&row(recipe)?)?);
    }
    let recipes = named_recipes().iter().map(row).collect::<Result<Vec<Row>>>()?;
    let mut table = Table::new().left("name").left("trains").left("sets").left("paper");
    for row in &recipes {
        table.row([row.name, row.title, &row.sets, row.paper]);
    }
    out.text(&table)?;
    out.text("\n`sepal recipes NAME` prints one; `sepal train DATA --recipe NAME` trains by it.")?;
    Ok(out.result(&Listing { recipes })?)
}

fn row(named: &'static NamedRecipe) -> Result<Row> {
    let recipe = named.layer()?.recipe().resolved();
    let sets = format!(
        "{} px, {} × {}, {} {}, {}",
        recipe.size,
        recipe.epochs,
        recipe.batch,
        optimizer(&recipe.optimizer),
        recipe.lr(),
        schedule(&recipe.schedule),
    );
    let NamedRecipe { name, title, paper, toml } = *named;
    Ok(Row { name, title, paper, sets, toml, recipe })
}
