//! The reverse step of one unit.

use std::ops::Range;

use sepal_kernels::elementwise::Side;
use sepal_kernels::scale::Factor;
use sepal_kernels::{
    Input, InputGrad, LANES, Source, Write, conv, depthwise, elementwise, norm, pooling, scale, softmax,
};

use super::Run;
use super::forward::mix;
use super::kind::Kind;
use super::plan::{ActPlan, Norm, UnitPlan};
use super::profile::Part;
use crate::params::Params;

impl Run<'_> {
    /// From the gradient of a unit's value to those of its parameters and its inputs' values.
    pub(super) fn backward(&mut self, index: usize) {
        let unit = &self.plan.units[index];
        if let Some(norm) = unit.norm.as_ref().filter(|norm| norm.wants_sums()) {
            self.norm_gradient(unit, norm);
        }
        if let Some(ActPlan::Prelu(slope)) = &unit.act {
            self.slope_gradient(unit, slope.clone());
        }
        self.clock.lap(index, Part::Norm);
        match &unit.kind {
            Kind::Conv { weight, bias, .. } | Kind::Depthwise { weight, bias, .. } => {
                self.convolution(index, weight.clone(), bias.clone());
            }
            Kind::Transposed { conv, weight, bias } => self.transposed(unit, conv, weight.clone(), bias.clone()),
            Kind::LayerNorm { gamma, beta, eps } => self.layer_norm(unit, [gamma.clone(), beta.clone()], *eps),
            Kind::GatedSum => self.gated_sum_gradient(unit),
            Kind::Channels { .. } | Kind::Resample { .. } | Kind::Gather { .. } | Kind::Constant { .. } => {
                self.moved_gradient(unit);
            }
            Kind::Input { .. } => {}
            Kind::Binary(_)
            | Kind::Scale { .. }
            | Kind::Softmax
            | Kind::Pool(_)
            | Kind::GlobalAvgPool { .. }
            | Kind::Dropout { .. }
            | Kind::Copy => {
                for (at, edge) in unit.inputs.iter().enumerate() {
                    if let Some(write) = edge.dx {
                        self.input_gradient(index, at, write);
                    }
                }
            }
        }
    }

    /// The gradients of a norm's scale and shift, and the factors of that of its input.
    fn norm_gradient(&mut self, unit: &UnitPlan, norm: &Norm) {
        let g = unit.g.clone().unwrap_or_default();
        let ([g, z], [sums]) = self.arena.views([g, unit.z.clone()], [unit.backward.sums.clone()]);
        let Params { values, grads, .. } = &mut *self.params;
        let source = unit.source(z, self.vectors, values);
        let [mean, inv_std, _, _, k1, k2, k3] = norm.vectors.clone();
        if norm.grad_chunks.is_none() {
            norm::grad_sums(self.exec, &unit.dims, g, source, &self.vectors[mean.clone()], sums);
        }
        let ([mean, inv_std], [k1, k2, k3]) = self.vectors.views([mean, inv_std], [k1, k2, k3]);
        let part = |range: &Option<Range<usize>>| range.clone().unwrap_or_default();
        let ([], [dgamma, dbeta]) = grads.views([], [part(&norm.gamma), part(&norm.beta)]);
        let gamma = norm.gamma.clone().map(|gamma| &values[gamma]);
        let dgamma = gamma.is_some().then_some(dgamma);
        let dbeta = norm.beta.is_some().then_some(dbeta);
        norm::grad_finish(&unit.dims, sums, mean, inv_std, gamma, dgamma, dbeta, k1, k2, k3);
    }

    fn slope_gradient(&mut self, unit: &UnitPlan, slope: Range<usize>) {
        let g = unit.g.clone().unwrap_or_default();
        let ([g, z], [scratch]) = self.arena.views([g, unit.z.clone()], [unit.backward.scratch.clone()]);
        let source = unit.source(z, self.vectors, &self.params.values);
        elementwise::prelu_grad(self.exec, &unit.dims, g, source, &mut self.params.grads[slope.clone()], scratch);
        clear_padding(&mut self.params.grads[slope], unit.dims.c);
    }

    /// Weights, bias and input of a convolution of any kind.
    fn convolution(&mut self, index: usize, weight: Range<usize>, bias: Option<Range<usize>>) {
        let unit = &self.plan.units[index];
        let Some(edge) = unit.inputs.first() else { return };
        let input = &self.plan.units[edge.unit];
        let g = unit.g.clone().unwrap_or_default();
        let dx_range = edge.dx.and(input.g.clone()).unwrap_or_default();
        let work = &unit.backward;
        let sums = if edge.sums { input.backward.sums.clone() } else { 0..0 };
        let ([g, z, x], [dx, scratch, packed, partial]) = self.arena.views(
            [g, unit.z_for_grad(), input.z.clone()],
            [dx_range, work.scratch.clone(), work.packed.clone(), sums],
        );
        let Params { values, grads, .. } = &mut *self.params;
        let dz = unit.grad_source(g, z, self.vectors, values);
        let source = input.source(x, self.vectors, values);
        let sums = input.norm.as_ref().filter(|_| edge.sums);
        let sums = sums.map(|norm| norm::GradSums { mean: &self.vectors[norm.vectors[0].clone()], partial });
        let bias = bias.filter(|_| unit.trains_bias);
        let bias_range = bias.clone().unwrap_or_default();
        let ([], [dw, dbias]) = grads.views([], [weight.clone(), bias_range]);
        let mut dx = edge.dx.map(|write| InputGrad { dx, write, sums });
        let dw = unit.trains_weight.then_some(dw);
        let dbias = bias.is_some().then_some(dbias);
        let apart = self.clock.apart();
        match &unit.kind {
            Kind::Depthwise { conv, .. } => {
                depthwise::pack(self.exec, conv, &values[weight], packed);
                if apart && dx.is_some() {
                    depthwise::backward(self.exec, conv, dz, source, packed, dx.take(), None, None, scratch);
                    self.clock.lap(index, Part::Input);
                }
                if dx.is_some() || dw.is_some() || dbias.is_some() {
                    depthwise::backward(self.exec, conv, dz, source, packed, dx, dw, dbias, scratch);
                }
            }
            Kind::Conv { conv, .. } => {
                let x = match input.kind {
                    Kind::Input { pixels: true } => Input::Pixels(x),
                    _ => Input::Blocked(source),
                };
                if dx.is_some() {
                    conv::pack_back(self.exec, conv, &values[weight], packed);
                }
                if apart && dx.is_some() {
                    conv::backward(self.exec, conv, dz, x, packed, dx.take(), None, None, scratch);
                    self.clock.lap(index, Part::Input);
                }
                if dx.is_some() || dw.is_some() || dbias.is_some() {
                    conv::backward(self.exec, conv, dz, x, packed, dx, dw, dbias, scratch);
                }
            }
            _ => unreachable!("called for convolutions"),
        }
        if apart {
            self.clock.lap(index, Part::Weights);
        }
        if let Some(bias) = bias {
            clear_padding(&mut grads[bias], unit.dims.c);
        }
    }

    /// One input of a unit without parameters.
    fn input_gradient(&mut self, index: usize, at: usize, write: Write) {
        let unit = &self.plan.units[index];
        let read = |at: usize| unit.inputs.get(at).map(|edge| &self.plan.units[edge.unit]);
        let Some(input) = read(at) else { return };
        let (g, dx) = (unit.g.clone().unwrap_or_default(), input.g.clone().unwrap_or_default());
        let reread = |at: usize| match read(at) {
            Some(input) if unit.kind.rereads_input() => input.z.clone(),
            _ => 0..0,
        };
        let z = if unit.kind.rereads_result() { unit.z.clone() } else { unit.z_for_grad() };
        let ([g, z, x, y], [dx]) = self.arena.views([g, z, reread(0), reread(1)], [dx]);
        let (exec, values) = (self.exec, &self.params.values);
        let dz = unit.grad_source(g, z, self.vectors, values);
        let source = |at: usize, z| match read(at) {
            Some(input) => input.source(z, self.vectors, values),
            None => Source::plain(z),
        };
        let (x, y) = (source(0, x), source(1, y));
        match &unit.kind {
            Kind::Binary(op) => {
                let side = if at == 0 { Side::First } else { Side::Second };
                elementwise::binary_grad(exec, &unit.dims, *op, side, dz, x, y, dx, write);
            }
            Kind::Scale { map } => {
                let (x, s) = if *map == 0 { (x, y) } else { (y, x) };
                if at == *map {
                    scale::input_grad(exec, &unit.dims, dz, Factor::PerChannel(s), dx, write);
                } else {
                    scale::channel_grad(exec, &unit.dims, dz, x, dx, write);
                }
            }
            Kind::Copy => elementwise::grad(exec, &unit.dims, dz, dx, write),
            Kind::Softmax => softmax::backward(exec, &unit.dims, dz, z, dx, write),
            Kind::Pool(pool) => pooling::backward(exec, pool, dz, x, dx, write),
            Kind::GlobalAvgPool { input } => pooling::global_average_grad(exec, input, dz, dx, write),
            Kind::Dropout { p } => {
                elementwise::dropout_grad(exec, &unit.dims, g, 1.0 - p, self.seed ^ mix(index), dx, write);
            }
            Kind::Input { .. }
            | Kind::Conv { .. }
            | Kind::Depthwise { .. }
            | Kind::Transposed { .. }
            | Kind::LayerNorm { .. }
            | Kind::GatedSum
            | Kind::Channels { .. }
            | Kind::Resample { .. }
            | Kind::Gather { .. }
            | Kind::Constant { .. } => unreachable!("the pictures have no gradient, the others their own step"),
        }
    }
}

/// Zeros behind a vector of `channels` floats: an optimizer must find none of the padding's meaningless sums.
pub(super) fn clear_padding(vector: &mut [f32], channels: usize) {
    debug_assert!(vector.len().is_multiple_of(LANES));
    vector[channels..].fill(0.0);
}
