//! `sepal study`: what is claimed, looked at.

use std::path::PathBuf;

use sepal::study::{Finding, Study, studies};
use sepal_report::Table;
use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::output::Output;

/// Look at a claim of the papers on this machine: figures, and a picture
///
/// Without a NAME, lists the studies there are.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal study
  sepal study gridding --out studies")]
pub(crate) struct Args {
    /// The study
    name: Option<String>,
    /// Folder to write the study's pictures to
    #[arg(short, long, value_name = "DIR", requires = "name")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    claim: &'static str,
}

#[derive(Serialize)]
struct Report<'a> {
    name: &'a str,
    claim: &'a str,
    holds: bool,
    figures: &'a [Finding],
    files: Vec<String>,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let Some(name) = &args.name else {
        let rows: Vec<Row> = studies().iter().map(|&Study { name, claim, .. }| Row { name, claim }).collect();
        let mut table = Table::new().left("study").left("claim");
        for row in &rows {
            table.row([row.name, row.claim]);
        }
        out.text(table)?;
        return Ok(out.result(&rows)?);
    };
    let study = studies().iter().find(|study| study.name == name).ok_or_else(|| {
        let there: Vec<&str> = studies().iter().map(|study| study.name).collect();
        Failure::usage(format!("unknown study `{name}`")).hint(format!("there are: {}", there.join(", ")))
    })?;
    let found = (study.run)()?;
    let files = match &args.out {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|error| Failure::from(error).context(folder.display()))?;
            found.write(folder)?
        }
        None => Vec::new(),
    };
    let mut table = Table::new().left("figure").right("value");
    for Finding { name, value } in &found.figures {
        table.row([name.clone(), format!("{value:.4}")]);
    }
    let verdict = if found.holds { "borne out" } else { "not borne out" };
    out.text(format!("{}\n\n{table}\n{verdict}", study.claim))?;
    if !files.is_empty() {
        out.text(format!("wrote {}", files.join(", ")))?;
    }
    let report = Report { name: study.name, claim: study.claim, holds: found.holds, figures: &found.figures, files };
    Ok(out.result(&report)?)
}
