//! `sepal runs`: what was trained, and how runs differ.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use sepal_formats::atomic;
use sepal_report::{Figure, LinePlot, Series, Table, duration, grouped, short};
use sepal_train::{EpochRow, RunFolder, Summary};
use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::output::Output;

/// What a run folder has from its start, and what others have not.
const RECIPE: &str = "recipe.toml";

/// List the runs in a folder, or compare runs: recipes, figures, curves
///
/// One folder that is no run is searched for runs. A run that is stopped can be resumed; one that failed left no state to
/// resume from.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal runs
  sepal runs experiments --sort top1
  sepal runs runs/mobilenet_v1 runs/mobilenet_v1-2 -o both.svg
  sepal runs runs/a runs/b --json")]
pub(crate) struct Args {
    /// A folder of runs, or runs to compare
    #[arg(value_name = "DIR|RUN", default_value = "runs")]
    paths: Vec<PathBuf>,
    /// Order of the list; figures from the best down
    #[arg(long, value_enum, default_value_t = Sort::Name)]
    sort: Sort,
    /// Draw the curves of all runs over each other to this SVG file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Sort {
    Name,
    Top1,
    Loss,
    Params,
    Macs,
    Time,
    Epochs,
}

#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Done,
    Running,
    Stopped,
    Failed,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// A run, as it is listed.
#[derive(Serialize)]
struct Row {
    run: String,
    state: State,
    /// Why nothing else is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(flatten)]
    figures: Option<Figures>,
}

#[derive(Serialize)]
struct Figures {
    network: String,
    data: String,
    size: usize,
    epochs_done: usize,
    epochs: usize,
    /// Of the best epoch on the validation set, else of the last.
    best_epoch: Option<usize>,
    top1: Option<f64>,
    loss: Option<f64>,
    params: u64,
    macs: u64,
    seconds: f64,
    images_per_second: f64,
    waited: f64,
}

struct Run {
    row: Row,
    summary: Option<Summary>,
}

#[derive(Serialize)]
struct Listing<'a> {
    runs: Vec<&'a Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    differences: Option<Vec<Difference>>,
}

/// A field that not all runs set alike, with the value of each run.
#[derive(Serialize)]
struct Difference {
    field: String,
    values: Vec<String>,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let mut runs = match args.paths.as_slice() {
        [folder] if !is_run(folder) => list(folder)?,
        paths => paths.iter().map(|path| open(path)).collect::<Result<Vec<Run>>>()?,
    };
    let compares = args.paths.len() > 1;
    if !compares {
        runs.sort_by(|a, b| order(args.sort, &a.row, &b.row));
    }
    let differences = compares.then(|| differences(&runs));
    match &differences {
        Some(differences) => compare(&runs, differences, out)?,
        None => out.text(table(&runs).to_string())?,
    }
    if let Some(file) = &args.output {
        let svg = curves(&runs).svg();
        atomic::write(file, |w| w.write_all(svg.as_bytes()))?;
        out.text(format!("\nwrote the curves to {}", file.display()))?;
    }
    Ok(out.result(&Listing { runs: runs.iter().map(|run| &run.row).collect(), differences })?)
}

fn is_run(path: &Path) -> bool {
    path.join(RECIPE).is_file()
}

/// The runs right below a folder.
fn list(folder: &Path) -> Result<Vec<Run>> {
    let entries = std::fs::read_dir(folder).map_err(|error| Failure::from(error).context(folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path()).filter(|path| is_run(path));
    let runs = paths.map(|path| open(&path)).collect::<Result<Vec<Run>>>()?;
    match runs.is_empty() {
        true => Err(Failure::failed(format!("there is no run under {}", folder.display()))
            .hint("a run is a folder with a recipe.toml, which `sepal train` makes")),
        false => Ok(runs),
    }
}

fn open(path: &Path) -> Result<Run> {
    if !is_run(path) {
        return Err(Failure::failed(format!("{} is no run: it has no {RECIPE}", path.display())));
    }
    let in_use = RunFolder::is_in_use(path);
    let run = path.display().to_string();
    Ok(match Summary::read(path) {
        Ok(summary) => {
            let state = match (in_use, summary.finished) {
                (true, _) => State::Running,
                (false, true) => State::Done,
                (false, false) => State::Stopped,
            };
            let figures = Some(Figures::new(&summary)?);
            Run { row: Row { run, state, problem: None, figures }, summary: Some(summary) }
        }
        Err(error) => {
            let state = if in_use { State::Running } else { State::Failed };
            Run { row: Row { run, state, problem: Some(error.to_string()), figures: None }, summary: None }
        }
    })
}

impl Figures {
    fn new(summary: &Summary) -> Result<Self> {
        let Summary { recipe, graph, history, best, seconds, .. } = summary;
        let cost = graph.cost()?;
        let last = history.last();
        let mean = |of: fn(&EpochRow) -> f64| history.iter().map(of).sum::<f64>() / history.len().max(1) as f64;
        Ok(Self {
            network: recipe.model.clone(),
            data: recipe.data.as_ref().map_or("sample".to_owned(), |path| path.display().to_string()),
            size: recipe.size,
            epochs_done: history.len(),
            epochs: recipe.epochs,
            best_epoch: best.map(|best| best.epoch),
            top1: best.map(|best| best.top1).or(last.and_then(|row| row.top1)),
            loss: best.map(|best| best.loss).or(last.and_then(|row| row.loss)),
            params: cost.params,
            macs: cost.macs,
            seconds: *seconds,
            images_per_second: mean(|row| row.images_per_second),
            waited: mean(|row| row.waited),
        })
    }

    fn time(&self) -> String {
        duration(Duration::try_from_secs_f64(self.seconds).unwrap_or_default())
    }
}

/// Runs without figures come last.
fn order(sort: Sort, a: &Row, b: &Row) -> Ordering {
    let key = |row: &Row| {
        let figures = row.figures.as_ref()?;
        match sort {
            Sort::Name => None,
            Sort::Top1 => figures.top1.map(|top1| -top1),
            Sort::Loss => figures.loss,
            Sort::Params => Some(figures.params as f64),
            Sort::Macs => Some(figures.macs as f64),
            Sort::Time => Some(figures.seconds),
            Sort::Epochs => Some(-(figures.epochs_done as f64)),
        }
    };
    let by_figure = match (key(a), key(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    };
    by_figure.then_with(|| a.run.cmp(&b.run))
}

fn share(share: Option<f64>) -> String {
    share.map_or("–".to_owned(), |share| format!("{share:.4}"))
}

fn table(runs: &[Run]) -> Table {
    let mut table = Table::new()
        .left("run")
        .left("state")
        .left("network")
        .left("data")
        .right("epochs")
        .right("best")
        .right("params")
        .right("MACs")
        .right("time");
    for Run { row, .. } in runs {
        let mut cells = vec![row.run.clone(), row.state.name().to_owned()];
        match &row.figures {
            Some(figures) => cells.extend([
                figures.network.clone(),
                figures.data.clone(),
                format!("{}/{}", figures.epochs_done, figures.epochs),
                share(figures.top1),
                grouped(figures.params),
                short(figures.macs),
                figures.time(),
            ]),
            None => {
                cells.extend([row.problem.clone().unwrap_or_default()].into_iter().chain((0..6).map(|_| String::new())))
            }
        }
        table.row(cells);
    }
    table
}

/// Fields of recipes that differ; runs without a recipe that can be read have no values.
fn differences(runs: &[Run]) -> Vec<Difference> {
    let recipes: Vec<_> = runs.iter().filter_map(|run| Some(&run.summary.as_ref()?.recipe)).collect();
    let Some((first, others)) = recipes.split_first() else { return Vec::new() };
    let mut differences: Vec<Difference> = Vec::new();
    for (at, other) in others.iter().enumerate() {
        for diff in first.differences(other) {
            let known = differences.iter().position(|known| known.field == diff.field);
            let known = known.unwrap_or_else(|| {
                differences.push(Difference { field: diff.field, values: vec![diff.before; recipes.len()] });
                differences.len() - 1
            });
            if let Some(value) = differences.get_mut(known).and_then(|known| known.values.get_mut(at + 1)) {
                *value = diff.now;
            }
        }
    }
    differences.sort_by(|a, b| a.field.cmp(&b.field));
    differences
}

/// Figures side by side, a column for each run.
fn compare(runs: &[Run], differences: &[Difference], out: Output) -> Result {
    let read: Vec<(&Row, &Figures)> =
        runs.iter().filter_map(|run| Some((&run.row, run.row.figures.as_ref()?))).collect();
    for Run { row, .. } in runs {
        if let Some(problem) = &row.problem {
            out.text(format!("{}: {}: {problem}", row.run, row.state.name()))?;
        }
    }
    let head = |first: &str| read.iter().fold(Table::new().left(first), |table, (row, _)| table.right(row.run.clone()));
    let mut table = head("");
    let mut line = |name: &str, cell: &dyn Fn(&Row, &Figures) -> String| {
        let cells = read.iter().map(|(row, figures)| cell(row, figures));
        table.row(std::iter::once(name.to_owned()).chain(cells));
    };
    line("state", &|row, _| row.state.name().to_owned());
    line("network", &|_, figures| figures.network.clone());
    line("epochs", &|_, figures| format!("{}/{}", figures.epochs_done, figures.epochs));
    line("best top-1", &|_, figures| share(figures.top1));
    line("its loss", &|_, figures| share(figures.loss));
    line("params", &|_, figures| grouped(figures.params));
    line("MACs", &|_, figures| short(figures.macs));
    line("time", &|_, figures| figures.time());
    line("images/s", &|_, figures| format!("{:.0}", figures.images_per_second));
    line("waiting", &|_, figures| format!("{:.1} %", 100.0 * figures.waited));
    out.text(format!("{table}\n"))?;
    if differences.is_empty() {
        out.text("the recipes are the same")?;
        return Ok(());
    }
    let mut table = head("recipe");
    for difference in differences {
        table.row(std::iter::once(difference.field.clone()).chain(difference.values.iter().cloned()));
    }
    Ok(out.text(table.to_string())?)
}

/// Loss and accuracy of all runs.
fn curves(runs: &[Run]) -> Figure {
    let lines = |value: &dyn Fn(&EpochRow) -> Option<f64>| -> Vec<Series> {
        let history = |run: &Run| run.summary.as_ref().map(|summary| summary.history.clone()).unwrap_or_default();
        let points = |run: &Run| history(run).into_iter().filter_map(|row| Some((row.epoch as f64, value(&row)?)));
        runs.iter().map(|run| Series::new(run.row.run.clone(), points(run))).collect()
    };
    let panels = vec![
        LinePlot::by_epoch("top-1 on held-out pictures", "share", Some((0.0, 1.0)), lines(&|row| row.top1)),
        LinePlot::by_epoch("loss on held-out pictures", "nats", None, lines(&|row| row.loss)),
        LinePlot::by_epoch("training loss", "nats", None, lines(&|row| Some(row.train_loss))),
    ];
    Figure { panels, ..Figure::default() }
}
