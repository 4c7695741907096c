//! `sepal domains extract`: a domain as a model of its own.

use std::path::PathBuf;

use sepal_formats::native;
use sepal_report::grouped;
use serde::Serialize;

use super::Of;
use crate::failure::Result;
use crate::output::Output;

/// Write a domain's network to a model file, which every other command takes
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal domains extract b.safetensors --domain flowers -o flowers.safetensors
  sepal predict flowers.safetensors rose.jpg")]
pub(crate) struct Args {
    #[command(flatten)]
    of: Of,
    /// The model's file
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Report<'a> {
    domain: &'a str,
    model: String,
    network: &'a str,
    params: u64,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let model = args.of.model()?;
    native::write(&model, &args.out)?;
    let (network, params) = (model.graph.name.as_str(), model.graph.cost()?.params);
    let report = Report { domain: &args.of.domain, model: args.out.display().to_string(), network, params };
    out.text(format!("wrote `{}`, {network} with {} params, to {}", report.domain, grouped(params), report.model))?;
    Ok(out.result(&report)?)
}
