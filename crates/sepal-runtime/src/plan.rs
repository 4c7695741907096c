//! Compilation: from a model to an immutable plan.

use std::time::Duration;

use sepal_graph::rewrites::{fold_norms_of, merge_parallel};
use sepal_graph::{Graph, Model, Op, Shape};
use sepal_kernels::{Buffer, Exec, Level};

use crate::boundary::Boundary;
use crate::constants::{Constants, Packed};
use crate::describe::StepInfo;
use crate::error::{Result, RuntimeError};
use crate::lower::lower;
use crate::passes;
use crate::placement::Placement;
use crate::shared::{Folded, SharedWeights};
use crate::task::{Operands, Place, Task};

/// How to compile.
#[derive(Clone, Copy, Debug)]
pub struct CompileOptions {
    /// The most images of one run, at least 1.
    pub batch: usize,
    /// The instruction set to run on.
    pub level: Level,
}

impl Default for CompileOptions {
    /// One image, the best instruction set of this processor.
    fn default() -> Self {
        Self { batch: 1, level: Level::best() }
    }
}

/// A compiled network: kernels in order, packed weights, every tensor's place in one arena.
///
/// Immutable and shared: any number of [`Session`](crate::Session)s, on any threads, run one plan.
pub struct Plan {
    pub(crate) level: Level,
    pub(crate) max_batch: usize,
    /// Images computed at a time.
    pub(crate) group: usize,
    pub(crate) input: Boundary,
    pub(crate) output: Boundary,
    pub(crate) steps: Vec<Step>,
    pub(crate) places: Vec<Place>,
    /// Shapes of the values for one image, as `places`.
    pub(crate) shapes: Vec<Shape>,
    pub(crate) arena: usize,
    constants: Packed,
}

/// A task with the places of its operands.
pub(crate) struct Step {
    pub(crate) path: String,
    pub(crate) task: Task,
    /// Values read.
    pub(crate) inputs: Vec<usize>,
    /// Value written.
    pub(crate) output: usize,
}

/// Bytes that running a plan takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Packed weights and per-channel vectors, once per plan; not those that it [shares](Plan::shared_weights).
    pub weights: usize,
    /// Activations of the images that are computed at a time, once per session; for batches, once for each worker.
    pub arena: usize,
    /// Working memory of the kernels, once per session.
    pub scratch: usize,
}

impl Memory {
    /// All of it, for one session.
    pub fn total(&self) -> usize {
        self.weights.saturating_add(self.arena).saturating_add(self.scratch)
    }
}

/// Compiles a model: folds norms, merges parallel convolutions, fuses activations and residual sums into the convolutions
/// before them, packs weights and plans the memory of all activations.
///
/// The plan computes what the model computes in evaluation, to rounding. That weights are finite
/// is not checked; what comes of NaN is the caller's business.
///
/// # Errors
/// The model's graph is not valid or its weights do not fit it; it has more than one input or
/// output; `options.batch` is 0; a value does not fit the address space.
pub fn compile(model: &Model, options: &CompileOptions) -> Result<Plan> {
    compile_owned(model.clone(), options)
}

/// As [`compile`] of a model that is not needed afterwards: its weights are not copied first, and each is freed once
/// it is packed, so that little more memory is taken than the plan's own and the model's.
///
/// # Errors
/// As [`compile`].
pub fn compile_owned(model: Model, options: &CompileOptions) -> Result<Plan> {
    compile_with(model, options, None)
}

/// As [`compile_owned`] of one of several models that have tensors in common: those that `shared` names are packed once
/// for all plans that are made with it.
///
/// # Errors
/// As [`compile`]; a tensor that is shared differs from that of a model compiled before.
pub fn compile_shared(model: Model, options: &CompileOptions, shared: &SharedWeights) -> Result<Plan> {
    compile_with(model, options, Some(shared))
}

fn compile_with(model: Model, options: &CompileOptions, with: Option<&SharedWeights>) -> Result<Plan> {
    let CompileOptions { batch, level } = *options;
    if batch == 0 {
        return Err(RuntimeError::EmptyBatch);
    }
    let input_shape = model.graph.input_shape()?.clone();
    let output_shape = model.graph.output_shape()?;
    let mut program = match with {
        Some(with) => {
            model.weights.check(&model.graph)?;
            with.check(&model.weights)?;
            let (folded, norms): (Model, Folded) = with.fold(model)?;
            lower(folded, &|path| with.is_same(path, &norms))?
        }
        None => {
            let mut folded = fold_norms_of(model)?;
            // Asked first, because a rewrite copies the weights.
            if has_parallel(&folded.graph) {
                folded = merge_parallel(&folded)?;
            }
            lower(folded, &|_| false)?
        }
    };
    let output_path = program.values[program.output].path.clone();
    passes::run(&mut program);

    let Placement { places, group, arena } = Placement::new(&program, batch)?;
    let boundary = |path: String, shape, value: usize| Boundary { path, shape, place: places[value].clone() };
    let input = boundary(program.values[program.input].path.clone(), input_shape, program.input);
    let output = boundary(output_path, output_shape, program.output);
    let mut constants = Constants::new(with);
    let mut steps = Vec::with_capacity(program.steps.len());
    for step in program.steps {
        let dims = program.values[step.output].dims();
        let pixels = step.inputs.first().is_some_and(|input| places[*input].pixels);
        if let Some(task) = Task::new(step.kind, dims, pixels, &mut constants) {
            steps.push(Step { path: step.path, task, inputs: step.inputs, output: step.output });
        }
    }
    let shapes = program.values.into_iter().map(|value| value.view.shape).collect();
    Ok(Plan {
        level,
        max_batch: batch,
        group,
        input,
        output,
        steps,
        places,
        shapes,
        arena,
        constants: constants.fill(level),
    })
}

/// Whether there are convolutions of one value that are added to each other.
fn has_parallel(graph: &Graph) -> bool {
    let reads = |id| match graph.node(id) {
        Some(node) if matches!(node.op, Op::Conv2d(_)) => node.inputs.first().copied(),
        _ => None,
    };
    graph.iter().any(|(_, node)| match (&node.op, &node.inputs[..]) {
        (Op::Add(_), [a, b]) => a != b && reads(*a).is_some() && reads(*a) == reads(*b),
        _ => false,
    })
}

impl Plan {
    /// Shape of one image of the input, `[C, H, W]`.
    pub fn input_shape(&self) -> &Shape {
        &self.input.shape
    }

    /// Shape of the output for one image.
    pub fn output_shape(&self) -> &Shape {
        &self.output.shape
    }

    /// The most images of one run.
    pub fn max_batch(&self) -> usize {
        self.max_batch
    }

    /// Images computed at a time: a larger batch runs in groups of so many, whose activations stay in cache.
    pub fn group(&self) -> usize {
        self.group
    }

    /// The instruction set it was compiled for.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Memory of the plan and of one session on a pool of `threads` workers, in bytes.
    pub fn memory(&self, threads: usize) -> Memory {
        let bytes = |floats: usize| floats.saturating_mul(size_of::<f32>());
        let rooms = self.rooms(threads);
        let scratch = self.scratch(threads).saturating_add(self.scratch(1).saturating_mul(rooms - 1));
        let arena = self.arena.saturating_mul(rooms);
        Memory { weights: bytes(self.constants.own.len()), arena: bytes(arena), scratch: bytes(scratch) }
    }

    /// Bytes of the packed weights that it shares with other plans; see [`SharedWeights::bytes`].
    pub fn shared_weights(&self) -> usize {
        self.constants.shared.iter().map(|pack| size_of_val(&pack[..])).sum()
    }

    /// Groups of images that `threads` workers compute at the same time: one each, where a batch has so many images.
    pub(crate) fn rooms(&self, threads: usize) -> usize {
        if self.max_batch < threads { 1 } else { threads.max(1) }
    }

    /// The steps in the order in which they run: first the input's way in, last the output's way out.
    pub fn describe(&self) -> Vec<StepInfo> {
        crate::describe::describe(self)
    }

    /// Floats of scratch for a session on `threads` workers.
    pub(crate) fn scratch(&self, threads: usize) -> usize {
        let need = |step: &Step| {
            let pixels = step.inputs.first().is_some_and(|input| self.places[*input].pixels);
            step.task.scratch(self.group, pixels, threads)
        };
        self.steps.iter().map(need).max().unwrap_or(0)
    }

    /// Runs step `index` on `n` images.
    pub(crate) fn run_step(&self, index: usize, exec: Exec<'_>, n: usize, arena: &mut Buffer, scratch: &mut [f32]) {
        let step = &self.steps[index];
        let (inputs, output) = (&step.inputs[..], step.output);
        let operands = Operands { places: &self.places, inputs, output, n, arena, scratch };
        step.task.run(exec, operands, &self.constants);
    }
}

/// Time of each step of a run, in the order of [`Plan::describe`].
pub type Profile = Vec<Duration>;
