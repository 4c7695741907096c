//! Class names, preprocessing and provenance as the file's metadata.
//!
//! Keys are those that other exporters use: `names` (`{0: "cat", 1: "dog"}`, which Python and YAML read alike), `task`,
//! `imgsz`, `mean`, `std`, `interpolation`, `crop_pct`, `color_order`, `palette` (the colours of a segmenter's classes); `resize` tells how a picture is brought to size.
//! Every other key is a line of provenance, such as `author`, `date`, `version` or `license`.

use std::collections::BTreeMap;

use sepal_graph::{ColorOrder, Filter, Graph, Meta, Preprocessing, Resize, Task};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::literal;
use super::proto::StringStringEntryProto;

const NAMES: &str = "names";
const TASK: &str = "task";
const SIZE: &str = "imgsz";
const MEAN: &str = "mean";
const STD: &str = "std";
const FILTER: &str = "interpolation";
const CROP: &str = "crop_pct";
const RESIZE: &str = "resize";
const COLORS: &str = "color_order";
const PALETTE: &str = "palette";
const KEYS: [&str; 10] = [NAMES, TASK, SIZE, MEAN, STD, FILTER, CROP, RESIZE, COLORS, PALETTE];
/// Before a line of provenance whose key is one of those above.
const PROVENANCE: &str = "provenance.";

/// The metadata's entries in the order of their keys.
pub(super) fn write(meta: &Meta) -> Vec<StringStringEntryProto> {
    let mut entries = BTreeMap::new();
    entries.insert(TASK.to_owned(), word(&meta.task));
    if !meta.classes.is_empty() {
        let quote = |name: &String| serde_json::Value::from(name.as_str()).to_string();
        let list: Vec<String> =
            meta.classes.iter().enumerate().map(|(i, name)| format!("{i}: {}", quote(name))).collect();
        entries.insert(NAMES.to_owned(), format!("{{{}}}", list.join(", ")));
    }
    if !meta.colors.is_empty() {
        entries.insert(PALETTE.to_owned(), format!("{:?}", meta.colors));
    }
    if let Some(pre) = &meta.preprocessing {
        entries.insert(SIZE.to_owned(), format!("{:?}", pre.size));
        entries.insert(MEAN.to_owned(), format!("{:?}", pre.mean));
        entries.insert(STD.to_owned(), format!("{:?}", pre.std));
        entries.insert(FILTER.to_owned(), word(&pre.filter));
        entries.insert(COLORS.to_owned(), word(&pre.color_order));
        let resize = match pre.resize {
            Resize::ShortSide { crop_pct } => {
                entries.insert(CROP.to_owned(), crop_pct.to_string());
                "short_side"
            }
            Resize::Squash => "squash",
            Resize::Exact => "exact",
        };
        entries.insert(RESIZE.to_owned(), resize.to_owned());
    }
    for (key, value) in &meta.provenance {
        let taken = KEYS.contains(&key.as_str()) || key.starts_with(PROVENANCE);
        let key = if taken { format!("{PROVENANCE}{key}") } else { key.clone() };
        entries.insert(key, value.clone());
    }
    let entry = |(key, value)| StringStringEntryProto { key: Some(key), value: Some(value) };
    entries.into_iter().map(entry).collect()
}

/// What the entries say as far as it can be understood and fits the graph; other tools' files need not say anything.
pub(super) fn read(entries: &[StringStringEntryProto], graph: &Graph) -> Meta {
    let mut map: BTreeMap<&str, &str> = BTreeMap::new();
    for entry in entries {
        map.insert(entry.key.as_deref().unwrap_or_default(), entry.value.as_deref().unwrap_or_default());
    }
    let mut meta = Meta {
        task: map.get(TASK).and_then(|text| parse_word::<Task>(text)).unwrap_or_default(),
        classes: map.get(NAMES).and_then(|text| literal::names(text)).unwrap_or_default(),
        colors: map.get(PALETTE).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
        preprocessing: preprocessing(&map),
        provenance: BTreeMap::new(),
    };
    for (key, value) in &map {
        if let Some(key) = key.strip_prefix(PROVENANCE) {
            meta.provenance.insert(key.to_owned(), (*value).to_owned());
        } else if !KEYS.contains(key) {
            meta.provenance.insert((*key).to_owned(), (*value).to_owned());
        }
    }
    if meta.check(graph).is_err() {
        // Names of something else than the output's channels, as detectors have them.
        meta.classes.clear();
        meta.colors.clear();
    }
    if meta.check(graph).is_err() {
        meta.preprocessing = None;
    }
    meta
}

/// Height and width of the input according to `imgsz`, for a file whose graph leaves them open.
pub(super) fn input_size(entries: &[StringStringEntryProto]) -> Option<[usize; 2]> {
    let entry = entries.iter().find(|entry| entry.key.as_deref() == Some(SIZE))?;
    size(entry.value.as_deref()?)
}

fn size(text: &str) -> Option<[usize; 2]> {
    serde_json::from_str(text).ok().or_else(|| serde_json::from_str(text).ok().map(|side: usize| [side, side]))
}

fn preprocessing(map: &BTreeMap<&str, &str>) -> Option<Preprocessing> {
    let numbers = |key| map.get(key).and_then(|text| serde_json::from_str::<[f32; 3]>(text).ok());
    let crop = map.get(CROP).and_then(|text| text.parse().ok());
    let short_side = || Resize::ShortSide { crop_pct: crop.unwrap_or(1.0) };
    let resize = match map.get(RESIZE).copied() {
        Some("squash") => Resize::Squash,
        Some("exact") => Resize::Exact,
        _ => short_side(),
    };
    Some(Preprocessing {
        size: size(map.get(SIZE)?)?,
        mean: numbers(MEAN)?,
        std: numbers(STD)?,
        resize,
        filter: map.get(FILTER).and_then(|text| parse_word::<Filter>(text)).unwrap_or_default(),
        color_order: map.get(COLORS).and_then(|text| parse_word::<ColorOrder>(text)).unwrap_or_default(),
    })
}

/// The name that a choice has in files.
fn word(choice: &impl Serialize) -> String {
    match serde_json::to_value(choice) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

fn parse_word<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(serde_json::Value::from(text)).ok()
}
