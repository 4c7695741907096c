//! The profile of training steps.

use std::collections::HashMap;
use std::time::Duration;

use sepal_kernels::{Buffer, Exec, update};
use sepal_train::{Params, StepTime, UnitTime};

use super::passes::{Pass, Training, passes};
use super::profile::Row;
use super::stats::Stats;

const FLOAT: u64 = size_of::<f32>() as u64;
/// Tensors that a step of gradient descent with momentum reads and writes.
const UPDATE: u64 = 5;
/// Those that a moving average does.
const AVERAGE: u64 = 3;

/// Times of many steps.
#[derive(Default)]
pub(super) struct Steps {
    /// As training runs.
    pub(super) as_run: Vec<StepTime>,
    /// With one gradient after the other.
    pub(super) apart: Vec<StepTime>,
    pub(super) update: Vec<Duration>,
    pub(super) average: Vec<Duration>,
}

impl Steps {
    /// A row for each unit, the loss and the update, by the medians of the steps, and the passes. `nodes` are all nodes
    /// with their multiply-adds in a step; `values` and `buffers` count learnt floats and those of running statistics.
    pub(super) fn rows<'a>(
        self,
        nodes: impl Iterator<Item = (&'a str, u64)>,
        values: usize,
        buffers: usize,
    ) -> (Vec<Row>, Vec<Pass>) {
        let Self { as_run, apart, update, average } = self;
        let Some(units) = as_run.first().map(|step| &step.units) else { return (Vec::new(), Vec::new()) };
        let macs = by_unit(units, nodes);
        let median =
            |steps: &[StepTime], of: &dyn Fn(&StepTime) -> Duration| Stats::new(steps.iter().map(of).collect()).median;
        let mut rows = Vec::with_capacity(units.len() + 2);
        let (mut forward, mut norm, mut backward) = ((0.0, 0), 0.0, (0.0, 0));
        for (at, (unit, macs)) in units.iter().zip(macs).enumerate() {
            let of = |part: fn(&UnitTime) -> Duration| {
                median(&as_run, &|step| step.units.get(at).map(part).unwrap_or_default())
            };
            let alone = |part: fn(&UnitTime) -> Duration| {
                let seconds = median(&apart, &|step| step.units.get(at).map(part).unwrap_or_default());
                (seconds > 0.0).then_some(seconds)
            };
            let training = Training {
                forward: of(|unit| unit.forward),
                norm: of(|unit| unit.norm),
                backward: of(UnitTime::backward),
                input: alone(|unit| unit.input),
                weights: alone(|unit| unit.weights),
                forward_bytes: unit.forward_bytes,
                backward_bytes: unit.backward_bytes,
                fallback: unit.fallback.clone(),
            };
            forward = (forward.0 + training.forward, forward.1 + unit.forward_bytes);
            backward = (backward.0 + training.backward, backward.1 + unit.backward_bytes);
            norm += training.norm;
            rows.push(Row {
                name: unit.path.clone(),
                kind: unit.kind.clone(),
                seconds: training.forward + training.backward,
                macs,
                bytes: Some(unit.forward_bytes + unit.backward_bytes),
                training: Some(training),
            });
        }
        let loss = median(&as_run, &|step| step.loss);
        let [update, average] = [update, average].map(|samples| Stats::new(samples).median);
        let [learnt, all] = [values, values + buffers].map(|floats| floats as u64 * FLOAT);
        let mut row = |name: &str, kind: &str, seconds, bytes| {
            let (name, kind) = (name.to_owned(), kind.to_owned());
            rows.push(Row { name, kind, seconds, macs: 0, bytes, training: None });
        };
        row("loss", "softmax and cross-entropy", loss, None);
        row("update", "SGD with momentum", update, Some(UPDATE * learnt));
        let list = passes(vec![
            ("forward", forward.0, Some(forward.1), true),
            ("loss", loss, None, true),
            ("norm sums", norm, None, true),
            ("gradients", backward.0 - norm, Some(backward.1), true),
            ("update", update, Some(UPDATE * learnt), true),
            ("moving average", average, Some(AVERAGE * all), false),
        ]);
        (rows, list)
    }
}

/// The moving average that a recipe may ask for.
pub(super) struct Average {
    values: Buffer,
    buffers: Buffer,
}

impl Average {
    const DECAY: f32 = 0.999;

    pub(super) fn new(params: &Params) -> Self {
        let [values, buffers] = [&params.values, &params.buffers].map(|of| Buffer::zeroed(of.len()));
        Self { values, buffers }
    }

    pub(super) fn step(&mut self, exec: Exec<'_>, params: &Params) {
        update::ema(exec, Self::DECAY, &mut self.values, &params.values);
        update::ema(exec, Self::DECAY, &mut self.buffers, &params.buffers);
    }
}

/// Multiply-adds of each unit. A unit has the path of its last node; those before it, back to the unit before, are its
/// own.
fn by_unit<'a>(units: &[UnitTime], nodes: impl Iterator<Item = (&'a str, u64)>) -> Vec<u64> {
    let index: HashMap<&str, usize> = units.iter().enumerate().map(|(i, unit)| (unit.path.as_str(), i)).collect();
    let mut macs = vec![0; units.len()];
    let mut pending = 0;
    for (path, own) in nodes {
        pending += own;
        if let Some(&unit) = index.get(path) {
            macs[unit] += std::mem::take(&mut pending);
        }
    }
    macs
}
