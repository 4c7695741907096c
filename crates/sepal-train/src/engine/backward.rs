//! The reverse step of one unit.

use std::ops::Range;

use sepal_kernels::{GradSource, Input, LANES, Write, conv, depthwise, elementwise, from_nchw, norm, pooling, to_nchw};

use super::Run;
use super::forward::mix;
use super::plan::{ActPlan, Edge, Kind, Norm, UnitPlan, flat_len};
use crate::params::Params;

impl Run<'_> {
    /// From the gradient of a unit's value to those of its parameters and its inputs' values.
    pub(super) fn backward(&mut self, index: usize) {
        let unit = &self.plan.units[index];
        if let Some(norm) = &unit.norm {
            self.norm_gradient(unit, norm);
        }
        if let Some(ActPlan::Prelu(slope)) = &unit.act {
            self.slope_gradient(unit, slope.clone());
        }
        match &unit.kind {
            Kind::Conv { weight, bias, .. } | Kind::Depthwise { weight, bias, .. } => {
                self.convolution(unit, weight.clone(), bias.clone());
            }
            Kind::Input { .. } => {}
            _ => {
                for edge in &unit.inputs {
                    if let Some(write) = edge.dx {
                        self.input_gradient(index, edge, write);
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
        norm::grad_sums(self.exec, &unit.dims, g, source, &self.vectors[mean.clone()], sums);
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
    fn convolution(&mut self, unit: &UnitPlan, weight: Range<usize>, bias: Option<Range<usize>>) {
        let Some(edge) = unit.inputs.first() else { return };
        let input = &self.plan.units[edge.unit];
        let g = unit.g.clone().unwrap_or_default();
        let dx_range = edge.dx.and(input.g.clone()).unwrap_or_default();
        let work = &unit.backward;
        let ([g, z, x], [dx, scratch, packed]) = self
            .arena
            .views([g, unit.z_for_grad(), input.z.clone()], [dx_range, work.scratch.clone(), work.packed.clone()]);
        let Params { values, grads, .. } = &mut *self.params;
        let dz = unit.grad_source(g, z, self.vectors, values);
        let source = input.source(x, self.vectors, values);
        let bias_range = bias.clone().unwrap_or_default();
        let ([], [dw, dbias]) = grads.views([], [weight.clone(), bias_range]);
        let dx = edge.dx.map(|write| (dx, write));
        let dbias = bias.is_some().then_some(dbias);
        match &unit.kind {
            Kind::Depthwise { conv, .. } => {
                depthwise::pack(self.exec, conv, &values[weight], packed);
                depthwise::backward(self.exec, conv, dz, source, packed, dx, Some(dw), dbias, scratch);
            }
            Kind::Conv { conv, .. } => {
                let x = match input.kind {
                    Kind::Input { pixels: true } => Input::Pixels(x),
                    _ => Input::Blocked(source),
                };
                if dx.is_some() {
                    conv::pack_back(self.exec, conv, &values[weight], packed);
                }
                conv::backward(self.exec, conv, dz, x, packed, dx, Some(dw), dbias, scratch);
            }
            _ => unreachable!("called for convolutions"),
        }
        if let Some(bias) = bias {
            clear_padding(&mut grads[bias], unit.dims.c);
        }
    }

    /// One input of a unit without parameters.
    fn input_gradient(&mut self, index: usize, edge: &Edge, write: Write) {
        let unit = &self.plan.units[index];
        let input = &self.plan.units[edge.unit];
        let (g, dx) = (unit.g.clone().unwrap_or_default(), input.g.clone().unwrap_or_default());
        let x = if unit.kind.rereads_input() { input.z.clone() } else { 0..0 };
        let ([g, z, x], [dx, scratch]) =
            self.arena.views([g, unit.z_for_grad(), x], [dx, unit.backward.scratch.clone()]);
        let (exec, values) = (self.exec, &self.params.values);
        let dz = unit.grad_source(g, z, self.vectors, values);
        match &unit.kind {
            Kind::Add | Kind::Copy => elementwise::grad(exec, &unit.dims, dz, dx, write),
            Kind::Pool(pool) => pooling::backward(exec, pool, dz, input.source(x, self.vectors, values), dx, write),
            Kind::GlobalAvgPool { input } => pooling::global_average_grad(exec, input, dz, dx, write),
            Kind::Dropout { p } => {
                elementwise::dropout_grad(exec, &unit.dims, g, 1.0 - p, self.seed ^ mix(index), dx, write);
            }
            Kind::Flatten { input } => {
                let (vector, rest) = scratch.split_at_mut(unit.dims.len());
                let (flat, map) = rest.split_at_mut(flat_len(input));
                elementwise::grad(exec, &unit.dims, dz, vector, Write::Set);
                to_nchw(unit.dims, vector, flat);
                from_nchw(*input, flat, map);
                elementwise::grad(exec, input, GradSource::plain(map), dx, write);
            }
            Kind::Input { .. } | Kind::Conv { .. } | Kind::Depthwise { .. } => {
                unreachable!("inputs have no gradient, convolutions their own step")
            }
        }
    }
}

/// Zeros behind a vector of `channels` floats: an optimizer must find none of the padding's meaningless sums.
fn clear_padding(vector: &mut [f32], channels: usize) {
    debug_assert!(vector.len().is_multiple_of(LANES));
    vector[channels..].fill(0.0);
}
