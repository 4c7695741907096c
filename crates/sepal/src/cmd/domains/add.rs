//! `sepal domains add`: a further domain, trained here or before.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use sepal_data::Splits;
use sepal_formats::bundle::{Bundle, Domain, Measured, Record};
use sepal_graph::{Meta, Model, Protocol, Sharing, Weights};
use sepal_train::{Layer, Summary, find_recipe};
use sepal_zoo::Spec;
use sepal_zoo::networks::resdsc;
use serde::Serialize;

use super::list::Row;
use super::record;
use crate::cmd::train::{self, Prepared, Training};
use crate::failure::{Failure, Result};
use crate::output::{Output, log};
use crate::target::{open_model, resized};

/// Train the bundle's network on a further domain and add it
///
/// The recipe is that of the protocol (see `sepal domains protocols` and `sepal recipes`), over the defaults for the
/// data; where the network is ResDSC, over its paper's. Pictures have the trunk's size unless --size says another. The run folder is that of any training: `sepal train --resume`
/// goes on with an interrupted one, `--from` adds it when it is finished. The bundle changes at the very end, at once.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal domains add b.safetensors flowers --name flowers
  sepal domains add b.safetensors flowers --name flowers2 --protocol features --epochs 20 --lr 0.01
  sepal domains add b.safetensors flowers --name flowers3 --protocol soft --start flowers
  sepal domains add b.safetensors --name flowers4 --from runs/flowers4")]
pub(crate) struct Args {
    /// The bundle's file
    bundle: PathBuf,
    /// Folder of the data [default: the embedded sample]
    data: Option<PathBuf>,
    /// What to call the domain
    #[arg(long, value_name = "NAME")]
    name: String,
    /// What it shares with the trunk [default: share-pointwise, or that of the run]
    #[arg(long, value_name = "PROTOCOL", value_parser = PossibleValuesParser::new(Protocol::ALL.map(Protocol::name))
        .try_map(|name| name.parse::<Protocol>()))]
    protocol: Option<Protocol>,
    /// The domain whose weights those start from that are trained [default: for soft the one of the same classes, else the
    /// trunk's]
    #[arg(long, value_name = "NAME")]
    start: Option<String>,
    /// Add what a finished run came to instead of training
    #[arg(long, value_name = "RUN", conflicts_with_all = ["data", "start", "out"])]
    from: Option<PathBuf>,
    #[command(flatten)]
    training: Training,
}

#[derive(Serialize)]
struct Report {
    bundle: String,
    #[serde(flatten)]
    domain: Row,
    /// Of a training that was part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    training: Option<train::Report>,
}

/// A network that is ready to be added.
struct Trained {
    model: Model,
    protocol: Protocol,
    record: Record,
    run: PathBuf,
    training: Option<train::Report>,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let bundle = Bundle::read(&args.bundle)?;
    bundle.check_new(&args.name)?;
    let trained = match &args.from {
        Some(run) => of_run(run, args.protocol)?,
        None => train(args, &bundle, out)?,
    };
    let Trained { model, protocol, record, run, training } = trained;
    let added = Bundle::update(&args.bundle, |bundle| {
        bundle.add(&args.name, protocol, model, record)?;
        Ok(Row::new(bundle.domain(&args.name)?))
    });
    let domain = match added {
        Ok(row) => row?,
        Err(error) => {
            let kept = format!("trained in {}, but not added to the bundle", run.display());
            return Err(Failure::from(error).context(kept));
        }
    };
    let report = Report { bundle: args.bundle.display().to_string(), domain, training };
    out.text(format!("added to {}: {}", report.bundle, report.domain.describe()))?;
    Ok(out.result(&report)?)
}

/// What a finished run came to.
fn of_run(run: &Path, protocol: Option<Protocol>) -> Result<Trained> {
    let summary = Summary::read(run).map_err(|error| Failure::from(error).context("there is nothing to add"))?;
    if !summary.finished {
        return Err(Failure::failed(format!("{} is not finished", run.display())).hint(format!(
            "go on with: {} train --resume {}",
            train::program(),
            run.display()
        )));
    }
    let protocol = protocol.or(summary.recipe.protocol).unwrap_or(Protocol::Scratch);
    Ok(Trained { model: open_model(run)?, protocol, record: record(run), run: run.to_owned(), training: None })
}

/// Trains.
fn train(args: &Args, bundle: &Bundle, out: Output) -> Result<Trained> {
    let protocol = args.protocol.unwrap_or(Protocol::SharePointwise);
    let prepared = prepare(args, protocol, bundle)?;
    let started = train::begin(prepared, &args.training, &args.name)?;
    let run = started.run.clone();
    let (done, trainer) = train::carry_out(started, &args.training)?;
    done.show(out)?;
    let report = done.report;
    if report.stopped {
        let (program, bundle, run) = (train::program(), args.bundle.display(), run.display());
        log(format!("interrupted; go on with: {program} train --resume {run}"));
        log(format!("and then: {program} domains add {bundle} --name {} --from {run}", args.name));
        return Err(Failure::interrupted());
    }
    let measured = report.set.zip(report.top1);
    let measured = measured.map(|(set, top1)| Measured { set: set.to_owned(), images: report.images, top1 });
    let record = Record { recipe: Some(trainer.recipe().to_toml()), seconds: Some(report.seconds), measured };
    Ok(Trained { model: trainer.best_model()?, protocol, record, run, training: Some(report) })
}

/// The network, the weights that it starts with, and how it is trained.
fn prepare(args: &Args, protocol: Protocol, bundle: &Bundle) -> Result<Prepared> {
    let trunk = bundle.trunk();
    let mixed: Vec<&str> = bundle.mixable().map(|domain| domain.name.as_str()).collect();
    check(args, protocol, bundle, &mixed)?;
    let file = args.training.recipe.as_deref().map(train::layer).transpose()?;
    let path = args.data.clone();
    let data = train::new_data(path.as_deref(), &args.training, file.as_ref())?;
    let start = start(args, protocol, bundle, &data)?;
    let mut recipe = train::resolve(&args.training, &layers(protocol, trunk, file)?, start.as_ref(), &data)?;
    // Whatever a recipe says, network and size are the trunk's.
    recipe.model.clone_from(&trunk.graph.name);
    recipe.size = args.training.size.unwrap_or(trunk.graph.input_shape()?.dims().get(1).copied().unwrap_or(1));
    (recipe.data, recipe.protocol) = (path, Some(protocol));

    let mut graph = resized(&trunk.graph, recipe.size, recipe.size)?.with_classes(data.classes.len())?;
    if protocol == Protocol::Soft {
        graph = sepal_zoo::soften(&graph, &mixed)?;
    }
    let mut weights = Weights::init(&graph, recipe.seed)?;
    if let Some(start) = &start {
        train::transfer(start, &args.bundle, &graph, &data.classes, &mut weights)?;
    }
    bundle.lend(protocol, &graph, &mut weights)?;
    let text = |key: &str, value: String| (key.to_owned(), value);
    let more = [text("bundle", args.bundle.display().to_string()), text("protocol", protocol.to_string())];
    let meta = Meta { task: trunk.meta.task, provenance: train::provenance(&recipe, &data, more), ..Meta::default() };
    Ok(Prepared { model: Model::new(graph, weights, meta)?, data, recipe })
}

/// Refuses, before any data are read, what cannot come to anything.
fn check(args: &Args, protocol: Protocol, bundle: &Bundle, mixed: &[&str]) -> Result {
    match protocol {
        Protocol::Soft if mixed.len() < 2 => {
            let there = mixed.join(", ");
            let text =
                format!("`soft` mixes the depthwise kernels of several domains, and there are only those of {there}");
            return Err(Failure::failed(text).hint("add one with --protocol share-pointwise first"));
        }
        Protocol::Scratch if args.start.is_some() => {
            return Err(Failure::usage("--start is for protocols that start from weights, and `scratch` does not"));
        }
        _ => {}
    }
    // The gates are still to be built.
    let of_trunk = if protocol == Protocol::Soft { Protocol::SharePointwise } else { protocol };
    Sharing::new(of_trunk, &bundle.trunk().graph)?;
    if let Some(start) = &args.start {
        bundle.domain(start)?;
    }
    Ok(())
}

/// The model whose weights the trained ones start from.
fn start(args: &Args, protocol: Protocol, bundle: &Bundle, data: &Splits) -> Result<Option<Model>> {
    let of_same_classes = || bundle.mixable().find(|domain| domain.meta.classes == data.classes);
    let name = match (protocol, &args.start) {
        (Protocol::Scratch, _) => return Ok(None),
        (_, Some(name)) => name,
        (Protocol::Soft, None) => &of_same_classes().unwrap_or(bundle.trunk()).name,
        (_, None) => &bundle.trunk().name,
    };
    Ok(Some(bundle.model(name)?))
}

/// What the recipe is made of: that of the network's paper, of the protocol, and of the command line.
fn layers(protocol: Protocol, trunk: &Domain, file: Option<Layer>) -> Result<Vec<Layer>> {
    let network = trunk.graph.name.parse::<Spec>().map(|spec| spec.network().name);
    let of_paper = (network == Ok(resdsc::ROW.name)).then_some("resdsc");
    let named = of_paper.into_iter().chain([protocol.name()]).map(|name| find_recipe(name)?.layer());
    Ok(named.chain(file.map(Ok)).collect::<Result<_, _>>()?)
}
