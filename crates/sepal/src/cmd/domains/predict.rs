//! `sepal domains predict`: what a domain sees in a picture.

use super::Of;
use crate::cmd::predict::{Show, show};
use crate::failure::Result;
use crate::output::Output;

/// Say what is in pictures, in the classes of a domain
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal domains predict b.safetensors rose.jpg --domain flowers
  sepal domains predict b.safetensors photos/ --domain flowers --topk 1 --format csv")]
pub(crate) struct Args {
    #[command(flatten)]
    of: Of,
    #[command(flatten)]
    show: Show,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    show(&args.of.model()?, &args.of.bundle, &args.show, out)
}
