//! Transposed convolution (Dumoulin and Visin 2016, chapter 4): a convolution's two products, each in the
//! other's role.
//!
//! Everywhere `conv` is the convolution that is transposed: its *output* has the size of what is read here, its
//! *input* that of the result, and its weight `O, I/groups, kH, kW` is the transposed convolution's as PyTorch
//! stores it. What is computed forward is the gradient of that convolution's input, what is computed backward
//! is that convolution.

use super::plan::{Side, Window};
use super::stage::Operand;
use super::{backward_cuts, forward_cuts, is_source, item, weight};
use crate::exec::{Exec, Shared, per_worker};
use crate::geometry::{Conv, Epilogue, Write};
use crate::layout::LANES;
use crate::source::{GradSource, Source};

/// Floats of scratch that [`forward`] needs on `threads` workers.
pub fn forward_scratch(conv: &Conv, threads: usize) -> usize {
    conv.check();
    per_worker(backward_cuts(conv).map(|cuts| cuts.scratch()).fold(0, usize::max), threads)
}

/// The transposed convolution of `x` plus `bias`, which is per channel of the result and padded to whole blocks.
///
/// `packed_back` comes from [`pack_back`](super::pack_back).
///
/// # Panics
/// If a slice is shorter than the convolution asks.
pub fn forward(
    exec: Exec<'_>,
    conv: &Conv,
    x: Source<'_>,
    packed_back: &[f32],
    bias: Option<&[f32]>,
    out: &mut [f32],
    scratch: &mut [f32],
) {
    conv.check();
    assert!(x.z.len() >= conv.output.len() && is_source(&x, &conv.output));
    assert!(out.len() >= conv.input.len() && packed_back.len() >= Side::backward(conv).len());
    assert!(bias.is_none_or(|bias| bias.len() >= conv.input.blocks() * LANES));
    assert!(scratch.len() >= forward_scratch(conv, exec.pool.threads()), "scratch of {}", scratch.len());
    let (out, scratch) = (Shared::new(out), Shared::new(scratch));
    let mut taps_before = 0;
    for cuts in backward_cuts(conv) {
        let job = item::Job {
            cuts,
            operand: Operand::Values(x),
            from: conv.output,
            packed: packed_back,
            taps_before,
            epilogue: Epilogue { bias, ..Epilogue::default() },
            write: Write::Set,
            out,
            into: conv.input,
            stats: None,
            sums: None,
            scratch,
            each: cuts.scratch(),
        };
        taps_before += cuts.window.taps();
        job.run(exec);
    }
}

/// Floats of scratch that [`backward`] needs on `threads` workers.
pub fn backward_scratch(conv: &Conv, threads: usize) -> usize {
    let weights = weight::Cuts::new(conv);
    let own = weights.scratch().iter().sum::<usize>();
    weights.partials()[0] + per_worker((own).max(forward_cuts(conv, false).scratch()), threads)
}

/// The gradients of `x` and of the weights, given `dz`, the gradient of the result.
///
/// Each is computed only if asked for. `packed` comes from [`pack`](super::pack) and is not read without `dx`,
/// which is the gradient of the source's *value*. `dw` has the weight's order and is overwritten. The bias'
/// gradient is [`channel_sums`](crate::elementwise::channel_sums) of `dz`.
///
/// # Panics
/// If a slice is shorter than the convolution asks.
pub fn backward(
    exec: Exec<'_>,
    conv: &Conv,
    dz: GradSource<'_>,
    x: Source<'_>,
    packed: &[f32],
    dx: Option<(&mut [f32], Write)>,
    dw: Option<&mut [f32]>,
    scratch: &mut [f32],
) {
    conv.check();
    assert!(dz.g.len() >= conv.input.len() && dz.source.z.len() >= conv.input.len());
    assert!(is_source(&dz.source, &conv.input));
    let channels = conv.input.blocks() * LANES;
    assert!(dz.norm.is_none_or(|norm| [norm.k1, norm.k2, norm.k3].iter().all(|k| k.len() >= channels)));
    assert!(x.z.len() >= conv.output.len() && is_source(&x, &conv.output));
    assert!(dw.as_ref().is_none_or(|dw| dw.len() >= conv.weight_len()));
    assert!(scratch.len() >= backward_scratch(conv, exec.pool.threads()), "scratch of {}", scratch.len());
    let dz = Operand::Gradient(dz);
    let weights = weight::Cuts::new(conv);
    let (partials, scratch) = scratch.split_at_mut(weights.partials()[0]);
    let scratch = Shared::new(scratch);
    if let Some((dx, write)) = dx {
        assert!(dx.len() >= conv.output.len() && packed.len() >= Side::forward(conv).len());
        let cuts = forward_cuts(conv, Window::forward(conv).is_identity() && dz.plain().is_some());
        let job = item::Job {
            cuts,
            operand: dz,
            from: conv.input,
            packed,
            taps_before: 0,
            epilogue: Epilogue::default(),
            write,
            out: Shared::new(dx),
            into: conv.output,
            stats: None,
            sums: None,
            scratch,
            each: cuts.scratch(),
        };
        job.run(exec);
    }
    if let Some(dw) = dw {
        let own = weights.scratch().iter().sum::<usize>();
        let job = weight::Job {
            cuts: weights,
            conv,
            dz: Operand::Values(x),
            x: dz,
            partials: Some(Shared::new(partials)),
            biases: None,
            dx: None,
            scratch,
            each: own,
        };
        job.run(exec);
        job.finish(exec, Some(dw), None);
    }
}
