//! `sepal bench`: how fast is it here?

mod infer;
mod stats;
mod step;

use std::time::{Duration, Instant};

use sepal_kernels::{Exec, Level, measure};
use sepal_report::{Table, bytes, duration, grouped, short};
use serde::Serialize;

use crate::args;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::progress::Progress;
use crate::target::Target;
use crate::threads::Threads;
use stats::Stats;

/// Iterations kept at most, whatever the time.
const MAX_SAMPLES: usize = 1_000_000;
/// Iterations at least, where a time was asked for.
const MIN_SAMPLES: usize = 5;
/// Classes of a SPEC that is trained, so that the classifier does not outweigh the network.
const TRAIN_CLASSES: usize = 100;

/// Measure how fast a network runs or trains on this machine
///
/// A SPEC gets random weights. GFLOP/s counts two operations for each multiply-add of the network; a training step counts
/// as three forward passes (forward, gradient of the inputs, gradient of the weights). The peak is measured in
/// the same run: fused multiply-adds from registers to registers on all threads.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal bench mobilenet_v1 --threads 1
  sepal bench mobilenet_v1 -b 8 --size 160 --time 5 --json
  sepal bench mobilenet_v1 --train --batch 16 --size 224 --threads 2 --profile
  sepal bench runs/mobilenet_v1 --niter 100 --isa scalar")]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Time a training step (forward, loss, backward, SGD with momentum) instead of inference
    #[arg(long)]
    train: bool,
    /// Pictures at a time
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = args::count, visible_alias = "batch-size")]
    batch: usize,
    #[command(flatten)]
    threads: Threads,
    /// Iterations to time
    #[arg(long, value_name = "N", value_parser = args::count, conflicts_with = "time")]
    niter: Option<usize>,
    /// Seconds to spend on timing
    #[arg(long, value_name = "S", default_value = "2", value_parser = args::seconds)]
    time: f64,
    /// Iterations before timing starts
    #[arg(long, value_name = "N", default_value_t = 2)]
    warmup: usize,
    /// Print the time of each layer
    #[arg(long)]
    profile: bool,
    /// Instruction set: scalar, avx2, avx512 [default: the fastest there is]
    #[arg(long, value_name = "NAME", env = "SEPAL_ISA", hide_env = true)]
    isa: Option<String>,
}

/// What was measured, whichever it was.
pub(super) struct Measured {
    samples: Vec<Duration>,
    params: u64,
    /// Multiply-adds of one iteration: all pictures, all passes.
    macs: u64,
    memory: Memory,
    layers: Vec<Layer>,
}

/// Bytes that are needed.
#[derive(Serialize)]
pub(super) struct Memory {
    weights: usize,
    gradients: usize,
    optimizer: usize,
    activations: usize,
}

/// A row of the profile.
#[derive(Serialize)]
pub(super) struct Layer {
    name: String,
    kind: String,
    ms: f64,
    /// Of the time of all layers.
    share: f64,
    /// Multiply-adds of one iteration.
    macs: u64,
    gflops: f64,
}

#[derive(Serialize)]
struct Report<'a> {
    name: &'a str,
    mode: &'static str,
    median_ms: f64,
    min_ms: f64,
    mean_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    iterations: usize,
    images_per_second: f64,
    gflops: f64,
    peak_gflops: f64,
    share_of_peak: f64,
    threads: usize,
    batch: usize,
    input: &'a [usize],
    isa: &'static str,
    params: u64,
    macs: u64,
    memory_bytes: usize,
    memory: Memory,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layers: Vec<Layer>,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let level = level(args.isa.as_deref())?;
    let model = args.target.model(args.train.then_some(TRAIN_CLASSES), 0)?;
    let input = model.graph.input_shape()?.clone();
    let measured = match args.train {
        true => step::measure(args, &model, level)?,
        false => infer::measure(args, &model, level)?,
    };
    let pool = args.threads.pool()?;
    let threads = pool.threads();
    let peak = measure::peak_gflops(Exec { level, pool: pool.as_ref() });
    let Measured { samples, params, macs, memory, layers } = measured;
    let stats = Stats::new(samples);
    let gflops = 2.0 * macs as f64 / stats.median / 1e9;
    let report = Report {
        name: args.target.name(),
        mode: if args.train { "train" } else { "infer" },
        median_ms: stats.median * 1e3,
        min_ms: stats.min * 1e3,
        mean_ms: stats.mean * 1e3,
        p90_ms: stats.p90 * 1e3,
        p99_ms: stats.p99 * 1e3,
        max_ms: stats.max * 1e3,
        iterations: stats.count,
        images_per_second: args.batch as f64 / stats.median,
        gflops,
        peak_gflops: peak,
        share_of_peak: gflops / peak,
        threads,
        batch: args.batch,
        input: input.dims(),
        isa: level.name(),
        params,
        macs,
        memory_bytes: memory.weights + memory.gradients + memory.optimizer + memory.activations,
        memory,
        layers,
    };
    show(&report, out)?;
    Ok(out.result(&report)?)
}

fn level(name: Option<&str>) -> Result<Level> {
    let Some(name) = name else { return Ok(Level::best()) };
    Level::named(name).ok_or_else(|| {
        let there: Vec<&str> = Level::available().into_iter().map(Level::name).collect();
        Failure::usage(format!("this processor has no instruction set `{name}`"))
            .hint(format!("it has: {}", there.join(", ")))
    })
}

/// Calls `step` as often as was asked for and returns the time of each call, the warm-up left out.
fn sample(args: &Args, mut step: impl FnMut() -> Result) -> Result<Vec<Duration>> {
    for _ in 0..args.warmup {
        step()?;
    }
    let bar = Progress::bar(args.niter.unwrap_or(0) as u64, "bench");
    let mut samples = Vec::new();
    let start = Instant::now();
    loop {
        let enough = match args.niter {
            Some(n) => samples.len() >= n,
            None => samples.len() >= MIN_SAMPLES && start.elapsed().as_secs_f64() >= args.time,
        };
        if enough || samples.len() >= MAX_SAMPLES {
            return Ok(samples);
        }
        let before = Instant::now();
        step()?;
        samples.push(before.elapsed());
        if args.niter.is_some() {
            bar.at(samples.len() as u64);
        }
    }
}

/// Rows of a profile: name, kind, mean seconds and multiply-adds of one iteration.
fn layers(rows: Vec<(String, String, f64, u64)>) -> Vec<Layer> {
    let total: f64 = rows.iter().map(|(.., seconds, _)| seconds).sum();
    let row = |(name, kind, seconds, macs): (String, String, f64, u64)| Layer {
        name,
        kind,
        ms: seconds * 1e3,
        share: if total > 0.0 { seconds / total } else { 0.0 },
        macs,
        gflops: if seconds > 0.0 { 2.0 * macs as f64 / seconds / 1e9 } else { 0.0 },
    };
    rows.into_iter().map(row).collect()
}

fn show(report: &Report<'_>, out: Output) -> Result {
    if !report.layers.is_empty() {
        let mut table =
            Table::new().left("layer").left("kind").right("ms").right("share").right("MACs").right("GFLOP/s");
        for layer in &report.layers {
            let of = |n: u64, text: String| if n == 0 { String::new() } else { text };
            table.row([
                layer.name.clone(),
                layer.kind.clone(),
                format!("{:.3}", layer.ms),
                format!("{:.1} %", layer.share * 100.0),
                of(layer.macs, short(layer.macs)),
                of(layer.macs, format!("{:.1}", layer.gflops)),
            ]);
        }
        out.text(format!("{table}\n"))?;
    }
    let ms = |ms: f64| duration(Duration::from_secs_f64(ms / 1e3));
    let dims: Vec<String> = report.input.iter().map(ToString::to_string).collect();
    let what = if report.mode == "train" { "a training step" } else { "a forward pass" };
    let counts = if report.mode == "train" { "3 × forward × 2 × MACs" } else { "2 × MACs" };
    out.text(format!(
        "{}: {what}, {} × {}, {} thread{}, {}\n\
         time        {} median, {} min, {} p90, {} p99, {} iterations\n\
         throughput  {:.1} images/s\n\
         arithmetic  {:.1} GFLOP/s ({counts}) of {:.1} measured peak: {:.0} %\n\
         size        {} params, {} MACs an iteration\n\
         memory      {} ({} weights, {} gradients and optimizer, {} activations and scratch)",
        report.name,
        report.batch,
        dims.join("×"),
        report.threads,
        if report.threads == 1 { "" } else { "s" },
        report.isa,
        ms(report.median_ms),
        ms(report.min_ms),
        ms(report.p90_ms),
        ms(report.p99_ms),
        report.iterations,
        report.images_per_second,
        report.gflops,
        report.peak_gflops,
        report.share_of_peak * 100.0,
        grouped(report.params),
        short(report.macs),
        bytes(report.memory_bytes as u64),
        bytes(report.memory.weights as u64),
        bytes((report.memory.gradients + report.memory.optimizer) as u64),
        bytes(report.memory.activations as u64),
    ))?;
    Ok(())
}
