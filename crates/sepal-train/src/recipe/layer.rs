//! Recipes over recipes.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::Recipe;
use super::named::find_recipe;
use crate::error::{Error, Result};

/// A chain of bases longer than this goes in a circle.
const MAX_BASES: usize = 8;

/// The fields that a recipe file, or a named recipe, sets; its bases' among them.
///
/// A file may say `base = "NAME"` with the name of a recipe: what it does not set itself comes from there. A table
/// (`[augment]`, `[optimizer]`) is taken whole.
#[derive(Debug, Clone)]
pub struct Layer {
    table: toml::Table,
    recipe: Recipe,
}

/// The part of a file that is no hyper-parameter.
#[derive(Deserialize)]
struct Head {
    base: Option<Spanned<String>>,
}

impl Layer {
    /// Parses TOML; `file` stands for it in errors.
    ///
    /// # Errors
    /// Not TOML, an unknown field or a wrong type, with line and column; [`Error::NoRecipe`] for a base that is not
    /// there; what [`Recipe::check`] finds.
    pub fn from_toml(text: &str, file: &str) -> Result<Self> {
        let layer = Self::parse(text, file, 0)?;
        layer.recipe.check()?;
        Ok(layer)
    }

    fn parse(text: &str, file: &str, depth: usize) -> Result<Self> {
        let fail = |source| Error::RecipeSyntax { file: file.to_owned(), source: Box::new(source) };
        let Head { base } = toml::from_str(text).map_err(fail)?;
        let Some(base) = base else {
            let recipe = toml::from_str(text).map_err(fail)?;
            return Ok(Self { table: toml::from_str(text).map_err(fail)?, recipe });
        };
        let name = base.get_ref();
        let named = find_recipe(name)?;
        if depth == MAX_BASES {
            return Err(Error::recipe("base", name, "a recipe whose bases come to an end"));
        }
        // Without that line, but with as many, so that errors name the right ones.
        let start = text[..base.span().start].rfind('\n').map_or(0, |at| at + 1);
        let rest = format!("{}{}", &text[..start], &text[base.span().end..]);
        let _: Recipe = toml::from_str(&rest).map_err(fail)?;
        let mut table = Self::parse(named.toml, named.name, depth + 1)?.table;
        table.extend(toml::from_str::<toml::Table>(&rest).map_err(fail)?);
        let recipe = table.clone().try_into().map_err(fail)?;
        Ok(Self { table, recipe })
    }

    /// Reads a TOML file.
    ///
    /// # Errors
    /// The file cannot be read, and those of [`Layer::from_toml`].
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::io(path, source))?;
        Self::from_toml(&text, &path.display().to_string())
    }

    /// Whether it sets the field, or table, called `key`.
    #[must_use]
    pub fn sets(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// What it sets, over [`Recipe::default`].
    #[must_use]
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// What it sets, over `base`.
    ///
    /// # Errors
    /// What [`Recipe::check`] finds.
    pub fn over(&self, base: &Recipe) -> Result<Recipe> {
        let fail = |source| Error::RecipeSyntax { file: "recipe".into(), source: Box::new(source) };
        let mut table: toml::Table = toml::from_str(&base.to_toml()).map_err(fail)?;
        table.extend(self.table.iter().map(|(key, value)| (key.clone(), value.clone())));
        let recipe: Recipe = table.try_into().map_err(fail)?;
        recipe.check()?;
        Ok(recipe)
    }
}
