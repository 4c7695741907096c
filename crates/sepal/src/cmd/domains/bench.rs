//! `sepal domains bench`: what running all domains takes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sepal::DomainPlans;
use sepal_formats::bundle::Bundle;
use sepal_report::{Table, bytes, duration};
use sepal_runtime::{CompileOptions, Plan, Session, compile_owned, session};
use serde::Serialize;

use crate::cmd::bench::Stats;
use crate::failure::Result;
use crate::noise::noise;
use crate::output::Output;
use crate::threads::Threads;

/// Runs that a median is of.
const RUNS: usize = 15;

/// Show the memory and time that running all domains takes, beside separate models
///
/// All domains are compiled together, so that what they share is in memory once, and one session goes from domain to domain. The same
/// networks compiled by themselves are held against that. Pictures are noise.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal domains bench b.safetensors
  sepal domains bench b.safetensors --threads 1 --json")]
pub(crate) struct Args {
    /// The bundle's file
    bundle: PathBuf,
    #[command(flatten)]
    threads: Threads,
}

#[derive(Serialize)]
struct Report {
    threads: usize,
    domains: Vec<Row>,
    /// Packed weights that domains have in common.
    shared_bytes: usize,
    /// Activations and working memory of the session, for whichever domain it runs.
    session_bytes: usize,
    /// Weights of all domains, shared ones once, and one session.
    total_bytes: usize,
    /// Weights of separate models and a session for each.
    separate_bytes: usize,
    /// Microseconds that the session takes to go from one domain to the next, median.
    switch_us: f64,
}

#[derive(Serialize)]
struct Row {
    name: String,
    /// Packed weights of its own.
    own_bytes: usize,
    /// Packed weights that it shares.
    shared_bytes: usize,
    /// Packed weights of its network compiled by itself.
    separate_bytes: usize,
    /// Milliseconds a picture, median.
    ms: f64,
    /// The same of the network compiled by itself.
    separate_ms: f64,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let bundle = Bundle::read(&args.bundle)?;
    let options = CompileOptions::default();
    let plans = DomainPlans::compile(&bundle, &options)?;
    let (threads, pool) = (args.threads.count(), args.threads.pool()?);
    let Some((_, first)) = plans.iter().next() else { return Ok(()) };
    let mut moving = session(Arc::clone(first), Arc::clone(&pool));

    let (mut domains, mut switches) = (Vec::new(), Vec::new());
    let (mut session_bytes, mut separate_bytes) = (0, 0);
    for (name, plan) in plans.iter() {
        let start = Instant::now();
        moving.switch(Arc::clone(plan));
        switches.push(start.elapsed());
        let ms = median(&mut moving)?;
        let alone = Arc::new(compile_owned(bundle.model(name)?, &options)?);
        let separate_ms = median(&mut session(Arc::clone(&alone), Arc::clone(&pool)))?;
        let need = |plan: &Plan| plan.memory(threads);
        session_bytes = session_bytes.max(need(plan).total() - need(plan).weights);
        separate_bytes += need(&alone).total();
        domains.push(Row {
            name: name.to_owned(),
            own_bytes: need(plan).weights,
            shared_bytes: plan.shared_weights(),
            separate_bytes: need(&alone).weights,
            ms,
            separate_ms,
        });
    }
    let own: usize = domains.iter().map(|row| row.own_bytes).sum();
    let shared_bytes = plans.shared_bytes();
    let total_bytes = shared_bytes + own + session_bytes;
    let switch_us = Stats::new(switches).median * 1e6;
    let report = Report { threads, domains, shared_bytes, session_bytes, total_bytes, separate_bytes, switch_us };
    show(&report, out)?;
    Ok(out.result(&report)?)
}

/// Milliseconds of a run.
fn median(session: &mut Session) -> Result<f64> {
    let plan = Arc::clone(session.plan());
    let image = noise(plan.input_shape().elements(), 1);
    let mut output = vec![0.0; plan.output_shape().elements()];
    let mut times = Vec::with_capacity(RUNS);
    session.run(&image, &mut output)?;
    for _ in 0..RUNS {
        let start = Instant::now();
        session.run(&image, &mut output)?;
        times.push(start.elapsed());
    }
    Ok(Stats::new(times).median * 1e3)
}

fn show(report: &Report, out: Output) -> Result {
    let size = |n: usize| bytes(n as u64);
    let mut table = Table::new().left("domain").right("own").right("shared").right("by itself");
    table = table.right("ms").right("ms by itself");
    for row in &report.domains {
        let [own, shared, separate] = [row.own_bytes, row.shared_bytes, row.separate_bytes].map(size);
        table.row([
            row.name.clone(),
            own,
            shared,
            separate,
            format!("{:.3}", row.ms),
            format!("{:.3}", row.separate_ms),
        ]);
    }
    out.text(format!("{table}"))?;
    let Report { shared_bytes, session_bytes, total_bytes, separate_bytes, switch_us, threads, .. } = report;
    let [shared, session, total, separate] = [*shared_bytes, *session_bytes, *total_bytes, *separate_bytes].map(size);
    out.text(format!("memory   {total}: {shared} that domains share, their own, and a session of {session}"))?;
    out.text(format!("         {separate} as separate models with a session each"))?;
    let switch = duration(Duration::from_secs_f64(switch_us / 1e6));
    out.text(format!("switch   {switch} from domain to domain, {threads} threads"))?;
    Ok(())
}
