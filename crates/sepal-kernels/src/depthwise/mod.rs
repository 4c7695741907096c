//! Depthwise convolution: one filter per channel (Howard et al. 2017, equation 3).
//!
//! A channel block is a plane of its own, so the work is cut into (block, image) planes. A plane is
//! walked row by row; the few rows a filter needs at a time stay in the first cache, where padding,
//! norm and activation have been applied to them once.

mod backward;
mod filter;
mod forward;
mod mixed;
mod rows;
mod transpose;
mod weights;

pub(crate) use filter::{Ahead, Sink};
pub(crate) use forward::{filter, is_narrow, needed, ring, stage};
pub(crate) use rows::{Ring, Rows};

pub use mixed::{Mixed, mixed, mixed_scratch};

use crate::exec::{Exec, Shared, per_worker};
use crate::geometry::{Conv, Epilogue, InputGrad, Write};
use crate::layout::LANES;
use crate::norm::Taker;
use crate::pass;
use crate::source::{GradSource, Source};
use std::ops::Range;

/// Floats of packed weights.
pub fn packed_len(conv: &Conv) -> usize {
    conv.output.blocks() * conv.taps() * LANES
}

/// Packs weights `[C, 1, kH, kW]` to `[blocks][taps][16]`, zero past the last channel.
///
/// Forward and backward read the same packed weights.
///
/// # Panics
/// If the sizes are not those of a depthwise convolution or a slice is shorter than they ask.
pub fn pack(exec: Exec<'_>, conv: &Conv, weight: &[f32], packed: &mut [f32]) {
    check(conv);
    let taps = conv.taps();
    let weight = &weight[..conv.weight_len()];
    let packed = Shared::new(&mut packed[..packed_len(conv)]);
    exec.pool.run(conv.output.blocks(), &|block, _| {
        // SAFETY: an item is a block.
        let lines = unsafe { packed.slice(block * taps * LANES, taps * LANES) };
        for (tap, line) in lines.chunks_exact_mut(LANES).enumerate() {
            for (lane, cell) in line.iter_mut().enumerate() {
                *cell = weight.get((block * LANES + lane) * taps + tap).copied().unwrap_or(0.0);
            }
        }
    });
}

/// Pixels of results that make a chunk of small pictures.
const CHUNK: usize = 256;
/// Chunks that balance the load of a handful of workers.
const CHUNKS: usize = 16;

/// Images of a chunk, whose sums are taken together: what there is to do once per chunk would be most of the work if
/// each small picture were one.
fn images(conv: &Conv) -> usize {
    let output = conv.output;
    let most = (output.blocks() * output.n / CHUNKS).clamp(1, output.n.max(1));
    (CHUNK / (output.h * output.w).max(1)).clamp(1, most)
}

/// Images of chunk `chunk`.
fn images_of(conv: &Conv, chunk: usize) -> Range<usize> {
    let (each, n) = (images(conv), conv.output.n);
    (chunk * each).min(n)..(chunk * each + each).min(n)
}

/// Rows of a statistics chunk: an image, or several small ones.
pub fn stat_rows(conv: &Conv) -> usize {
    images(conv) * (conv.output.h * conv.output.w).max(1)
}

/// Floats of scratch that [`forward`] needs on `threads` workers.
pub fn forward_scratch(conv: &Conv, threads: usize) -> usize {
    per_worker(forward::each(conv), threads)
}

/// Floats of scratch that [`backward`] needs on `threads` workers.
pub fn backward_scratch(conv: &Conv, threads: usize) -> usize {
    weights::partial_len(conv) + per_worker(backward::each(conv), threads)
}

/// `out = act(x ∗ weight + bias + add)`.
///
/// `stats`, if given, becomes the statistics of `out` in chunks of [`stat_rows`] rows; see
/// [`crate::norm::stats_len`].
///
/// # Panics
/// If the sizes are not those of a depthwise convolution or a slice is shorter than they ask.
pub fn forward(
    exec: Exec<'_>,
    conv: &Conv,
    x: Source<'_>,
    packed: &[f32],
    epilogue: Epilogue<'_>,
    out: &mut [f32],
    stats: Option<&mut [f32]>,
    scratch: &mut [f32],
) {
    check(conv);
    assert!(x.z.len() >= conv.input.len() && out.len() >= conv.output.len() && packed.len() >= packed_len(conv));
    assert!(epilogue.fits(&conv.output) && epilogue.scale.is_none());
    assert!(scratch.len() >= forward_scratch(conv, exec.pool.threads()));
    if let Some(stats) = &stats {
        assert!(stats.len() >= crate::norm::stats_len(&conv.output, stat_rows(conv)));
    }
    let stream = pass::streams(&conv.output, out.as_ptr());
    let (out, stats, scratch) = (Shared::new(out), stats.map(Shared::new), Shared::new(scratch));
    forward::Forward { conv, x, packed, own: 0, epilogue, out, stats, scratch, stream }.run(exec);
}

/// Chunks of the sums that [`backward`] takes of the input's gradient: an image, or several small ones.
pub fn grad_chunks(conv: &Conv) -> usize {
    conv.input.n.div_ceil(images(conv))
}

/// The gradients of a depthwise convolution, each optional.
///
/// `dz` is the gradient of the convolution's output, `x` its input. `dx` is set or added to; `dw`
/// (`[C, 1, kH, kW]`) and `dbias` (per channel, padded to whole blocks, zero in the padding) are set.
///
/// # Panics
/// If the sizes are not those of a depthwise convolution or a slice is shorter than they ask.
pub fn backward(
    exec: Exec<'_>,
    conv: &Conv,
    dz: GradSource<'_>,
    x: Source<'_>,
    packed: &[f32],
    dx: Option<InputGrad<'_>>,
    dw: Option<&mut [f32]>,
    dbias: Option<&mut [f32]>,
    scratch: &mut [f32],
) {
    check(conv);
    let channels = conv.output.blocks() * LANES;
    assert!(dz.g.len() >= conv.output.len() && dz.source.z.len() >= conv.output.len());
    assert!(x.z.len() >= conv.input.len() && packed.len() >= packed_len(conv));
    assert!(dx.as_ref().is_none_or(|to| to.dx.len() >= conv.input.len()));
    assert!(dw.as_ref().is_none_or(|dw| dw.len() >= conv.weight_len()));
    assert!(dbias.as_ref().is_none_or(|dbias| dbias.len() >= channels));
    assert!(scratch.len() >= backward_scratch(conv, exec.pool.threads()));
    let (partial, scratch) = scratch.split_at_mut(weights::partial_len(conv));
    let want = backward::Want { dw: dw.is_some(), dbias: dbias.is_some() };
    let dx = dx.map(|InputGrad { dx, write, sums }| {
        assert!(sums.is_none() || write == Write::Set, "sums of a part");
        let stream = write == Write::Set && pass::streams(&conv.input, dx.as_ptr());
        let sums = sums.map(|sums| Taker::new(sums, x, &conv.input, grad_chunks(conv)));
        backward::Target { dx: Shared::new(dx), write, stream, sums }
    });
    let (shared, scratch, threads) = (Shared::new(partial), Shared::new(scratch), exec.pool.threads());
    backward::Backward { conv, dz, x, packed, dx, want, partial: shared, scratch, threads }.run(exec);
    weights::reduce(exec, conv, partial, dw, dbias);
}

fn check(conv: &Conv) {
    conv.check();
    let (input, output) = (conv.input, conv.output);
    assert!(conv.groups == input.c && input.c == output.c, "not depthwise: {conv:?}");
}

#[cfg(test)]
mod tests;
