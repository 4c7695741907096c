//! The forward step of one unit.

use sepal_kernels::scale::Factor;
use sepal_kernels::{
    Epilogue, Input, Write, arrange, conv, depthwise, elementwise, from_nchw, layer_norm, norm, pixels_from_nchw,
    pooling, scale, softmax,
};

use super::Run;
use super::kind::Kind;
use super::plan::{Norm, UnitPlan};
use crate::params::Params;

impl Run<'_> {
    /// Computes the stored tensor of a unit, and its norm's scale and shift.
    pub(super) fn forward(&mut self, index: usize, images: &[f32]) {
        let units = &self.plan.units;
        let unit = &units[index];
        match &unit.kind {
            Kind::Channels { parts, fills, value } => self.channels(unit, parts, fills, *value),
            Kind::GatedSum => self.gated_sum(unit),
            Kind::Constant { values, learnt } => self.constant(unit, values.clone(), *learnt),
            _ => self.compute(index, images),
        }
        if let Some(norm) = &unit.norm {
            if !norm.by_producer && !norm.frozen {
                let ([z], [sums]) = self.arena.views([unit.z.clone()], [unit.forward.sums.clone()]);
                norm::statistics(self.exec, &unit.dims, sepal_kernels::Source::plain(z), sums);
            }
            self.finish_norm(unit, norm, unit.forward.sums.clone());
        }
    }

    /// The stored tensor of a unit of at most two inputs.
    fn compute(&mut self, index: usize, images: &[f32]) {
        let units = &self.plan.units;
        let unit = &units[index];
        let read = |at: usize| unit.inputs.get(at).map(|edge| &units[edge.unit]);
        let z_of = |at: usize| read(at).map_or(0..0, |input| input.z.clone());
        let work = &unit.forward;
        let ([x, y], [z, scratch, packed, sums]) = self
            .arena
            .views([z_of(0), z_of(1)], [unit.z.clone(), work.scratch.clone(), work.packed.clone(), work.sums.clone()]);
        let (exec, vectors) = (self.exec, &*self.vectors);
        let Params { values, .. } = &*self.params;
        let source = |at: usize, z| read(at).map(|input: &UnitPlan| input.source(z, vectors, values));
        let by_producer = unit.norm.as_ref().is_some_and(|norm| norm.by_producer);
        match (&unit.kind, source(0, x)) {
            (Kind::Input { pixels: true }, _) => pixels_from_nchw(exec, unit.dims, images, z),
            (Kind::Input { pixels: false }, _) => from_nchw(exec, unit.dims, images, z),
            (Kind::Conv { conv, weight, bias }, Some(source)) => {
                let input = match read(0).map(|input| &input.kind) {
                    Some(Kind::Input { pixels: true }) => Input::Pixels(x),
                    _ => Input::Blocked(source),
                };
                let epilogue = Epilogue { bias: bias.clone().map(|bias| &values[bias]), ..Epilogue::default() };
                conv::pack(exec, conv, &values[weight.clone()], packed);
                conv::forward(exec, conv, input, packed, epilogue, z, by_producer.then_some(&mut *sums), scratch);
            }
            (Kind::Depthwise { conv, weight, bias }, Some(source)) => {
                let epilogue = Epilogue { bias: bias.clone().map(|bias| &values[bias]), ..Epilogue::default() };
                depthwise::pack(exec, conv, &values[weight.clone()], packed);
                depthwise::forward(exec, conv, source, packed, epilogue, z, by_producer.then_some(&mut *sums), scratch);
            }
            (Kind::Transposed { conv, weight, bias }, Some(source)) => {
                conv::pack_back(exec, conv, &values[weight.clone()], packed);
                let bias = bias.clone().map(|bias| &values[bias]);
                conv::transposed::forward(exec, conv, source, packed, bias, z, scratch);
            }
            (Kind::Binary(op), Some(a)) => {
                if let Some(b) = source(1, y) {
                    elementwise::binary(exec, &unit.dims, *op, a, b, z);
                }
            }
            (Kind::Scale { map }, Some(a)) => {
                if let Some(b) = source(1, y) {
                    let (x, s) = if *map == 0 { (a, b) } else { (b, a) };
                    scale::forward(exec, &unit.dims, x, Factor::PerChannel(s), z, Write::Set);
                }
            }
            (Kind::Resample { taps, .. }, Some(source)) => {
                arrange::resample(exec, taps, unit.dims.n, unit.dims.c, source, z, Write::Set);
            }
            (Kind::Gather { input, gather, .. }, Some(source)) => {
                let x = if source.is_plain() {
                    x
                } else {
                    elementwise::apply(exec, input, source, scratch);
                    scratch
                };
                arrange::gather(exec, gather, unit.dims.n, x, z, Write::Set);
            }
            (Kind::Softmax, Some(source)) => softmax::forward(exec, &unit.dims, source, z),
            (Kind::LayerNorm { gamma, beta, eps }, Some(source)) => {
                let [gamma, beta] = [gamma, beta].map(|range| range.clone().map(|range| &values[range]));
                layer_norm::forward(exec, &unit.dims, source, gamma, beta, *eps, z);
            }
            (Kind::Pool(pool), Some(source)) => pooling::forward(exec, pool, source, z),
            (Kind::GlobalAvgPool { input }, Some(source)) => pooling::global_average(exec, input, source, z),
            (Kind::Dropout { p }, Some(source)) => {
                elementwise::dropout(exec, &unit.dims, source, 1.0 - p, self.seed ^ mix(index), z);
            }
            (Kind::Copy, Some(source)) => elementwise::apply(exec, &unit.dims, source, z),
            (Kind::Channels { .. } | Kind::GatedSum | Kind::Constant { .. }, _) | (_, None) => {
                unreachable!("these have their own steps, and all others but the input read another unit")
            }
        }
    }

    /// From the statistics of the batch to scale, shift and running statistics; of a frozen norm, from those that run.
    fn finish_norm(&mut self, unit: &UnitPlan, norm: &Norm, sums: std::ops::Range<usize>) {
        let [mean, inv_std, scale, shift, ..] = norm.vectors.clone();
        let ([], [mean, inv_std, scale, shift]) = self.vectors.views([], [mean, inv_std, scale, shift]);
        let ([], [running_mean, running_var]) = self.params.buffers.views([], norm.running.clone());
        let values = &self.params.values;
        let param = |range: &Option<std::ops::Range<usize>>| range.clone().map(|range| &values[range]);
        let params =
            norm::Params { gamma: param(&norm.gamma), beta: param(&norm.beta), eps: norm.eps, momentum: norm.momentum };
        let saved = norm::Saved { mean, inv_std, scale, shift };
        if norm.frozen {
            return norm::eval(&unit.dims, params, running_mean, running_var, saved);
        }
        let running = Some((running_mean, running_var));
        norm::finish(&unit.dims, norm.stat_rows, &self.arena[sums], params, running, saved);
    }
}

/// Spreads a unit's number over all bits, so that two dropouts do not drop the same.
pub(super) fn mix(index: usize) -> u64 {
    (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
