//! Units that bring values elsewhere: channels, pixels, elements; constants, which come from nowhere.

use std::ops::Range;

use sepal_kernels::arrange::{self, Channels};
use sepal_kernels::{Source, Write, elementwise, from_nchw, to_nchw};

use super::Run;
use super::kind::Kind;
use super::plan::{UnitPlan, flat_len};
use crate::params::Params;

impl Run<'_> {
    /// Channels of the inputs side by side, and channels of one value.
    pub(super) fn channels(&mut self, unit: &UnitPlan, parts: &[Channels], fills: &[Range<usize>], value: f32) {
        for (edge, part) in unit.inputs.iter().zip(parts) {
            let input = &self.plan.units[edge.unit];
            let ([x], [z]) = self.arena.views([input.z.clone()], [unit.z.clone()]);
            let source = input.source(x, self.vectors, &self.params.values);
            arrange::channels(self.exec, part, source, z, Write::Set);
        }
        for fill in fills {
            arrange::fill(self.exec, &unit.dims, fill.clone(), value, &mut self.arena[unit.z.clone()]);
        }
    }

    /// The same values for every picture.
    pub(super) fn constant(&mut self, unit: &UnitPlan, values: Range<usize>, learnt: bool) {
        let ([], [z, flat]) = self.arena.views([], [unit.z.clone(), unit.forward.scratch.clone()]);
        let values = if learnt { &self.params.values[values] } else { &self.params.buffers[values] };
        for picture in flat.chunks_exact_mut(values.len()) {
            picture.copy_from_slice(values);
        }
        from_nchw(self.exec, unit.dims, flat, z);
    }

    /// The reverse steps of all these: the gradient of the stored tensor, brought back.
    pub(super) fn moved_gradient(&mut self, unit: &UnitPlan) {
        let (exec, dims) = (self.exec, unit.dims);
        let scratch = unit.backward.scratch.clone();
        let mut g = unit.g.clone().unwrap_or_default();
        if unit.applies() {
            let copy = scratch.start..scratch.start + dims.len();
            let ([own, z], [out]) = self.arena.views([g, unit.z.clone()], [copy.clone()]);
            let dz = unit.grad_source(own, z, self.vectors, &self.params.values);
            elementwise::grad(exec, &dims, dz, out, Write::Set);
            g = copy;
        }
        if let Kind::Constant { values, .. } = &unit.kind {
            let rest = scratch.start + dims.len()..scratch.end;
            let ([g], [flat]) = self.arena.views([g.clone()], [rest]);
            to_nchw(exec, dims, g, flat);
            let Params { grads, .. } = &mut *self.params;
            let count = flat_len(&dims) / dims.n;
            for (at, gradient) in grads[values.clone()].iter_mut().enumerate() {
                let pictures = flat.chunks_exact(count);
                *gradient = pictures.map(|picture| f64::from(picture[at])).sum::<f64>() as f32;
            }
        }
        for (at, edge) in unit.inputs.iter().enumerate() {
            let Some(write) = edge.dx else { continue };
            let dx = self.plan.units[edge.unit].g.clone().unwrap_or_default();
            let ([g], [dx]) = self.arena.views([g.clone()], [dx]);
            match &unit.kind {
                Kind::Channels { parts, .. } => {
                    let part = parts[at].reversed();
                    if write == Write::Set {
                        for others in [0..part.at, part.at + part.count..part.to.c] {
                            arrange::fill(exec, &part.to, others, 0.0, dx);
                        }
                    }
                    arrange::channels(exec, &part, Source::plain(g), dx, write);
                }
                Kind::Resample { back, .. } => {
                    arrange::resample(exec, back, dims.n, dims.c, Source::plain(g), dx, write);
                }
                Kind::Gather { back, .. } => arrange::gather(exec, back, dims.n, g, dx, write),
                _ => unreachable!("called for units that move values"),
            }
        }
    }
}
