//! `sepal data`: a look at a data set before training.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use sepal_data::{Dataset, OpenOptions, Report, SCENE_CLASSES, Splits};
use sepal_report::{Table, grouped};
use serde::Serialize;

use crate::args;
use crate::failure::{Failure, Result};
use crate::output::{Output, log};
use crate::progress::Progress;

/// Bad pictures named on the terminal; JSON has them all.
const SHOWN: usize = 20;

/// Look at a data set, or make one of scenes to segment
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal data check photos
  sepal data scenes scenes --count 240 --size 64 --seed 1")]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Decode every picture: report those that cannot be read, sizes, and pictures per class
    #[command(after_help = "\
Examples:
  sepal data check photos
  sepal data check photos --json")]
    Check {
        /// Folder of the data: DATA/{train,val,test}/CLASS/*.jpg, DATA/CLASS/*.jpg, DATA/images and DATA/masks, IDX or CIFAR files
        data: PathBuf,
    },
    /// Make scenes to segment: items of the embedded sample on textured ground, with exact masks (11 classes)
    ///
    /// The same numbers make the same scenes. Every fifth is held out for validation; those have items of their own.
    #[command(after_help = "\
Examples:
  sepal data scenes scenes
  sepal data scenes scenes --count 240 --size 64 --seed 1")]
    Scenes {
        /// Folder to write images/, masks/ and classes.toml to; made if it is not there
        dir: PathBuf,
        /// Number of scenes
        #[arg(long, value_name = "N", default_value_t = 1000, value_parser = args::count)]
        count: usize,
        /// Height and width in pixels
        #[arg(long, value_name = "N", default_value_t = 128, value_parser = args::count)]
        size: usize,
        /// Decides what is seen
        #[arg(long, value_name = "N", default_value_t = 0)]
        seed: u64,
    },
}

#[derive(Serialize)]
struct Checked {
    kind: &'static str,
    pictures: usize,
    bad: Vec<Bad>,
    classes: Vec<String>,
    sets: Vec<Set>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Set {
    name: &'static str,
    pictures: usize,
    bad: usize,
    grey: usize,
    width: [u32; 2],
    height: [u32; 2],
    class_counts: Vec<usize>,
    /// Pixels without a class, of data with masks; then the counts are of pixels, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    ignored: Option<u64>,
    /// Pictures whose mask has no pixel of any class.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    empty: Vec<String>,
}

#[derive(Serialize)]
struct Made {
    dir: String,
    scenes: usize,
    size: usize,
    seed: u64,
    classes: usize,
}

#[derive(Serialize)]
struct Bad {
    path: String,
    cause: String,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    match &args.verb {
        Verb::Check { data } => look(data, out),
        Verb::Scenes { dir, count, size, seed } => scenes(dir, [*count, *size], *seed, out),
    }
}

fn scenes(dir: &Path, [count, size]: [usize; 2], seed: u64, out: Output) -> Result {
    let there = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if there {
        return Err(Failure::failed(format!("{} exists and is not empty", dir.display())).hint("choose another folder"));
    }
    let bar = Progress::bar(count as u64, "scenes");
    sepal_data::write_scenes(dir, count, size, seed, |done| bar.at(done as u64))?;
    bar.finish();
    let dir = dir.display().to_string();
    out.text(format!("wrote {count} scenes of {size}×{size} pixels and their masks to {dir}"))?;
    Ok(out.result(&Made { dir, scenes: count, size, seed, classes: SCENE_CLASSES })?)
}

fn look(data: &Path, out: Output) -> Result {
    let splits = sepal_data::open(data, &OpenOptions::default())?;
    for note in &splits.notes {
        log(format!("note: {note}"));
    }
    let (mut sets, mut bad) = (Vec::new(), Vec::new());
    for (name, set) in named(&splits) {
        let bar = Progress::bar(set.len() as u64, name);
        let report = sepal_data::check(set.as_ref(), |done| bar.at(done as u64));
        bar.finish();
        bad.extend(report.bad.iter().map(|b| Bad { path: b.path.clone(), cause: b.cause.clone() }));
        sets.push(describe(name, report));
    }
    let pictures = sets.iter().map(|set| set.pictures).sum();
    let Splits { kind, classes, notes, .. } = splits;
    let checked = Checked { kind, pictures, bad, classes, sets, notes };
    show(&checked, out)?;
    out.result(&checked)?;
    match checked.bad.len() {
        0 => Ok(()),
        n => Err(Failure::failed(format!("{n} of {pictures} pictures cannot be read"))
            .hint("training skips and counts them, or stops at the first with --strict")),
    }
}

/// The sets that are there, with their names.
fn named(splits: &Splits) -> Vec<(&'static str, &Arc<dyn Dataset>)> {
    let held = [("val", &splits.val), ("test", &splits.test)];
    let held = held.into_iter().filter_map(|(name, set)| Some((name, set.as_ref()?)));
    std::iter::once(("train", &splits.train)).chain(held).collect()
}

fn describe(name: &'static str, report: Report) -> Set {
    let Report { pictures, bad, class_counts, width, height, grey, ignored, empty } = report;
    Set { name, pictures, bad: bad.len(), grey, width, height, class_counts, ignored, empty }
}

fn show(checked: &Checked, out: Output) -> Result {
    let span = |[low, high]: [u32; 2]| if low == high { low.to_string() } else { format!("{low}–{high}") };
    let mut table =
        Table::new().left("set").right("pictures").right("unreadable").right("grey").right("width").right("height");
    for set in &checked.sets {
        let counts = [set.pictures, set.bad, set.grey].map(|n| grouped(n as u64));
        table.row(std::iter::once(set.name.to_owned()).chain(counts).chain([span(set.width), span(set.height)]));
    }
    out.text(format!("{} with {} classes\n\n{table}\n", checked.kind, checked.classes.len()))?;

    let masks = checked.sets.iter().any(|set| set.ignored.is_some());
    let mut table = Table::new().left(if masks { "class (pixels)" } else { "class" });
    for set in &checked.sets {
        table = table.right(set.name);
    }
    for (index, class) in checked.classes.iter().enumerate() {
        let count = |set: &Set| set.class_counts.get(index).map_or(String::new(), |n| grouped(*n as u64));
        table.row(std::iter::once(class.clone()).chain(checked.sets.iter().map(count)));
    }
    if masks {
        let ignored = checked.sets.iter().map(|set| grouped(set.ignored.unwrap_or_default()));
        table.rule().row(std::iter::once("no class".to_owned()).chain(ignored));
    }
    out.text(&table)?;
    for empty in checked.sets.iter().flat_map(|set| &set.empty).take(SHOWN) {
        out.text(format!("every pixel of its mask is ignored: {empty}"))?;
    }
    for bad in checked.bad.iter().take(SHOWN) {
        out.text(format!("unreadable: {}: {}", bad.path, bad.cause))?;
    }
    if checked.bad.len() > SHOWN {
        out.text(format!("… and {} more (all of them with --json)", checked.bad.len() - SHOWN))?;
    }
    Ok(())
}
