//! `sepal domains gates`: whose kernels a softly shared domain uses, layer by layer.

use std::path::PathBuf;
use std::sync::Arc;

use sepal_data::{EvalSet, Scratch};
use sepal_formats::atomic;
use sepal_graph::Model;
use sepal_graph::sharing::{Gated, gated, gates_of};
use sepal_report::{HeatMap, Table, grouped};
use sepal_runtime::{CompileOptions, compile, session};
use serde::Serialize;

use super::Of;
use crate::args;
use crate::cmd::eval;
use crate::failure::{Failure, Result};
use crate::output::{Output, log};
use crate::progress::Progress;
use crate::threads::Threads;

/// Show what share of each layer's depthwise kernels comes from which domain, in the mean over pictures
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal domains gates b.safetensors flowers --domain flowers3
  sepal domains gates b.safetensors flowers --domain flowers3 -o gates.svg --images 200")]
pub(crate) struct Args {
    #[command(flatten)]
    of: Of,
    /// Folder of the data [default: the test pictures of the embedded sample]
    data: Option<PathBuf>,
    /// File to draw a heat map to
    #[arg(short, long, value_name = "SVG")]
    out: Option<PathBuf>,
    /// Pictures to look at, evenly spread over the set
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = args::count)]
    images: usize,
    #[command(flatten)]
    threads: Threads,
}

#[derive(Serialize)]
struct Report {
    domain: String,
    set: &'static str,
    images: usize,
    domains: Vec<String>,
    layers: Vec<Layer>,
    /// Mean over the layers, for each domain.
    mean: Vec<f64>,
}

#[derive(Serialize)]
struct Layer {
    layer: String,
    /// Mean over the pictures, for each domain.
    gates: Vec<f64>,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let model = args.of.model()?;
    let layers = gated(&model.graph);
    let Some(first) = layers.first() else {
        return Err(Failure::failed(format!("`{}` has no gates", args.of.domain))
            .hint("domains that were added with --protocol soft have"));
    };
    let domains: Vec<String> = first.kernels.iter().map(|(domain, _)| domain.clone()).collect();
    if layers.iter().any(|layer| layer.kernels.len() != domains.len()) {
        return Err(Failure::failed("its layers mix the kernels of different domains"));
    }
    let set = eval::open(args.data.as_deref(), &model)?;
    let (means, images) = means(&model, &layers, &set, args)?;
    let row = |(layer, gates): (Gated, &[f64])| Layer { layer: layer.layer, gates: gates.to_vec() };
    let layers: Vec<Layer> = layers.into_iter().zip(means.chunks(domains.len())).map(row).collect();
    let mean = |at: usize| layers.iter().map(|layer| layer.gates[at]).sum::<f64>() / layers.len() as f64;
    let mean = (0..domains.len()).map(mean).collect();
    let report = Report { domain: args.of.domain.clone(), set: set.name, images, domains, layers, mean };
    show(&report, out)?;
    if let Some(file) = &args.out {
        let svg = draw(&report);
        atomic::write(file, |w| w.write_all(svg.as_bytes()))?;
        log(format!("heat map in {}", file.display()));
    }
    Ok(out.result(&report)?)
}

/// Mean gates of all layers one after the other, and the number of pictures.
fn means(model: &Model, layers: &[Gated], set: &EvalSet, args: &Args) -> Result<(Vec<f64>, usize)> {
    let graph = gates_of(&model.graph, layers)?;
    let Some(stored) = &model.meta.preprocessing else {
        return Err(Failure::failed("the domain does not say how pictures become its input"));
    };
    let preprocess = sepal_train::loader_form(stored);
    let gates = Model { graph, weights: model.weights.clone(), meta: sepal_graph::Meta::default() };
    let plan = Arc::new(compile(&gates, &CompileOptions::default())?);
    let (mut input, mut shares) = (vec![0.0; preprocess.output_len()], vec![0.0; plan.output_shape().elements()]);
    let mut session = session(plan, args.threads.pool()?);
    let mut scratch = Scratch::new();
    let (len, wanted) = (set.dataset.len(), args.images.min(set.dataset.len()));
    let bar = Progress::bar(wanted as u64, set.name);
    let (mut sums, mut images) = (vec![0.0; shares.len()], 0);
    for at in 0..wanted {
        match set.dataset.decode(at * len / wanted) {
            Ok(picture) => {
                preprocess.apply(&picture, &mut scratch, &mut input)?;
                session.run(&input, &mut shares)?;
                sums.iter_mut().zip(&shares).for_each(|(sum, share)| *sum += f64::from(*share));
                images += 1;
            }
            Err(error) => bar.line(&format!("not counted: {error}")),
        }
        bar.at(at as u64 + 1);
    }
    if images == 0 {
        return Err(Failure::failed("none of the pictures could be read"));
    }
    sums.iter_mut().for_each(|sum| *sum /= images as f64);
    Ok((sums, images))
}

fn show(report: &Report, out: Output) -> Result {
    let mut table = Table::new().left("layer");
    for domain in &report.domains {
        table = table.right(domain);
    }
    let cells = |gates: &[f64]| gates.iter().map(|gate| format!("{gate:.3}")).collect::<Vec<_>>();
    for Layer { layer, gates } in &report.layers {
        table.row([layer.clone()].into_iter().chain(cells(gates)));
    }
    table.rule().row(["mean of layers".to_owned()].into_iter().chain(cells(&report.mean)));
    out.text(format!("{table}\n\nmean gates of `{}` over {} pictures", report.domain, grouped(report.images as u64)))?;
    Ok(())
}

fn draw(report: &Report) -> String {
    HeatMap {
        title: format!("Gates of {}", report.domain),
        subtitle: format!("mean share of each domain's kernels over {} pictures", grouped(report.images as u64)),
        rows: report.layers.iter().map(|layer| layer.layer.clone()).collect(),
        columns: report.domains.clone(),
        values: report.layers.iter().flat_map(|layer| layer.gates.clone()).collect(),
    }
    .svg()
}
