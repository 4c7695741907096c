//! A plan as it will run, without running it.

use sepal_graph::Model;
use sepal_kernels::Level;
use sepal_runtime::{CompileOptions, Memory, StepInfo, compile_owned};
use serde::Serialize;

use super::Args;
use crate::failure::Result;
use crate::output::Output;

#[derive(Serialize)]
struct Explained<'a> {
    name: &'a str,
    mode: &'static str,
    isa: &'static str,
    threads: usize,
    batch: usize,
    /// Pictures computed at a time.
    group: usize,
    memory_bytes: usize,
    memory: PlanMemory,
    steps: Vec<Step<'a>>,
}

/// Bytes of the plan (weights) and of one session (arena, scratch).
#[derive(Serialize)]
struct PlanMemory {
    weights: usize,
    arena: usize,
    scratch: usize,
}

/// A step; counts and bytes are for one picture.
#[derive(Serialize)]
struct Step<'a> {
    name: &'a str,
    /// The kernel and what is fused into it.
    kind: &'a str,
    inputs: Vec<Value<'a>>,
    output: Value<'a>,
    macs: u64,
    /// Bytes of inputs, weights and output.
    bytes: u64,
    weight_bytes: u64,
}

#[derive(Serialize)]
struct Value<'a> {
    shape: &'a [usize],
    /// Where it starts in the arena, in bytes; none for the caller's tensor.
    offset: Option<usize>,
}

pub(super) fn run(args: &Args, model: Model, level: Level, out: Output) -> Result {
    let plan = compile_owned(model, &CompileOptions { batch: args.batch, level })?;
    let threads = args.threads.count();
    let need = plan.memory(threads);
    let Memory { weights, arena, scratch } = need;
    out.text(plan.to_string().trim_end())?;
    let infos = plan.describe();
    Ok(out.result(&Explained {
        name: args.target.name(),
        mode: "explain",
        isa: level.name(),
        threads,
        batch: args.batch,
        group: plan.group(),
        memory_bytes: need.total(),
        memory: PlanMemory { weights, arena, scratch },
        steps: infos.iter().map(step).collect(),
    })?)
}

fn step(info: &StepInfo) -> Step<'_> {
    let inputs = info.inputs.iter().zip(&info.input_offsets);
    Step {
        name: &info.path,
        kind: &info.kind,
        inputs: inputs.map(|(shape, offset)| Value { shape: shape.dims(), offset: Some(*offset) }).collect(),
        output: Value { shape: info.output.dims(), offset: info.output_offset },
        macs: info.macs,
        bytes: info.bytes,
        weight_bytes: info.weight_bytes,
    }
}
