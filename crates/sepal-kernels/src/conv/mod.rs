//! Convolutions as matrix products: standard, pointwise, grouped, and the first layer's on pictures.
//!
//! A row of the product is an output pixel, a panel sixteen filters, and the sum runs over taps and
//! channels. Rows are cut into blocks whose operand stays in the second-level cache; where pixels
//! must be gathered under taps, or norm and activation applied, a block is first copied ("staged")
//! to a worker's scratch. A linear layer is a pointwise convolution of 1×1 pixels.
//!
//! Groups read only the channel blocks that they touch; inside these, weights between groups are
//! packed as zeros. For one channel per group there is [`crate::depthwise`].

pub(crate) mod ahead;
mod item;
mod pack;
mod pixels;
pub(crate) mod plan;
mod stage;
pub mod strassen;
pub(crate) mod tile;
pub mod transposed;
mod weight;
pub mod winograd;

use crate::act::Act;
use crate::exec::{Exec, Shared, per_worker};
use crate::geometry::{Conv, Epilogue, Input, InputGrad, Write};
use crate::layout::{Dims, LANES};
use crate::norm::{self, Taker};
use crate::source::{GradSource, Source};
use plan::{Side, Window};
use stage::Operand;

/// Floats of weights packed for [`forward`].
pub fn packed_len(conv: &Conv) -> usize {
    conv.check();
    Side::forward(conv).len()
}

/// Packs weights of `O, I/groups, kH, kW` for [`forward`].
///
/// # Panics
/// If a slice is shorter than the convolution asks.
pub fn pack(exec: Exec<'_>, conv: &Conv, weight: &[f32], packed: &mut [f32]) {
    assert!(weight.len() >= conv.weight_len() && packed.len() >= packed_len(conv));
    pack::forward(exec, conv, weight, packed);
}

/// Floats of weights packed for the input's gradient in [`backward`].
pub fn packed_back_len(conv: &Conv) -> usize {
    conv.check();
    Side::backward(conv).len()
}

/// Packs weights of `O, I/groups, kH, kW` for the input's gradient in [`backward`].
///
/// # Panics
/// If a slice is shorter than the convolution asks.
pub fn pack_back(exec: Exec<'_>, conv: &Conv, weight: &[f32], packed: &mut [f32]) {
    assert!(weight.len() >= conv.weight_len() && packed.len() >= packed_back_len(conv));
    pack::backward(exec, conv, weight, packed);
}

fn forward_cuts(conv: &Conv, in_place: bool) -> item::Cuts {
    conv.check();
    item::Cuts::new(Side::forward(conv), Window::forward(conv), in_place)
}

fn backward_cuts(conv: &Conv) -> impl Iterator<Item = item::Cuts> {
    let side = Side::backward(conv);
    Window::backward(conv).map(move |window| item::Cuts::new(side, window, false))
}

/// Floats of scratch that [`forward`] needs on `threads` workers.
pub fn forward_scratch(conv: &Conv, threads: usize) -> usize {
    per_worker(forward_cuts(conv, false).scratch(), threads)
}

/// Rows of one chunk of the statistics that [`forward`] takes; see [`norm::stats_len`].
pub fn stat_rows(conv: &Conv) -> usize {
    forward_cuts(conv, false).rows.size
}

/// The convolution of `x`, in channel blocks, through `epilogue`.
///
/// `packed` comes from [`pack`]. With `stats`, the statistics of the output (after the epilogue) are
/// left there in chunks of [`stat_rows`] rows, as [`norm::finish`] takes them.
///
/// # Panics
/// If a slice is shorter than the convolution asks, or if pixels come with 16 channels or more.
pub fn forward(
    exec: Exec<'_>,
    conv: &Conv,
    x: Input<'_>,
    packed: &[f32],
    epilogue: Epilogue<'_>,
    out: &mut [f32],
    stats: Option<&mut [f32]>,
    scratch: &mut [f32],
) {
    let operand = operand(conv, x);
    let window = Window::forward(conv);
    let cuts = forward_cuts(conv, window.is_identity() && operand.plain().is_some());
    let each = cuts.scratch();
    assert!(out.len() >= conv.output.len() && packed.len() >= packed_len(conv));
    assert!(scratch.len() >= per_worker(each, exec.pool.threads()), "scratch of {}", scratch.len());
    assert!(epilogue.fits(&conv.output));
    assert!(is_long_enough(epilogue.act, &conv.output));
    let wanted = norm::stats_len(&conv.output, cuts.rows.size);
    assert!(stats.as_ref().is_none_or(|stats| stats.len() >= wanted));
    let job = item::Job {
        cuts,
        operand,
        from: conv.input,
        packed,
        taps_before: 0,
        epilogue,
        write: Write::Set,
        out: Shared::new(out),
        into: conv.output,
        stats: stats.map(Shared::new),
        sums: None,
        scratch: Shared::new(scratch),
        each,
    };
    job.run(exec);
}

/// Floats of scratch that [`backward`] needs on `threads` workers.
pub fn backward_scratch(conv: &Conv, threads: usize) -> usize {
    let weights = weight::Cuts::new(conv);
    let own = weights.scratch().iter().sum();
    let each = backward_cuts(conv).map(|cuts| cuts.scratch()).fold(own, usize::max);
    let [partials, biases] = weights.partials();
    partials + biases + per_worker(each, threads)
}

/// Chunks of the sums that [`backward`] takes of the input's gradient; none where it takes no sums, as with strides.
pub fn grad_chunks(conv: &Conv) -> Option<usize> {
    let weights = weight::Cuts::new(conv);
    let mut cuts = backward_cuts(conv);
    match (cuts.next(), cuts.next()) {
        (Some(_), None) if weights.can_fuse() => Some(weights.rows.pieces()),
        (Some(cuts), None) if cuts.window.is_whole() => Some(cuts.rows.pieces()),
        _ => None,
    }
}

/// The gradients of the input, the weights and the bias, given `dz`, the gradient of the convolution.
///
/// Each is computed only if asked for. `packed_back` comes from [`pack_back`] and is not read without
/// `dx`. `dx` has the input's size, in channel blocks: the gradient of the input's *value* (what its
/// source applies is not differentiated here). `dw` is `O, I/groups, kH, kW` and `dbias` per channel,
/// padded to whole blocks; both are overwritten.
///
/// # Panics
/// If a slice is shorter than the convolution asks, or if `dx` is asked of pixels.
pub fn backward(
    exec: Exec<'_>,
    conv: &Conv,
    dz: GradSource<'_>,
    x: Input<'_>,
    packed_back: &[f32],
    dx: Option<InputGrad<'_>>,
    dw: Option<&mut [f32]>,
    dbias: Option<&mut [f32]>,
    scratch: &mut [f32],
) {
    let source = match x {
        Input::Blocked(source) => Some(source),
        Input::Gated(..) | Input::Pixels(_) => None,
    };
    let x = operand(conv, x);
    assert!(dz.g.len() >= conv.output.len() && dz.source.z.len() >= conv.output.len());
    assert!(is_source(&dz.source, &conv.output));
    let channels = conv.output.blocks() * LANES;
    assert!(dz.norm.is_none_or(|norm| [norm.k1, norm.k2, norm.k3].iter().all(|k| k.len() >= channels)));
    assert!(dw.as_ref().is_none_or(|dw| dw.len() >= conv.weight_len()));
    assert!(dbias.as_ref().is_none_or(|dbias| dbias.len() >= channels));
    assert!(scratch.len() >= backward_scratch(conv, exec.pool.threads()), "scratch of {}", scratch.len());
    let dz = Operand::Gradient(dz);
    let weights = weight::Cuts::new(conv);
    let [partials_len, biases_len] = weights.partials();
    let (partials, scratch) = scratch.split_at_mut(partials_len);
    let (biases, scratch) = scratch.split_at_mut(biases_len);
    let scratch = Shared::new(scratch);
    let wants_weights = dw.is_some() || dbias.is_some();
    let mut fused = None;
    if let Some(InputGrad { dx, write, sums }) = dx {
        assert!(!matches!(x, Operand::Pixels(_)), "pixels have no gradient");
        assert!(dx.len() >= conv.input.len() && packed_back.len() >= packed_back_len(conv));
        let out = Shared::new(dx);
        let sums = sums.map(|sums| {
            let (Some(chunks), Some(source)) = (grad_chunks(conv), source) else { panic!("no sums of {conv:?}") };
            assert!(write == Write::Set, "sums of a part");
            Taker::new(sums, source, &conv.input, chunks)
        });
        let mut taps_before = 0;
        for cuts in backward_cuts(conv) {
            let job = item::Job {
                cuts,
                operand: dz,
                from: conv.output,
                packed: packed_back,
                taps_before,
                epilogue: Epilogue::default(),
                write,
                out,
                into: conv.input,
                stats: None,
                sums,
                scratch,
                each: cuts.scratch(),
            };
            taps_before += cuts.window.taps();
            // The chunks of sums must not depend on what else is wanted.
            if (wants_weights || sums.is_some()) && weights.can_fuse() {
                fused = Some(job);
            } else {
                job.run(exec);
            }
        }
    }
    if wants_weights || fused.is_some() {
        let job = weight::Job {
            cuts: weights,
            conv,
            dz,
            x,
            partials: dw.is_some().then(|| Shared::new(partials)),
            biases: dbias.is_some().then(|| Shared::new(biases)),
            dx: fused,
            scratch,
            each: weights.scratch().iter().sum(),
        };
        job.run(exec);
        job.finish(exec, dw, dbias);
    }
}

/// What a product reads of `x`, its size checked.
fn operand<'a>(conv: &Conv, x: Input<'a>) -> Operand<'a> {
    match x {
        Input::Blocked(source) => {
            assert!(source.z.len() >= conv.input.len() && is_source(&source, &conv.input));
            Operand::Values(source)
        }
        Input::Gated(z, gate) => {
            let Dims { n, c, .. } = conv.input;
            assert!(z.len() >= conv.input.len() && gate.len() >= Dims::new(n, c, 1, 1).len());
            Operand::Gated(z, gate)
        }
        Input::Pixels(pixels) => {
            assert!(conv.input.c < LANES, "{} channels are no picture", conv.input.c);
            assert!(pixels.len() >= conv.input.rows() * conv.input.c);
            Operand::Pixels(pixels)
        }
    }
}

/// Whether a source's channel vectors are long enough.
fn is_source(source: &Source<'_>, dims: &Dims) -> bool {
    let channels = dims.blocks() * LANES;
    source.affine.is_none_or(|(scale, shift)| scale.len().min(shift.len()) >= channels)
        && is_long_enough(source.act, dims)
}

fn is_long_enough(act: Act<'_>, dims: &Dims) -> bool {
    match act {
        Act::Prelu(slope) => slope.len() >= dims.blocks() * LANES,
        _ => true,
    }
}
