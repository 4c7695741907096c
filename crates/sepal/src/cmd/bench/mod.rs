//! `sepal bench`: how fast is it here?

mod compare;
mod explain;
mod infer;
mod passes;
mod profile;
mod report;
mod stats;
mod step;
mod steps;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use sepal_kernels::Exec;

use crate::args;
use crate::failure::Result;
use crate::isa;
use crate::output::Output;
use crate::progress::Progress;
use crate::target::Target;
use crate::threads::Threads;
use compare::Earlier;
use passes::Pass;
use profile::{Machine, Row};
use report::{Memory, Report};
pub(super) use stats::Stats;

/// Iterations kept at most, whatever the time.
const MAX_SAMPLES: usize = 1_000_000;
/// Iterations at least, where a time was asked for.
const MIN_SAMPLES: usize = 5;
/// Iterations before timing starts, at least, where no number was asked for ...
const WARMUP: usize = 2;
/// ... and how long they take at least: clocks rise and pages are mapped meanwhile.
const WARMUP_TIME: Duration = Duration::from_millis(250);
/// Classes of a SPEC that is trained, so that the classifier does not outweigh the network.
const TRAIN_CLASSES: usize = 100;

/// Measure how fast a network runs or trains on this machine
///
/// A SPEC gets random weights. GFLOP/s counts two operations for each multiply-add of the network; a training step counts
/// as three forward passes (forward, gradient of the inputs, gradient of the weights). The peak is measured in
/// the same run: fused multiply-adds from registers to registers on all threads.
///
/// The profile's limit of a layer is the roofline: the longer of its arithmetic at the peak and its inputs, weights and
/// output at the bandwidth of main memory, which is measured, too. `× limit` says how far the layer is from it. A layer
/// whose operands are still in cache can be below 1.
///
/// Of a training step the profile has the forward and the reverse step of every layer, each with its limit. `norm` is the
/// part of the reverse step that sums the norm's gradient. `input` and `weights` are the times of these two gradients
/// computed one after the other, in steps of their own; `backward` is as training runs, where one walk computes both if
/// that is faster. Layers that run on an operator made for any case rather than for theirs are named below.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal bench mobilenet_v1 --threads 1
  sepal bench mobilenet_v1 -b 8 --size 160 --time 5 --json
  sepal bench mobilenet_v1 --threads 1 --profile
  sepal bench mobilenet_v2 --explain           what runs, where every value lies; nothing is timed
  sepal bench net.onnx --compare before.json   what changed since `sepal bench net.onnx --json > before.json`
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
    /// Iterations before timing starts [default: 2 or more, a quarter of a second in all]
    #[arg(long, value_name = "N")]
    warmup: Option<usize>,
    /// Print the time of each layer, and how far it is from what the machine could do
    #[arg(long)]
    profile: bool,
    /// Print the plan and time nothing: steps, what is fused into them, where every value lies, memory
    #[arg(long, conflicts_with_all = ["train", "profile", "compare", "niter", "time", "warmup"])]
    explain: bool,
    /// Say what changed since an earlier run, of which FILE holds the output with --json (the last line that is an object)
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Instruction set: scalar, avx2, avx512, neon [default: the fastest there is]
    #[arg(long, value_name = "NAME", env = isa::VARIABLE, hide_env = true)]
    isa: Option<String>,
}

/// What was measured, whichever it was.
struct Measured {
    compile: Duration,
    samples: Vec<Duration>,
    params: u64,
    /// Multiply-adds of one iteration: all pictures, all passes.
    macs: u64,
    memory: Memory,
    /// The most memory that the process had, until the last sample.
    peak_rss: Option<u64>,
    /// Of the profile; none if none was asked for.
    rows: Vec<Row>,
    /// Of a training step's profile.
    passes: Vec<Pass>,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let level = isa::level(args.isa.as_deref())?;
    let earlier = args.compare.as_deref().map(Earlier::read).transpose()?;
    let start = Instant::now();
    let model = args.target.model(args.train.then_some(TRAIN_CLASSES), 0)?;
    let load = start.elapsed();
    if args.explain {
        return explain::run(args, model, level, out);
    }
    let input = model.graph.input_shape()?.clone();
    let measured = match args.train {
        true => step::measure(args, &model, level)?,
        false => infer::measure(args, model, level)?,
    };
    let pool = args.threads.pool()?;
    let machine = Machine::measure(Exec { level, pool: pool.as_ref() }, args.profile);
    let Measured { compile, samples, params, macs, memory, peak_rss, rows, passes } = measured;
    let stats = Stats::new(samples);
    let gflops = 2.0 * macs as f64 / stats.median / 1e9;
    let mut report = Report {
        name: args.target.name(),
        mode: if args.train { "train" } else { "infer" },
        median_ms: stats.median * 1e3,
        min_ms: stats.min * 1e3,
        mean_ms: stats.mean * 1e3,
        p25_ms: stats.p25 * 1e3,
        p75_ms: stats.p75 * 1e3,
        p90_ms: stats.p90 * 1e3,
        p99_ms: stats.p99 * 1e3,
        max_ms: stats.max * 1e3,
        iterations: stats.count,
        images_per_second: args.batch as f64 / stats.median,
        load_ms: load.as_secs_f64() * 1e3,
        compile_ms: compile.as_secs_f64() * 1e3,
        gflops,
        peak_gflops: machine.peak,
        bandwidth_gbs: machine.bandwidth,
        share_of_peak: gflops / machine.peak,
        threads: pool.threads(),
        batch: args.batch,
        input: input.dims(),
        isa: level.name(),
        params,
        macs,
        memory_bytes: memory.total(),
        memory,
        peak_rss_bytes: peak_rss,
        layers: profile::layers(rows, &machine),
        passes,
        compare: None,
    };
    report.compare = earlier.map(|earlier| earlier.compare(&report));
    report.show(out)?;
    Ok(out.result(&report)?)
}

/// Calls `step` as often as was asked for and returns the time of each call, the warm-up left out.
fn sample(args: &Args, mut step: impl FnMut() -> Result) -> Result<Vec<Duration>> {
    let start = Instant::now();
    let mut warm = 0;
    while warm < args.warmup.unwrap_or(WARMUP) || (args.warmup.is_none() && start.elapsed() < WARMUP_TIME) {
        step()?;
        warm += 1;
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
