//! Transposed convolutions, layer norms and gated sums.

use std::ops::Range;

use sepal_kernels::layer_norm::{self, Gradients};
use sepal_kernels::scale::{self, Factor};
use sepal_kernels::{Conv, Write, conv, elementwise};

use super::Run;
use super::backward::clear_padding;
use super::plan::UnitPlan;
use crate::params::Params;

impl Run<'_> {
    /// The sum of the other inputs, each weighed by its value of the first.
    pub(super) fn gated_sum(&mut self, unit: &UnitPlan) {
        let Some((gate, terms)) = unit.inputs.split_first() else { return };
        let gate = &self.plan.units[gate.unit];
        for (index, edge) in terms.iter().enumerate() {
            let input = &self.plan.units[edge.unit];
            let ([g, x], [z]) = self.arena.views([gate.z.clone(), input.z.clone()], [unit.z.clone()]);
            let values = &self.params.values;
            let (gate, x) = (gate.source(g, self.vectors, values), input.source(x, self.vectors, values));
            let write = if index == 0 { Write::Set } else { Write::Add };
            let factor = Factor::PerImage { gate, of: terms.len(), index };
            scale::forward(self.exec, &unit.dims, x, factor, z, write);
        }
    }

    /// The gradients of the gate and of all terms.
    pub(super) fn gated_sum_gradient(&mut self, unit: &UnitPlan) {
        let Some((gate_edge, terms)) = unit.inputs.split_first() else { return };
        let gate = &self.plan.units[gate_edge.unit];
        let g = unit.g.clone().unwrap_or_default();
        // The gate first: a value that is also a term must have its place set before it is added to.
        let dgate = gate_edge.dx.and(gate.g.clone()).unwrap_or_default();
        for (index, edge) in terms.iter().enumerate() {
            let Some(write) = gate_edge.dx else { break };
            let input = &self.plan.units[edge.unit];
            let ([g, z, x], [dgate, scratch]) = self
                .arena
                .views([g.clone(), unit.z_for_grad(), input.z.clone()], [dgate.clone(), unit.backward.scratch.clone()]);
            let values = &self.params.values;
            let dz = unit.grad_source(g, z, self.vectors, values);
            let x = input.source(x, self.vectors, values);
            scale::image_grad(self.exec, &unit.dims, dz, x, (terms.len(), index), dgate, write, scratch);
        }
        for (index, edge) in terms.iter().enumerate() {
            let Some(write) = edge.dx else { continue };
            let dx = self.plan.units[edge.unit].g.clone().unwrap_or_default();
            let ([g, z, s], [dx]) = self.arena.views([g.clone(), unit.z_for_grad(), gate.z.clone()], [dx]);
            let values = &self.params.values;
            let dz = unit.grad_source(g, z, self.vectors, values);
            let factor = Factor::PerImage { gate: gate.source(s, self.vectors, values), of: terms.len(), index };
            scale::input_grad(self.exec, &unit.dims, dz, factor, dx, write);
        }
    }

    /// Weights, bias and input of a transposed convolution.
    pub(super) fn transposed(
        &mut self,
        unit: &UnitPlan,
        conv: &Conv,
        weight: Range<usize>,
        bias: Option<Range<usize>>,
    ) {
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
        if let Some(bias) = bias {
            elementwise::channel_sums(self.exec, &unit.dims, dz, &mut grads[bias.clone()], scratch);
            clear_padding(&mut grads[bias], unit.dims.c);
        }
        if edge.dx.is_some() {
            conv::pack(self.exec, conv, &values[weight.clone()], packed);
        }
        let dx = edge.dx.map(|write| (dx, write));
        conv::transposed::backward(self.exec, conv, dz, source, packed, dx, Some(&mut grads[weight]), scratch);
    }

    /// Scale, shift and input of a layer norm.
    pub(super) fn layer_norm(&mut self, unit: &UnitPlan, [gamma, beta]: [Option<Range<usize>>; 2], eps: f32) {
        let Some(edge) = unit.inputs.first() else { return };
        let input = &self.plan.units[edge.unit];
        let g = unit.g.clone().unwrap_or_default();
        let dx_range = edge.dx.and(input.g.clone()).unwrap_or_default();
        let ([g, z, x], [dx, scratch]) =
            self.arena.views([g, unit.z_for_grad(), input.z.clone()], [dx_range, unit.backward.scratch.clone()]);
        let Params { values, grads, .. } = &mut *self.params;
        let dz = unit.grad_source(g, z, self.vectors, values);
        let source = input.source(x, self.vectors, values);
        let part = |range: &Option<Range<usize>>| range.clone().unwrap_or_default();
        let ([], [dgamma, dbeta]) = grads.views([], [part(&gamma), part(&beta)]);
        let gradients = Gradients {
            dx: edge.dx.map(|write| (dx, write)),
            dgamma: gamma.is_some().then_some(dgamma),
            dbeta: beta.is_some().then_some(dbeta),
        };
        let gamma = gamma.map(|gamma| &values[gamma]);
        layer_norm::backward(self.exec, &unit.dims, dz, source, gamma, eps, gradients, scratch);
    }
}
