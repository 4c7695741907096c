//! What changed since an earlier run.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use sepal_report::{Table, bytes};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::profile::Layer;
use super::report::{Report, dims, time};
use crate::failure::{Failure, Result};

/// A change of the median below this share is none, however little the samples of one run differ: two runs of one
/// program differ by as much.
const NOISE: f64 = 0.01;
/// Layers that are told, those whose time changed most.
const LAYERS: usize = 10;

/// What an earlier run reported, as far as it is compared. Versions that knew less reported less.
#[derive(Deserialize)]
struct Run {
    median_ms: f64,
    min_ms: f64,
    p25_ms: Option<f64>,
    p75_ms: Option<f64>,
    name: Option<String>,
    mode: Option<String>,
    threads: Option<u64>,
    batch: Option<u64>,
    isa: Option<String>,
    input: Option<Vec<usize>>,
    memory_bytes: Option<f64>,
    peak_rss_bytes: Option<f64>,
    load_ms: Option<f64>,
    compile_ms: Option<f64>,
    #[serde(default)]
    layers: Vec<Timed>,
}

#[derive(Deserialize)]
struct Timed {
    name: String,
    kind: String,
    ms: f64,
}

/// An earlier run and where it was read from.
pub(super) struct Earlier {
    file: String,
    run: Run,
}

impl Earlier {
    /// Reads the output of an earlier `sepal bench --json`: of the lines that are JSON objects the last one counts.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::failed(format!("cannot read the earlier run {file}: {error}")))?;
        match parse(&text) {
            Ok(run) => Ok(Self { file, run }),
            Err(reason) => Err(Failure::failed(format!("{file}: {reason}"))
                .hint("make one with `sepal bench … --json > FILE`, --profile for the layers")),
        }
    }

    /// What `now` does otherwise.
    pub(super) fn compare(self, now: &Report<'_>) -> Comparison {
        let Self { file, run } = self;
        let spread = spread(&run, now);
        let change = |before, after| Change { before, after };
        let median = change(run.median_ms, now.median_ms);
        let min = change(run.min_ms, now.min_ms);
        let both = |before: Option<f64>, after: Option<f64>| Some(Change { before: before?, after: after? });
        Comparison {
            verdict: Verdict::new(&median, &min, spread),
            differences: differences(&run, now),
            spread_ms: spread,
            median_ms: median,
            min_ms: min,
            load_ms: both(run.load_ms, Some(now.load_ms)),
            compile_ms: both(run.compile_ms, Some(now.compile_ms)),
            memory_bytes: both(run.memory_bytes, Some(now.memory_bytes as f64)),
            peak_rss_bytes: both(run.peak_rss_bytes, now.peak_rss_bytes.map(|peak| peak as f64)),
            layers: changed_layers(&run.layers, &now.layers),
            file,
        }
    }
}

fn parse(text: &str) -> std::result::Result<Run, String> {
    let object = |text: &str| serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
    let found = object(text).or_else(|| text.lines().rev().find_map(object));
    let found = found.ok_or("no line of it is a JSON object")?;
    if found["mode"] == "explain" {
        return Err("its last JSON object is of --explain, which times nothing".to_owned());
    }
    let no_output = |reason: String| format!("its last JSON object is not of `sepal bench --json`: {reason}");
    let run: Run = serde_json::from_value(found).map_err(|error| no_output(error.to_string()))?;
    let times = [("median_ms", run.median_ms), ("min_ms", run.min_ms)];
    match times.into_iter().find(|(_, ms)| *ms <= 0.0 || !ms.is_finite()) {
        Some((name, ms)) => Err(no_output(format!("`{name}` is {ms}, must be above 0"))),
        None => Ok(run),
    }
}

/// How far apart the medians of two equal programs may well be, in milliseconds: half of what lies between the
/// quartiles of either run, added.
fn spread(run: &Run, now: &Report<'_>) -> f64 {
    let before = match (run.p25_ms, run.p75_ms) {
        (Some(p25), Some(p75)) => (p75 - p25) / 2.0,
        _ => run.median_ms - run.min_ms,
    };
    (before.max(0.0) + (now.p75_ms - now.p25_ms) / 2.0).max(run.median_ms * NOISE)
}

/// What was not measured alike.
fn differences(run: &Run, now: &Report<'_>) -> Vec<String> {
    let mut list = Vec::new();
    let mut tell = |what: &str, before: Option<String>, after: String| match before {
        Some(before) if before != after => list.push(format!("{what}: {before} before, {after} now")),
        _ => {}
    };
    tell("network", run.name.clone(), now.name.to_owned());
    tell("mode", run.mode.clone(), now.mode.to_owned());
    tell("threads", run.threads.map(|n| n.to_string()), now.threads.to_string());
    tell("batch", run.batch.map(|n| n.to_string()), now.batch.to_string());
    tell("input", run.input.as_deref().map(dims), dims(now.input));
    tell("instruction set", run.isa.clone(), now.isa.to_owned());
    list
}

/// A figure before and now.
#[derive(Serialize)]
pub(super) struct Change {
    before: f64,
    after: f64,
}

impl Change {
    /// `−7.3 %`
    fn percent(&self) -> String {
        if self.before <= 0.0 {
            return String::new();
        }
        let change = (self.after / self.before - 1.0) * 100.0;
        let sign = if change < -0.05 { "−" } else { "+" };
        format!("{sign}{:.1} %", change.abs())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Faster,
    Slower,
    Same,
}

impl Verdict {
    /// A change counts if the median moved by more than the spread, and the fastest sample the same way.
    fn new(median: &Change, min: &Change, spread: f64) -> Self {
        let moved = |change: &Change| change.after - change.before;
        if moved(median) < -spread && moved(min) < 0.0 {
            Self::Faster
        } else if moved(median) > spread && moved(min) > 0.0 {
            Self::Slower
        } else {
            Self::Same
        }
    }
}

/// What changed.
#[derive(Serialize)]
pub(super) struct Comparison {
    file: String,
    verdict: Verdict,
    /// What the two runs did not have in common.
    differences: Vec<String>,
    /// A change of the median up to this says nothing.
    spread_ms: f64,
    median_ms: Change,
    min_ms: Change,
    load_ms: Option<Change>,
    compile_ms: Option<Change>,
    memory_bytes: Option<Change>,
    peak_rss_bytes: Option<Change>,
    /// Those that changed most, if both runs have a profile.
    layers: Vec<LayerChange>,
}

/// A layer's time before and now; none where the plan has no such step.
#[derive(Serialize)]
struct LayerChange {
    name: String,
    kind_before: Option<String>,
    kind: Option<String>,
    before_ms: Option<f64>,
    after_ms: Option<f64>,
}

impl LayerChange {
    fn change(&self) -> f64 {
        self.after_ms.unwrap_or(0.0) - self.before_ms.unwrap_or(0.0)
    }
}

/// Each name with how often it came before: several steps may have the path of one node, and then the first is
/// compared with the first.
fn numbered<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(&'a str, usize)> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut number = |name| {
        let count = seen.entry(name).or_default();
        *count += 1;
        (name, *count)
    };
    names.map(&mut number).collect()
}

/// The layers whose time changed most, if both runs have a profile.
fn changed_layers(before: &[Timed], now: &[Layer]) -> Vec<LayerChange> {
    if before.is_empty() || now.is_empty() {
        return Vec::new();
    }
    let mut changes: Vec<LayerChange> = Vec::new();
    let mut at = HashMap::new();
    for (key, layer) in numbered(before.iter().map(|layer| layer.name.as_str())).into_iter().zip(before) {
        at.insert(key, changes.len());
        let (name, kind_before) = (layer.name.clone(), Some(layer.kind.clone()));
        changes.push(LayerChange { name, kind_before, kind: None, before_ms: Some(layer.ms), after_ms: None });
    }
    for (key, layer) in numbered(now.iter().map(|layer| layer.name.as_str())).into_iter().zip(now) {
        let (kind, after_ms) = (Some(layer.kind.clone()), Some(layer.ms));
        match at.get(&key).and_then(|&at| changes.get_mut(at)) {
            Some(change) => (change.kind, change.after_ms) = (kind, after_ms),
            None => {
                let name = layer.name.clone();
                changes.push(LayerChange { name, kind_before: None, kind, before_ms: None, after_ms });
            }
        }
    }
    changes.sort_by(|a, b| b.change().abs().total_cmp(&a.change().abs()));
    changes.truncate(LAYERS);
    changes
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "compared with {}", self.file)?;
        for difference in &self.differences {
            writeln!(f, "not alike   {difference}")?;
        }
        let mut table = Table::new().left("").right("before").right("now").right("change");
        let times = [
            ("median", Some(&self.median_ms)),
            ("min", Some(&self.min_ms)),
            ("load", self.load_ms.as_ref()),
            ("compile", self.compile_ms.as_ref()),
        ];
        let sizes = [("memory", self.memory_bytes.as_ref()), ("process", self.peak_rss_bytes.as_ref())];
        for (name, change) in times {
            let Some(change) = change else { continue };
            table.row([name.to_owned(), time(change.before), time(change.after), change.percent()]);
        }
        for (name, change) in sizes {
            let Some(change) = change else { continue };
            let size = |size: f64| bytes(size.max(0.0) as u64);
            table.row([name.to_owned(), size(change.before), size(change.after), change.percent()]);
        }
        writeln!(f, "{table}\n")?;
        if !self.layers.is_empty() {
            let mut table = Table::new().left("layer").right("before").right("now").right("change").left("kind");
            for layer in &self.layers {
                let ms = |ms: Option<f64>| ms.map(|ms| format!("{ms:.3} ms")).unwrap_or_else(|| "–".to_owned());
                let kind = match (&layer.kind_before, &layer.kind) {
                    (Some(before), Some(now)) if before != now => format!("{before} → {now}"),
                    (before, now) => now.clone().or_else(|| before.clone()).unwrap_or_default(),
                };
                let change = format!("{:+.3} ms", layer.change());
                table.row([layer.name.clone(), ms(layer.before_ms), ms(layer.after_ms), change, kind]);
            }
            writeln!(f, "{table}\n")?;
        }
        let (percent, spread) = (self.median_ms.percent(), time(self.spread_ms));
        match self.verdict {
            Verdict::Faster => write!(f, "faster: the median by {percent}, beyond the samples' spread of {spread}"),
            Verdict::Slower => write!(f, "slower: the median by {percent}, beyond the samples' spread of {spread}"),
            Verdict::Same => write!(f, "no change beyond the samples' spread of {spread} (median {percent})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_within_the_spread_is_none() {
        let of = |median: [f64; 2], min: [f64; 2], spread| {
            let [median, min] = [median, min].map(|[before, after]| Change { before, after });
            Verdict::new(&median, &min, spread)
        };
        assert_eq!(of([10.0, 9.0], [9.5, 8.8], 0.4), Verdict::Faster);
        assert_eq!(of([10.0, 9.0], [9.5, 8.8], 1.2), Verdict::Same);
        assert_eq!(of([9.0, 10.0], [8.8, 9.5], 0.4), Verdict::Slower);
        // A slower median with a faster best: somebody else was at work.
        assert_eq!(of([9.0, 10.0], [8.8, 8.7], 0.4), Verdict::Same);
        assert_eq!(Change { before: 10.0, after: 9.0 }.percent(), "−10.0 %");
    }

    #[test]
    fn the_last_object_counts() {
        let run =
            parse("noise\n{\"median_ms\":1,\"min_ms\":1}\n[3]\n{\"median_ms\":2,\"min_ms\":1.5}\n{bad\n").unwrap();
        assert_eq!((run.median_ms, run.min_ms), (2.0, 1.5));
        assert_eq!(parse("{\n \"median_ms\": 3,\n \"min_ms\": 1\n}").unwrap().median_ms, 3.0);
        let fails = |text: &str, words: &str| {
            let reason = parse(text).err().unwrap();
            assert!(reason.contains(words), "{reason}");
        };
        fails("", "no line of it is a JSON object");
        fails("3\n[1]\n", "no line of it is a JSON object");
        fails("{\"min_ms\":1}", "missing field `median_ms`");
        fails("{\"median_ms\":\"1\",\"min_ms\":1}", "not of `sepal bench --json`: invalid type");
        fails("{\"median_ms\":0,\"min_ms\":1}", "`median_ms` is 0, must be above 0");
        fails("{\"mode\":\"explain\"}", "times nothing");
    }

    #[test]
    fn layers_that_came_and_went() {
        let timed = |name: &str, ms| Timed { name: name.to_owned(), kind: "conv".to_owned(), ms };
        let before = [timed("a", 1.0), timed("b", 2.0), timed("b", 0.5), timed("gone", 0.25)];
        let machine = super::super::profile::Machine { peak: 1.0, bandwidth: None };
        let rows =
            [("a", 0.9e-3), ("b", 2.5e-3), ("b", 0.5e-3), ("new", 3e-3)].map(|(name, seconds)| super::super::Row {
                name: name.to_owned(),
                kind: "conv".to_owned(),
                seconds,
                macs: 0,
                bytes: None,
                training: None,
            });
        let now = super::super::profile::layers(rows.into(), &machine);
        let changes = changed_layers(&before, &now);
        let told: Vec<_> =
            changes.iter().map(|c| (c.name.as_str(), c.before_ms.is_some(), c.after_ms.is_some())).collect();
        let expected =
            [("new", false, true), ("b", true, true), ("gone", true, false), ("a", true, true), ("b", true, true)];
        assert_eq!(told, expected);
        assert!((changes[4].change()).abs() < 1e-9);
        assert!(changed_layers(&[], &now).is_empty());
    }
}
