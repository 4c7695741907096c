//! `sepal domains init`: a bundle of one domain.

use std::path::PathBuf;

use sepal_formats::bundle::Bundle;
use serde::Serialize;

use super::list::Row;
use super::record;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::target::{expect_classifier, open_model};

/// Begin a bundle with a trained network, which becomes the trunk
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal domains init runs/resdsc26 -o b.safetensors --name cifar
  sepal domains init net.safetensors -o b.safetensors --name photos")]
pub(crate) struct Args {
    /// A run folder or a model file
    #[arg(value_name = "RUN|FILE")]
    from: PathBuf,
    /// The bundle's file, a new one
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// What to call the domain
    #[arg(long, value_name = "NAME")]
    name: String,
}

#[derive(Serialize)]
struct Report {
    bundle: String,
    #[serde(flatten)]
    domain: Row,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    if args.out.exists() {
        return Err(Failure::failed(format!("{} exists already", args.out.display()))
            .hint("name a new file, or `sepal domains add` to that bundle"));
    }
    let model = open_model(&args.from)?;
    expect_classifier(&model)?;
    let bundle = Bundle::new(&args.name, model, record(&args.from))?;
    bundle.write(&args.out)?;
    let report = Report { bundle: args.out.display().to_string(), domain: Row::new(bundle.trunk())? };
    out.text(format!("began {} with {}", report.bundle, report.domain.describe()))?;
    Ok(out.result(&report)?)
}
