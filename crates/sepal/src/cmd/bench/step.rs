//! Timing of training steps.

use std::sync::Arc;
use std::time::Instant;

use sepal_data::Stream;
use sepal_graph::Model;
use sepal_kernels::update::{self, Sgd};
use sepal_kernels::{Buffer, Exec, Level};
use sepal_train::{Batch, Engine, EngineOptions, Params};

use super::steps::{Average, Steps};
use super::{Args, Measured, Memory, sample};
use crate::failure::{Failure, Result};
use crate::memory;
use crate::noise::noise;

/// Passes over the network in a step, each with as many multiply-adds: forward, gradients of the inputs, gradients of the
/// weights.
const PASSES: u64 = 3;
/// Steps of a profile, at most.
const PROFILED: usize = 100;
/// The update that is timed.
const RULE: Sgd = Sgd { lr: 0.01, momentum: 0.9, nesterov: false, weight_decay: 0.0 };

pub(super) fn measure(args: &Args, model: &Model, level: Level) -> Result<Measured> {
    let pool = args.threads.pool()?;
    let graph = &model.graph;
    let start = Instant::now();
    let mut params = Params::new(graph, &model.weights)?;
    let mut engine = Engine::new(graph, &params, args.batch, Arc::clone(&pool), EngineOptions { level })?;
    let mut velocity = Buffer::zeroed(params.values.len());
    let compile = start.elapsed();

    let per_image = graph.input_shape()?.elements();
    let Some(len) = per_image.checked_mul(args.batch) else {
        return Err(Failure::usage(format!("a batch of {} is too large", args.batch)));
    };
    let images = noise(len, 1);
    let output = graph.output_shape()?;
    let classes = output.channels();
    let mut stream = Stream::new(1, 0, 0, "labels");
    let label = |_| stream.below(u32::try_from(classes).unwrap_or(u32::MAX));
    // One a picture; of a segmenter one for every place of its output.
    let labels: Vec<u32> = (0..args.batch * (output.elements() / classes.max(1))).map(label).collect();

    let exec = Exec { level, pool: pool.as_ref() };
    let mut seed = 0;
    let mut step = || {
        seed += 1;
        engine.step(
            &mut params,
            &Batch { images: &images, labels: &labels, weights: None, mixed: None, smoothing: 0.0, seed },
        )?;
        update::sgd(exec, &RULE, &mut params.values, &params.grads, &mut velocity);
        Ok(())
    };
    let samples = sample(args, &mut step)?;
    let peak_rss = memory::peak();
    let cost = graph.cost()?;
    let step_macs = |macs: u64| macs.saturating_mul(PASSES * args.batch as u64);

    let (mut rows, mut list) = (Vec::new(), Vec::new());
    if args.profile {
        let runs = samples.len().clamp(1, PROFILED);
        let mut steps = Steps::default();
        let mut average = Average::new(&params);
        for apart in [false, true] {
            for _ in 0..runs {
                seed += 1;
                engine.start_profile(apart);
                engine.step(
                    &mut params,
                    &Batch { images: &images, labels: &labels, weights: None, mixed: None, smoothing: 0.0, seed },
                )?;
                let times = engine.profile().ok_or_else(|| Failure::failed("the profile is empty"))?;
                if apart {
                    steps.apart.push(times);
                    continue;
                }
                steps.as_run.push(times);
                let start = Instant::now();
                update::sgd(exec, &RULE, &mut params.values, &params.grads, &mut velocity);
                let updated = Instant::now();
                average.step(exec, &params);
                steps.update.push(updated - start);
                steps.average.push(updated.elapsed());
            }
        }
        let nodes = cost.rows.iter().map(|row| (row.path.as_str(), step_macs(row.macs)));
        (rows, list) = steps.rows(nodes, params.values.len(), params.buffers.len());
    }
    let need = engine.memory(&params);
    Ok(Measured {
        compile,
        samples,
        params: cost.params,
        macs: step_macs(cost.macs),
        memory: Memory {
            weights: need.parameters,
            gradients: need.gradients,
            optimizer: size_of_val(&*velocity),
            activations: need.arena,
        },
        peak_rss,
        rows,
        passes: list,
    })
}
