//! `sepal summary`: a network layer by layer.

use sepal_graph::{Cost, CostRow, Graph};
use sepal_report::{Table, bytes, grouped, short};
use serde::Serialize;

use crate::failure::Result;
use crate::output::Output;
use crate::target::Target;

/// Bytes of a parameter.
const FLOAT: u64 = 4;

/// Show a network layer by layer: shapes, parameters, multiply-adds, activation memory
///
/// Counts are for one picture. A MAC is one multiplication and one addition, so FLOPs = 2 × MACs; convolutions and
/// linear layers have them. Every layer is counted once.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal summary mobilenet_v1
  sepal summary mobilenet_v1:width=0.5,between=none --size 160 --classes 37
  sepal summary runs/mobilenet_v1 --json")]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
}

#[derive(Serialize)]
struct Summary<'a> {
    name: &'a str,
    input: &'a [usize],
    output: &'a [usize],
    params: u64,
    param_bytes: u64,
    macs: u64,
    flops: u64,
    activation_bytes: u64,
    layers: Vec<Layer<'a>>,
}

#[derive(Serialize)]
struct Layer<'a> {
    name: &'a str,
    r#type: &'a str,
    input: &'a [usize],
    output: &'a [usize],
    kernel: Option<[usize; 2]>,
    groups: Option<usize>,
    params: u64,
    macs: u64,
    activation_bytes: u64,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let graph = args.target.graph(None)?;
    let cost = graph.cost()?;
    out.text(table(&graph, &cost))?;
    out.text(totals(&cost))?;
    let output = graph.output_shape()?;
    Ok(out.result(&Summary {
        name: &graph.name,
        input: graph.input_shape()?.dims(),
        output: output.dims(),
        params: cost.params,
        param_bytes: cost.params.saturating_mul(FLOAT),
        macs: cost.macs,
        flops: cost.flops(),
        activation_bytes: cost.activation_bytes,
        layers: cost.rows.iter().map(layer).collect(),
    })?)
}

fn layer(row: &CostRow) -> Layer<'_> {
    Layer {
        name: &row.path,
        r#type: &row.op,
        input: row.input.dims(),
        output: row.output.dims(),
        kernel: row.kernel,
        groups: row.groups,
        params: row.params,
        macs: row.macs,
        activation_bytes: row.activation_bytes,
    }
}

fn table(graph: &Graph, cost: &Cost) -> Table {
    let mut table = Table::new()
        .left("layer")
        .left(format!("type ({})", graph.name))
        .right("input")
        .right("output")
        .right("kernel")
        .right("groups")
        .right("params")
        .right("MACs");
    let or_blank = |n: u64| if n == 0 { String::new() } else { grouped(n) };
    for row in &cost.rows {
        table.row([
            row.path.clone(),
            row.op.clone(),
            row.input.to_string(),
            row.output.to_string(),
            row.kernel.map_or(String::new(), |[h, w]| format!("{h}×{w}")),
            row.groups.map_or(String::new(), |groups| groups.to_string()),
            or_blank(row.params),
            or_blank(row.macs),
        ]);
    }
    table.rule();
    let total = ["total", "", "", "", "", ""].map(str::to_owned);
    table.row(total.into_iter().chain([grouped(cost.params), grouped(cost.macs)]));
    table
}

fn totals(cost: &Cost) -> String {
    format!(
        "\nparams       {} ({} in f32)\nMACs         {} ({})\nFLOPs        {} (2 × MACs)\nactivations  {} (all layers' outputs, one picture, f32)",
        grouped(cost.params),
        bytes(cost.params.saturating_mul(FLOAT)),
        grouped(cost.macs),
        short(cost.macs),
        grouped(cost.flops()),
        bytes(cost.activation_bytes),
    )
}
