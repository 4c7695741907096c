//! `sepal models`: the networks there are.

use anyhow::Context;
use globset::Glob;
use sepal_report::{Table, grouped, short};
use sepal_zoo::{Defaults, NetworkRow, OptionRow, Spec};
use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::output::Output;

/// With more networks than this their options would bury the list.
const OPTIONS_OF: usize = 3;

/// List the networks that have names, with parameters, multiply-adds, paper and options
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal models
  sepal models mobilenet_v1                    its options, too
  sepal models '*mobilenet*' --json")]
pub(crate) struct Args {
    /// Only names that match, such as '*mobilenet*'
    glob: Option<String>,
}

#[derive(Serialize)]
struct Listing {
    models: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    title: &'static str,
    params: u64,
    macs: u64,
    /// Channels, height, width.
    input: [usize; 3],
    classes: usize,
    paper: &'static str,
    options: Vec<Choice>,
}

#[derive(Serialize)]
struct Choice {
    name: &'static str,
    default: String,
    takes: String,
    help: &'static str,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let rows: Vec<&NetworkRow> = match &args.glob {
        None => sepal_zoo::networks().iter().collect(),
        Some(text) => {
            let glob = Glob::new(text).map_err(|error| Failure::usage(format!("'{text}' is no pattern: {error}")))?;
            let matcher = glob.compile_matcher();
            sepal_zoo::networks().iter().filter(|row| matcher.is_match(row.name)).collect()
        }
    };
    if rows.is_empty() {
        let names: Vec<&str> = sepal_zoo::networks().iter().map(|row| row.name).collect();
        let text = format!("no network matches '{}'", args.glob.as_deref().unwrap_or_default());
        return Err(Failure::failed(text).hint(format!("there are: {}", names.join(", "))));
    }
    let models = rows.into_iter().map(row).collect::<Result<Vec<Row>>>()?;

    let mut table =
        Table::new().left("name").right("params").right("MACs").right("input").right("classes").left("paper");
    for row in &models {
        let [_, h, w] = row.input;
        table.row([
            row.name.to_owned(),
            grouped(row.params),
            short(row.macs),
            format!("{h}×{w}"),
            row.classes.to_string(),
            row.paper.to_owned(),
        ]);
    }
    out.text(&table)?;
    if models.len() > OPTIONS_OF {
        out.text("\n`sepal models NAME` shows the options of a network.")?;
    } else {
        show_options(&models, out)?;
    }
    Ok(out.result(&Listing { models })?)
}

fn show_options(models: &[Row], out: Output) -> Result {
    for row in models {
        let mut options = Table::new().left(format!("{} option", row.name)).left("default").left("takes").left("");
        for option in &row.options {
            options.row([option.name, &option.default, &option.takes, option.help]);
        }
        out.text(format!("\n{options}"))?;
    }
    if let Some(row) = models.first() {
        out.text(format!("\nOptions are given as in {}:{}; see `sepal summary`.", row.name, example(&row.options)))?;
    }
    Ok(())
}

fn row(row: &'static NetworkRow) -> Result<Row> {
    let Defaults { size: [height, width], classes } = row.default_input()?;
    let graph = sepal_zoo::build(&Spec::from(row), None, classes)?;
    let cost = graph.cost().with_context(|| row.name.to_owned())?;
    Ok(Row {
        name: row.name,
        title: row.title,
        params: cost.params,
        macs: cost.macs,
        input: [graph.input_shape()?.channels(), height, width],
        classes,
        paper: row.paper,
        options: row.options.iter().map(choice).collect(),
    })
}

fn choice(row: &OptionRow) -> Choice {
    Choice { name: row.name, default: row.default.to_string(), takes: row.kind.to_string(), help: row.help }
}

fn example(options: &[Choice]) -> String {
    let some: Vec<String> =
        options.iter().take(2).map(|option| format!("{}={}", option.name, option.default)).collect();
    some.join(",")
}
