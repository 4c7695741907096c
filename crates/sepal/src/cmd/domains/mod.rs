//! `sepal domains`: one network for many domains. A file for each verb.

mod add;
mod bench;
mod eval;
mod extract;
mod gates;
mod init;
mod list;
mod predict;
mod protocols;
mod remove;
mod score;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use sepal_formats::bundle::{Bundle, Measured, Record};
use sepal_graph::Model;
use sepal_train::Summary;

use crate::failure::Result;
use crate::output::Output;

/// Keep networks for many domains in one file that stores once what they share
///
/// A bundle begins with a trained network, its trunk. Every further domain shares with it what a protocol says and owns
/// the rest. Adding a domain never changes what the others compute.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal domains init runs/resdsc26 -o b.safetensors --name cifar
  sepal domains add b.safetensors flowers --name flowers --protocol share-pointwise
  sepal domains list b.safetensors
  sepal domains predict b.safetensors rose.jpg --domain flowers
  sepal domains score b.safetensors --baseline scratch.csv")]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Init(init::Args),
    Add(Box<add::Args>),
    List(list::Args),
    Eval(eval::Args),
    Predict(predict::Args),
    Remove(remove::Args),
    Extract(extract::Args),
    Gates(gates::Args),
    Bench(bench::Args),
    Protocols(protocols::Args),
    Score(score::Args),
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    match &args.verb {
        Verb::Init(args) => init::run(args, out),
        Verb::Add(args) => add::run(args, out),
        Verb::List(args) => list::run(args, out),
        Verb::Eval(args) => eval::run(args, out),
        Verb::Predict(args) => predict::run(args, out),
        Verb::Remove(args) => remove::run(args, out),
        Verb::Extract(args) => extract::run(args, out),
        Verb::Gates(args) => gates::run(args, out),
        Verb::Bench(args) => bench::run(args, out),
        Verb::Protocols(args) => protocols::run(args, out),
        Verb::Score(args) => score::run(args, out),
    }
}

/// A domain of a bundle.
#[derive(clap::Args, Debug)]
struct Of {
    /// The bundle's file
    bundle: PathBuf,
    /// The domain, by name
    #[arg(short, long, value_name = "NAME")]
    domain: String,
}

impl Of {
    /// Its network, with all tensors.
    fn model(&self) -> Result<Model> {
        Ok(Bundle::read(&self.bundle)?.model(&self.domain)?)
    }
}

/// What the state in a run folder says of the training; nothing of a file that is no run.
fn record(run: &Path) -> Record {
    let Ok(Summary { recipe, history, best, seconds, .. }) = Summary::read(run) else { return Record::default() };
    // Without a validation set the test pictures were measured after every epoch.
    let last = || Some(("test", history.last()?.top1?));
    let measured = best.map(|best| ("val", best.top1)).or_else(last);
    let measured = measured.map(|(set, top1)| Measured { set: set.to_owned(), images: None, top1 });
    Record { recipe: Some(recipe.to_toml()), seconds: Some(seconds), measured }
}
