//! Timing of inference.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sepal_graph::Model;
use sepal_kernels::Level;
use sepal_runtime::{CompileOptions, Profile, Session, StepInfo, compile_owned, session};

use super::{Args, Measured, Memory, Row, Stats, sample};
use crate::failure::Result;
use crate::memory;
use crate::noise::noise;

/// Runs of a profile, at most.
const PROFILED: usize = 1000;

pub(super) fn measure(args: &Args, model: Model, level: Level) -> Result<Measured> {
    let cost = model.graph.cost()?;
    let start = Instant::now();
    let plan = Arc::new(compile_owned(model, &CompileOptions { batch: args.batch, level })?);
    let compile = start.elapsed();
    let pool = args.threads.pool()?;
    let need = plan.memory(pool.threads());
    let mut session = session(Arc::clone(&plan), pool);
    let input = noise(args.batch * plan.input_shape().elements(), 1);
    let mut output = vec![0.0; args.batch * plan.output_shape().elements()];
    let samples = sample(args, || Ok(session.run(&input, &mut output)?))?;
    let peak_rss = memory::peak();
    let rows = match args.profile {
        true => profile(&mut session, &input, &mut output, samples.len().clamp(1, PROFILED), args.batch as u64)?,
        false => Vec::new(),
    };
    Ok(Measured {
        compile,
        samples,
        params: cost.params,
        macs: cost.macs.saturating_mul(args.batch as u64),
        memory: Memory { weights: need.weights, gradients: 0, optimizer: 0, activations: need.arena + need.scratch },
        peak_rss,
        rows,
        passes: Vec::new(),
    })
}

/// The median time of each step over so many runs.
fn profile(session: &mut Session, input: &[f32], output: &mut [f32], runs: usize, batch: u64) -> Result<Vec<Row>> {
    let infos = session.plan().describe();
    let mut times: Vec<Vec<Duration>> = vec![Vec::with_capacity(runs); infos.len()];
    let mut profile = Profile::new();
    for _ in 0..runs {
        session.run_profiled(input, output, &mut profile)?;
        times.iter_mut().zip(&profile).for_each(|(times, time)| times.push(*time));
    }
    let groups = batch.div_ceil(session.plan().group() as u64);
    let row = |(info, times): (StepInfo, Vec<Duration>)| Row {
        seconds: Stats::new(times).median,
        macs: info.macs.saturating_mul(batch),
        bytes: Some((info.bytes - info.weight_bytes).saturating_mul(batch) + info.weight_bytes * groups),
        name: info.path,
        kind: info.kind,
        training: None,
    };
    Ok(infos.into_iter().zip(times).map(row).collect())
}
