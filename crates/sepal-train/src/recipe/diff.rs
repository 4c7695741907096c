//! In which fields do two recipes differ?

use std::collections::BTreeMap;

use super::Recipe;

/// Fields without influence on the weights.
const IGNORED: [&str; 2] = ["workers", "strict"];
/// What stands for a field that one of the recipes lacks.
const ABSENT: &str = "absent";

/// A field that two recipes set differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDiff {
    /// Dotted name, as in the TOML file.
    pub field: String,
    /// Value in the first recipe.
    pub before: String,
    /// Value in the second.
    pub now: String,
}

/// The differences of two resolved recipes, in the order of the fields' names.
pub(super) fn differences(before: &Recipe, now: &Recipe) -> Vec<FieldDiff> {
    let (before, now) = (leaves(before), leaves(now));
    let fields: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let value = |of: &BTreeMap<String, String>, field: &String| of.get(field).map_or(ABSENT, String::as_str).to_owned();
    fields
        .into_iter()
        .filter(|field| !IGNORED.contains(&field.as_str()))
        .map(|field| FieldDiff { field: field.clone(), before: value(&before, field), now: value(&now, field) })
        .filter(|diff| diff.before != diff.now)
        .collect()
}

/// Every value of a recipe by its dotted name.
fn leaves(recipe: &Recipe) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    // A recipe always serialises; see `Recipe::to_toml`.
    if let Ok(table) = toml::Table::try_from(recipe) {
        walk("", &table, &mut leaves);
    }
    leaves
}

fn walk(prefix: &str, table: &toml::Table, leaves: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => walk(&name, inner, leaves),
            other => {
                leaves.insert(name, other.to_string());
            }
        }
    }
}
