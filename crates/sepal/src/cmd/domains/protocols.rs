//! `sepal domains protocols`: what domains can share.

use sepal_graph::Protocol;
use sepal_report::Table;
use serde::Serialize;

use crate::failure::Result;
use crate::output::Output;

/// List the protocols by which a domain shares parameters with the trunk
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal domains protocols
  sepal domains protocols --json")]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Listing {
    protocols: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: Protocol,
    shared: &'static str,
    private: &'static str,
}

pub(crate) fn run(_: &Args, out: Output) -> Result {
    let row = |name: Protocol| Row { name, shared: name.shared(), private: name.private() };
    let protocols: Vec<Row> = Protocol::ALL.into_iter().map(row).collect();
    let mut table = Table::new().left("protocol").left("shared with the trunk").left("the domain's own, trained");
    for row in &protocols {
        table.row([row.name.name(), row.shared, row.private]);
    }
    out.text(&table)?;
    Ok(out.result(&Listing { protocols })?)
}
