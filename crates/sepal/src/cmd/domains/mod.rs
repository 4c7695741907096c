//! `sepal domains`: one network for many domains. A file for each verb.

mod protocols;

use clap::Subcommand;

use crate::failure::Result;
use crate::output::Output;

/// Keep networks for many domains in one file that stores once what they share
///
/// A bundle begins with a trained network, its trunk. Every further domain shares with it what a protocol says and owns
/// the rest. Adding a domain never changes what the others compute.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal domains protocols                      what can be shared")]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Protocols(protocols::Args),
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    match &args.verb {
        Verb::Protocols(args) => protocols::run(args, out),
    }
}
