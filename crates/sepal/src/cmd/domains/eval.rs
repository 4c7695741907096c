//! `sepal domains eval`: how well does a domain do?

use super::Of;
use crate::cmd::eval::{Measure, measure};
use crate::failure::Result;
use crate::output::Output;

/// Measure a domain on labelled pictures, as `sepal eval` does a model
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal domains eval b.safetensors flowers --domain flowers
  sepal domains eval b.safetensors flowers --domain flowers --out report --json")]
pub(crate) struct Args {
    #[command(flatten)]
    of: Of,
    #[command(flatten)]
    measure: Measure,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    measure(&args.of.model()?, &args.of.bundle, &args.measure, out)
}
