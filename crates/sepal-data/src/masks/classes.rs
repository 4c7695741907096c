//! What the values of masks mean.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::Deserialize;

use super::IGNORE;
use crate::error::{DataError, Result};

const MAX_FILE: u64 = 1 << 20;
/// Names of classes that stand for no class in a list that has no other way to say so.
const NO_CLASS: [&str; 5] = ["ignore", "ignored", "void", "unlabeled", "unlabelled"];

/// The classes of a data set with masks: names, colours, and which values and colours of mask files stand for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskClasses {
    pub(super) names: Vec<String>,
    pub(super) colors: Vec<[u8; 3]>,
    /// What a value of an indexed or grey mask means; `None` is an error.
    pub(super) values: Vec<Option<u8>>,
    /// What a colour of an RGB mask means.
    pub(super) by_color: HashMap<[u8; 3], u8>,
}

/// A class as a list of classes has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    color: Option<[u8; 3]>,
    value: Option<u8>,
}

/// What stands for no class: a value or a colour.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum NoClass {
    Value(u8),
    Color([u8; 3]),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u8),
    Many(Vec<NoClass>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    ignore: Option<OneOrMany>,
    class: Vec<Entry>,
}

impl MaskClasses {
    /// Classes whose index is the masks' value, [`IGNORE`] being none, in colours of their own.
    ///
    /// # Errors
    /// [`DataError::MaskClasses`] for more than 255 of them.
    pub fn numbered(names: Vec<String>) -> Result<Self> {
        let entries = names.into_iter().map(|name| Entry { name, color: None, value: None }).collect();
        Self::from_entries(Path::new("classes"), entries, &[])
    }

    /// Classes from a table: the value in masks, the name and the colour of each. Every other value and colour is no class.
    pub(crate) fn from_table(table: &[(&[u8], &str, [u8; 3])]) -> Self {
        let mut classes = Self {
            names: table.iter().map(|row| row.1.to_owned()).collect(),
            colors: table.iter().map(|row| row.2).collect(),
            values: vec![Some(IGNORE); 256],
            by_color: HashMap::from([([0; 3], IGNORE)]),
        };
        for (class, (values, _, color)) in (0..).zip(table) {
            for &value in *values {
                classes.values[usize::from(value)] = Some(class);
            }
            classes.by_color.insert(*color, class);
        }
        classes
    }

    /// Reads a list of classes: TOML (`[[class]]` tables with `name`, and `color` and `value` where masks have them;
    /// `ignore`, a value or a list of values and colours) or CSV (a header with `name`, and `r`, `g`, `b` and `value` where
    /// masks have them; a class called void, ignore or unlabelled is none). A class without a value has its place in the
    /// list for one.
    ///
    /// # Errors
    /// [`DataError::MaskClasses`] for a file that is not of this form, has no class, more than 255, or says two things of one
    /// name, value or colour; [`DataError::Io`].
    pub fn read(path: &Path) -> Result<Self> {
        let fail = |problem: String| DataError::MaskClasses { path: path.to_path_buf(), problem };
        let length = std::fs::metadata(path).map_err(|e| DataError::io(path, e))?.len();
        if length > MAX_FILE {
            return Err(fail(format!("{length} bytes are too many for a list of classes")));
        }
        let text = std::fs::read_to_string(path).map_err(|e| DataError::io(path, e))?;
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")) {
            let (entries, ignored) = csv(text.trim_start_matches('\u{feff}')).map_err(fail)?;
            return Self::from_entries(path, entries, &ignored);
        }
        let list: List = toml::from_str(&text).map_err(|e| fail(e.to_string()))?;
        let ignored = match list.ignore {
            None => vec![NoClass::Value(IGNORE)],
            Some(OneOrMany::One(value)) => vec![NoClass::Value(value)],
            Some(OneOrMany::Many(many)) => many,
        };
        Self::from_entries(path, list.class, &ignored)
    }

    fn from_entries(path: &Path, entries: Vec<Entry>, ignored: &[NoClass]) -> Result<Self> {
        let fail = |problem: String| Err(DataError::MaskClasses { path: path.to_path_buf(), problem });
        if entries.is_empty() || entries.len() > usize::from(IGNORE) {
            return fail(format!("{} classes, expected 1 to 255", entries.len()));
        }
        let others = default_colors(entries.len());
        let mut classes = Self {
            names: entries.iter().map(|entry| entry.name.trim().to_owned()).collect(),
            colors: entries.iter().zip(others).map(|(entry, other)| entry.color.unwrap_or(other)).collect(),
            values: vec![None; 256],
            by_color: HashMap::new(),
        };
        let mut seen = HashSet::new();
        if let Some(name) = classes.names.iter().find(|name| name.is_empty() || !seen.insert(*name)) {
            return fail(format!("the class name '{name}' is empty or named a second time"));
        }
        for (class, entry) in (0..IGNORE).zip(&entries) {
            let value = entry.value.unwrap_or(class);
            if classes.values[usize::from(value)].replace(class).is_some() {
                return fail(format!("two classes have the value {value}"));
            }
            if let Some(color) = entry.color
                && classes.by_color.insert(color, class).is_some()
            {
                return fail(format!("two classes have the colour {color:?}"));
            }
        }
        for no_class in ignored {
            let known = match no_class {
                NoClass::Value(value) => classes.values[usize::from(*value)].replace(IGNORE),
                NoClass::Color(color) => classes.by_color.insert(*color, IGNORE),
            };
            if known.is_some_and(|class| class != IGNORE) {
                return fail(format!("{no_class:?} is a class and ignored"));
            }
        }
        // Where nothing else is said, the value that cannot be a class is none.
        classes.values[usize::from(IGNORE)].get_or_insert(IGNORE);
        Ok(classes)
    }

    /// The same masks for a model whose classes are `names`, in that order.
    ///
    /// # Errors
    /// [`DataError::UnknownClasses`] if a class is not among them, [`DataError::MaskClasses`] for more than 255 of them.
    pub fn mapped(&self, names: &[String], path: &Path) -> Result<Self> {
        if names.len() > usize::from(IGNORE) {
            let problem = format!("{} classes, a mask can tell 255 apart", names.len());
            return Err(DataError::MaskClasses { path: path.to_path_buf(), problem });
        }
        let unknown: Vec<String> = self.names.iter().filter(|name| !names.contains(name)).cloned().collect();
        if !unknown.is_empty() {
            return Err(DataError::UnknownClasses { path: path.to_path_buf(), unknown, known: names.to_vec() });
        }
        let place = |class: u8| {
            let name = self.names.get(usize::from(class));
            let place = name.and_then(|name| names.iter().position(|n| n == name));
            place.and_then(|place| u8::try_from(place).ok()).unwrap_or(IGNORE)
        };
        let mut colors = default_colors(names.len());
        for (class, color) in (0..).zip(&self.colors) {
            if let Some(of) = colors.get_mut(usize::from(place(class))) {
                *of = *color;
            }
        }
        Ok(Self {
            names: names.to_vec(),
            colors,
            values: self.values.iter().map(|value| value.map(place)).collect(),
            by_color: self.by_color.iter().map(|(color, class)| (*color, place(*class))).collect(),
        })
    }

    /// The classes' names, in the order of their indices.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Their colours: red, green, blue.
    pub fn colors(&self) -> &[[u8; 3]] {
        &self.colors
    }
}

/// A header and rows with `name`, `r`, `g`, `b` and `value`, in any order; the last four may be left out.
fn csv(text: &str) -> std::result::Result<(Vec<Entry>, Vec<NoClass>), String> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let cells = |line: &str| line.split(',').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let header: Vec<String> = cells(lines.next().map_or("", |(_, line)| line));
    let column = |name: &str| header.iter().position(|cell| cell.eq_ignore_ascii_case(name));
    let Some(name) = column("name").or(column("class")) else {
        return Err("the first line must name the columns: name, and r, g, b and value where masks have them".into());
    };
    let (color, value) = ([column("r"), column("g"), column("b")], column("value"));
    let (mut entries, mut ignored) = (Vec::new(), vec![NoClass::Value(IGNORE)]);
    for (number, line) in lines {
        let cells = cells(line);
        let byte = |column: usize| {
            let cell = cells.get(column).map_or("", String::as_str);
            cell.parse::<u8>().map_err(|_| format!("line {}: '{cell}' is no whole number of 0 to 255", number + 1))
        };
        let of_color = match color {
            [Some(r), Some(g), Some(b)] => Some([byte(r)?, byte(g)?, byte(b)?]),
            _ => None,
        };
        let of_value = value.map(byte).transpose()?;
        let of_name = cells.get(name).cloned().unwrap_or_default();
        if NO_CLASS.iter().any(|no_class| of_name.eq_ignore_ascii_case(no_class)) {
            ignored.extend(of_color.map(NoClass::Color));
            ignored.extend(of_value.map(NoClass::Value));
            continue;
        }
        entries.push(Entry { name: of_name, color: of_color, value: of_value });
    }
    Ok((entries, ignored))
}

/// Colours that are told apart easily: hues a golden section of the circle away from each other, in three steps of lightness.
/// The first is dark grey, for a background.
pub fn default_colors(count: usize) -> Vec<[u8; 3]> {
    (0..count)
        .map(|class| {
            let Some(at) = class.checked_sub(1) else { return [64; 3] };
            let hue = (at as f64 * 0.618_033_988_75).fract() * 6.0;
            let value = [1.0, 0.8, 0.6][at / 6 % 3];
            let channel = |shift: f64| {
                let at = (hue + shift) % 6.0;
                let share = (2.0 - (at - 3.0).abs()).clamp(0.0, 1.0);
                (255.0 * value * (1.0 - 0.85 * share)).round() as u8
            };
            [channel(0.0), channel(2.0), channel(4.0)]
        })
        .collect()
}
