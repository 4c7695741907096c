//! Timing of inference.

use std::sync::Arc;

use sepal_graph::Model;
use sepal_kernels::Level;
use sepal_runtime::{CompileOptions, Profile, compile, session};

use super::{Args, Layer, Measured, Memory, layers, sample};
use crate::failure::Result;
use crate::noise::noise;

pub(super) fn measure(args: &Args, model: &Model, level: Level) -> Result<Measured> {
    let plan = Arc::new(compile(model, &CompileOptions { batch: args.batch, level })?);
    let pool = args.threads.pool()?;
    let need = plan.memory(pool.threads());
    let mut session = session(Arc::clone(&plan), pool);
    let input = noise(args.batch * plan.input_shape().elements(), 1);
    let mut output = vec![0.0; args.batch * plan.output_shape().elements()];
    let samples = sample(args, || Ok(session.run(&input, &mut output)?))?;

    let mut rows: Vec<Layer> = Vec::new();
    if args.profile {
        let infos = plan.describe();
        let mut sums = vec![0.0; infos.len()];
        let mut profile = Profile::new();
        let runs = samples.len().clamp(1, 1000);
        for _ in 0..runs {
            session.run_profiled(&input, &mut output, &mut profile)?;
            for (sum, time) in sums.iter_mut().zip(&profile) {
                *sum += time.as_secs_f64() / runs as f64;
            }
        }
        let row = |(info, seconds): (sepal_runtime::StepInfo, f64)| {
            (info.path, info.kind, seconds, info.macs.saturating_mul(args.batch as u64))
        };
        rows = layers(infos.into_iter().zip(sums).map(row).collect());
    }
    let cost = model.graph.cost()?;
    Ok(Measured {
        samples,
        params: cost.params,
        macs: cost.macs.saturating_mul(args.batch as u64),
        memory: Memory { weights: need.weights, gradients: 0, optimizer: 0, activations: need.arena + need.scratch },
        layers: rows,
    })
}
