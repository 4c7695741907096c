//! The compiled training step: forward, loss and reverse pass over one planned arena.
//!
//! The graph is static, so the reverse pass is a list of steps and not a tape: every tensor's place
//! and lifetime is known before the first batch, and a step allocates nothing.

mod backward;
mod forward;
mod kind;
mod lower;
mod moves;
mod plan;
mod products;
mod profile;

use std::collections::BTreeMap;
use std::sync::Arc;

use sepal_graph::{Graph, Shape};
use sepal_kernels::loss::{self, IGNORED, Mixed, Targets};
use sepal_kernels::pool::Pool;
use sepal_kernels::{Buffer, Exec, GradSource, Level, NormGrad, Source, elementwise, to_nchw};

use crate::error::{Error, Result};
use crate::params::Params;
use crate::units::{self, Unit};
use plan::{ActPlan, Plan, UnitPlan};
use profile::{Clock, Part, Times};
pub use profile::{StepTime, UnitTime};

/// How an [`Engine`] runs.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// The instruction set.
    pub level: Level,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { level: Level::best() }
    }
}

/// One batch.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Pictures, `N, C, H, W`, as the network takes them.
    pub images: &'a [f32],
    /// The class of each picture; where the network's output is a map, of each of its pixels, `N, H, W`, or
    /// [`sepal_data::IGNORED`].
    pub labels: &'a [u32],
    /// A positive weight for each class, where they do not count alike; none for pictures that are mixed.
    pub weights: Option<&'a [f32]>,
    /// The second class of each label's place and its share, where pictures are mixed of two.
    pub mixed: Option<Mixed<'a>>,
    /// Label smoothing: the share of the target that is spread over all classes.
    pub smoothing: f32,
    /// Decides what dropout drops; another one for every step.
    pub seed: u64,
}

/// What a step says about its batch, before the update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepOutput {
    /// Mean loss over the batch's labels, weighted where classes have weights.
    pub loss: f64,
    /// Labels that are not ignored.
    pub labels: usize,
    /// Labels whose class had the greatest logit; of two, the one with the greater share counts.
    pub top1: usize,
    /// Labels whose class was among the five greatest.
    pub top5: usize,
}

/// Memory of an engine and its parameters, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Parameters and running statistics.
    pub parameters: usize,
    /// Their gradients.
    pub gradients: usize,
    /// Activations, their gradients, and all working memory of a step: one arena.
    pub arena: usize,
}

impl Memory {
    /// All of it.
    pub fn total(&self) -> usize {
        self.parameters + self.gradients + self.arena
    }
}

/// Forward, loss and reverse pass of one network, compiled.
pub struct Engine {
    graph: Graph,
    shapes: Vec<Shape>,
    units: Vec<Unit>,
    unit_of: Vec<usize>,
    pool: Arc<dyn Pool>,
    level: Level,
    plans: BTreeMap<usize, Plan>,
    arena: Buffer,
    /// Per-channel vectors that live through a step.
    vectors: Buffer,
    /// Time of every unit, where somebody asked.
    times: Option<Times>,
    /// Logits of the last step, where somebody asked.
    logits: Option<Vec<f32>>,
}

impl Engine {
    /// Compiles `graph` for batches of `batch` pictures; other sizes are compiled when they come.
    ///
    /// # Errors
    /// The graph is not valid, has not one input and one output, or has a norm that would see a
    /// single value.
    pub fn new(
        graph: &Graph,
        params: &Params,
        batch: usize,
        pool: Arc<dyn Pool>,
        options: EngineOptions,
    ) -> Result<Self> {
        let (units, unit_of) = units::group(graph);
        let mut engine = Self {
            shapes: graph.shapes()?,
            graph: graph.clone(),
            units,
            unit_of,
            pool,
            level: options.level,
            plans: BTreeMap::new(),
            arena: Buffer::zeroed(0),
            vectors: Buffer::zeroed(0),
            times: None,
            logits: None,
        };
        engine.compile(params, batch)?;
        Ok(engine)
    }

    /// What a step needs.
    pub fn memory(&self, params: &Params) -> Memory {
        const FLOAT: usize = size_of::<f32>();
        Memory {
            parameters: (params.values.len() + params.buffers.len()) * FLOAT,
            gradients: params.grads.len() * FLOAT,
            arena: (self.arena.len() + self.vectors.len()) * FLOAT,
        }
    }

    /// From now on, adds up the time of every unit; see [`Engine::profile`].
    ///
    /// With `apart`, gradients of weights and of inputs are computed one after the other, so that each has a time. Without
    /// it a step does what it always does, which is both in one walk where that is faster.
    pub fn start_profile(&mut self, apart: bool) {
        self.times = Some(Times::new(self.units.len(), apart));
    }

    /// Times since [`Engine::start_profile`], as far as steps were made; they had one batch size.
    pub fn profile(&self) -> Option<StepTime> {
        let times = self.times.as_ref()?;
        Some(profile::rows(&self.graph, &self.units, self.plans.get(&times.batch)?, times))
    }

    /// From now on, keeps a copy of every step's logits; see [`Engine::logits`].
    pub fn keep_logits(&mut self) {
        self.logits = Some(Vec::new());
    }

    /// The last step's logits as `N, C, H, W`; empty before the first step after [`Engine::keep_logits`].
    pub fn logits(&self) -> &[f32] {
        self.logits.as_deref().unwrap_or_default()
    }

    /// Forward in training mode, loss, and reverse pass.
    ///
    /// Fills `params.grads` with the gradient of the mean loss and moves the running statistics.
    ///
    /// # Errors
    /// The batch does not fit the network: another number of floats, no pictures, or a label that is
    /// no class.
    pub fn step(&mut self, params: &mut Params, batch: &Batch<'_>) -> Result<StepOutput> {
        let n = self.check(batch)?;
        if !self.plans.contains_key(&n) {
            self.compile(params, n)?;
        }
        let plan = &self.plans[&n];
        let mut run = Run {
            plan,
            exec: Exec { level: self.level, pool: &*self.pool },
            arena: &mut self.arena,
            vectors: &mut self.vectors,
            params,
            seed: batch.seed,
            clock: Clock::start(self.times.as_mut(), n),
        };
        for unit in (0..plan.units.len()).filter(|&unit| plan.units[unit].live) {
            run.forward(unit, batch.images);
            run.clock.lap(unit, Part::Forward);
        }
        if let Some(logits) = &mut self.logits {
            run.copy_logits(logits);
        }
        let output = run.loss(batch);
        run.clock.lap_loss();
        for unit in (0..plan.units.len()).rev().filter(|&unit| plan.units[unit].has_gradient) {
            run.backward(unit);
            run.clock.lap(unit, Part::Gradients);
        }
        Ok(output)
    }

    fn compile(&mut self, params: &Params, batch: usize) -> Result<()> {
        if batch == 0 {
            return Err(Error::Batch("a batch needs at least one picture".into()));
        }
        let source = plan::Source {
            graph: &self.graph,
            shapes: &self.shapes,
            units: &self.units,
            unit_of: &self.unit_of,
            params,
            threads: self.pool.threads(),
        };
        let (plan, vectors) = plan::compile(&source, batch)?;
        if plan.arena > isize::MAX as usize / size_of::<f32>() {
            return Err(Error::Batch(format!("a batch of {batch} needs more memory than there can be")));
        }
        if plan.arena > self.arena.len() {
            self.arena = Buffer::zeroed(plan.arena);
        }
        if vectors > self.vectors.len() {
            self.vectors = Buffer::zeroed(vectors);
        }
        self.plans.insert(batch, plan);
        Ok(())
    }

    /// The pictures of a batch that fits the network.
    fn check(&self, batch: &Batch<'_>) -> Result<usize> {
        let (labels, input, output) = (batch.labels.len(), self.graph.input_shape()?, self.graph.output_shape()?);
        let classes = output.channels();
        let rows = output.elements() / classes.max(1);
        if labels == 0 || !labels.is_multiple_of(rows) {
            return Err(Error::Batch(format!("an output of {output} needs {rows} labels a picture, got {labels}")));
        }
        let n = labels / rows;
        if input.elements().checked_mul(n) != Some(batch.images.len()) {
            let got = batch.images.len();
            return Err(Error::Batch(format!("{labels} labels need {n} pictures of {input} floats, got {got} floats")));
        }
        let (others, shares) = batch.mixed.map_or((&[][..], &[][..]), |mixed| (mixed.labels, mixed.shares));
        if batch.mixed.is_some() && (others.len(), shares.len()) != (labels, labels) {
            let (others, shares) = (others.len(), shares.len());
            return Err(Error::Batch(format!("{labels} labels are mixed with {others} others and {shares} shares")));
        }
        if let Some(share) = shares.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            return Err(Error::Batch(format!("a second label's share is {share}, must be from 0 to 1")));
        }
        if let Some(weights) = batch.weights {
            let bad = weights.iter().find(|weight| !(**weight > 0.0 && weight.is_finite()));
            if weights.len() != classes || bad.is_some() || batch.mixed.is_some() {
                let text = format!(
                    "{} weights for {classes} classes, which must be positive, of pictures not mixed",
                    weights.len()
                );
                return Err(Error::Batch(text));
            }
        }
        let ignored = |label: u32| label == IGNORED && batch.mixed.is_none();
        match batch.labels.iter().chain(others).find(|&&label| label as usize >= classes && !ignored(label)) {
            Some(label) => Err(Error::Batch(format!("label {label} is no class of a network with {classes} outputs"))),
            None => Ok(n),
        }
    }
}

/// A step under way.
struct Run<'a> {
    plan: &'a Plan,
    exec: Exec<'a>,
    arena: &'a mut Buffer,
    vectors: &'a mut Buffer,
    params: &'a mut Params,
    seed: u64,
    clock: Clock<'a>,
}

impl Run<'_> {
    fn copy_logits(&self, logits: &mut Vec<f32>) {
        let unit = &self.plan.units[self.plan.logits];
        let source = unit.source(&self.arena[unit.z.clone()], self.vectors, &self.params.values);
        let mut blocked = vec![0.0; unit.dims.len()];
        elementwise::apply(self.exec, &unit.dims, source, &mut blocked);
        logits.resize(unit.dims.rows() * unit.dims.c, 0.0);
        to_nchw(self.exec, unit.dims, &blocked, logits);
    }

    fn loss(&mut self, batch: &Batch<'_>) -> StepOutput {
        let plan = self.plan;
        let logits = &plan.units[plan.logits];
        let g = logits.g.clone().unwrap_or_default();
        let ([z], [g, scratch]) = self.arena.views([logits.z.clone()], [g, plan.loss_scratch.clone()]);
        let source = logits.source(z, self.vectors, &self.params.values);
        let grad = logits.has_gradient.then_some(g);
        let targets =
            Targets { labels: batch.labels, weights: batch.weights, mixed: batch.mixed, smoothing: batch.smoothing };
        let loss = loss::softmax_cross_entropy(self.exec, &logits.dims, source, &targets, grad, scratch);
        StepOutput { loss: loss.mean, labels: loss.counted, top1: loss.top1, top5: loss.top5 }
    }
}

impl UnitPlan {
    /// The unit's value as readers get it.
    fn source<'a>(&'a self, z: &'a [f32], vectors: &'a [f32], values: &'a [f32]) -> Source<'a> {
        let affine = self.norm.as_ref().map(|norm| {
            let [_, _, scale, shift, ..] = &norm.vectors;
            (&vectors[scale.clone()], &vectors[shift.clone()])
        });
        let act = self.act.as_ref().map_or(Default::default(), |act| act.kernel(values));
        Source { z, affine, act }
    }

    /// The gradient of the stored tensor, from that of the value.
    fn grad_source<'a>(&'a self, g: &'a [f32], z: &'a [f32], vectors: &'a [f32], values: &'a [f32]) -> GradSource<'a> {
        if !self.applies() {
            return GradSource::plain(g);
        }
        // Statistics that stay have no gradient: such a norm is an affine map.
        let norm = self.norm.as_ref().filter(|norm| !norm.frozen).map(|norm| {
            let [.., k1, k2, k3] = &norm.vectors;
            NormGrad { k1: &vectors[k1.clone()], k2: &vectors[k2.clone()], k3: &vectors[k3.clone()] }
        });
        GradSource { g, source: self.source(z, vectors, values), norm }
    }

    /// Where the stored tensor is, if the reverse step has to see it.
    fn z_for_grad(&self) -> std::ops::Range<usize> {
        if self.applies() { self.z.clone() } else { 0..0 }
    }
}

impl ActPlan {
    fn kernel<'a>(&self, values: &'a [f32]) -> sepal_kernels::Act<'a> {
        use sepal_graph::Activation;
        use sepal_kernels::{Act, Smooth};
        match self {
            Self::Prelu(slope) => Act::Prelu(&values[slope.clone()]),
            Self::Plain(act) => match *act {
                Activation::Relu => Act::Relu,
                Activation::Relu6 => Act::Relu6,
                Activation::Elu { alpha } => Act::Elu(alpha),
                Activation::Prelu => unreachable!("a PReLU is compiled with its slopes"),
                Activation::Silu => Act::Silu,
                Activation::HardSwish => Act::HardSwish,
                Activation::HardSigmoid => Act::HardSigmoid,
                Activation::Sigmoid => Act::Sigmoid,
                Activation::Tanh => Act::Smooth(Smooth::Tanh),
                Activation::LeakyRelu { slope } => Act::LeakyRelu(slope),
                Activation::Gelu => Act::Smooth(Smooth::Gelu),
                Activation::GeluTanh => Act::Smooth(Smooth::GeluTanh),
                Activation::Mish => Act::Smooth(Smooth::Mish),
                Activation::Clip { min, max } => Act::Clip(min, max),
            },
        }
    }
}
