//! `sepal blocks`: what networks are built of.

use sepal_report::{Table, grouped, short};
use sepal_zoo::BlockRow;
use serde::Serialize;

use crate::failure::Result;
use crate::output::Output;

/// List the blocks that networks are built of, with the cost of each
///
/// Costs are those of a 3×3 block from 128 to 128 channels on a 56×56 map. A block with `block=NAME` can stand where any
/// network of the registry has k×k convolutions.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal blocks
  sepal blocks --json
  sepal summary mobilenet_v1:block=grouped,groups=8     a network built with another block")]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Listing {
    blocks: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    title: &'static str,
    /// For k×k kernels, M input and N output channels.
    weights: &'static str,
    /// The same on a D×D map.
    macs: &'static str,
    example_params: u64,
    example_macs: u64,
    /// Whether `block=NAME` is possible.
    drop_in: bool,
    options: &'static [&'static str],
    paper: &'static str,
}

pub(crate) fn run(_: &Args, out: Output) -> Result {
    let blocks = sepal_zoo::blocks().iter().map(row).collect::<Result<Vec<Row>>>()?;
    let mut table = Table::new()
        .left("block")
        .left("weights")
        .left("MACs")
        .right("3×3 params")
        .right("3×3 MACs")
        .left("block=")
        .left("paper");
    for row in &blocks {
        table.row([
            row.name.to_owned(),
            row.weights.to_owned(),
            row.macs.to_owned(),
            grouped(row.example_params),
            short(row.example_macs),
            if row.drop_in { "yes" } else { "" }.to_owned(),
            row.paper.to_owned(),
        ]);
    }
    out.text(&table)?;
    out.text("\nk×k kernels, M input channels, N output channels, a D×D map, K groups; examples: 128 → 128 on 56×56.")?;
    Ok(out.result(&Listing { blocks })?)
}

fn row(row: &'static BlockRow) -> Result<Row> {
    let cost = row.example()?.cost()?;
    Ok(Row {
        name: row.name,
        title: row.title,
        weights: row.weights,
        macs: row.macs,
        example_params: cost.params,
        example_macs: cost.macs,
        drop_in: row.drop_in,
        options: row.options,
        paper: row.paper,
    })
}
