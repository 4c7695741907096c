//! Depthwise convolutions of one input, summed with a number for each image: soft sharing (Guo et al. 2019, section 3.3).
//!
//! A convolution is linear in its kernel, so the sum of the results is the result of the summed kernels. These are a few
//! hundred multiply-adds for an image, and the input is read once.

use super::forward::Forward;
use super::{check, forward_scratch, packed_len};
use crate::exec::{Exec, Shared};
use crate::geometry::{Conv, Epilogue};
use crate::isa::{Isa, Kernel, Vector};
use crate::lanes;
use crate::layout::{Dims, LANES};
use crate::pass;
use crate::source::Source;

/// Kernels to be mixed: `Σᵢ gate[i]·(kernelᵢ, biasᵢ)`.
#[derive(Clone, Copy)]
pub struct Mixed<'a> {
    /// A tensor of `[n, of, 1, 1]` in channel blocks.
    pub gate: &'a [f32],
    /// Kernels.
    pub of: usize,
    /// One kernel after the other, each from [`pack`](super::pack), followed by its bias, one value per channel padded to
    /// whole blocks, if `bias`.
    pub kernels: &'a [f32],
    /// Whether they have one.
    pub bias: bool,
}

/// Floats of one kernel, with its bias.
fn each(conv: &Conv, bias: bool) -> usize {
    packed_len(conv) + if bias { conv.output.blocks() * LANES } else { 0 }
}

/// Floats of scratch that [`mixed`] needs on `threads` workers.
pub fn mixed_scratch(conv: &Conv, bias: bool, threads: usize) -> usize {
    conv.input.n * each(conv, bias) + forward_scratch(conv, threads)
}

/// `out = act(x ∗ weight + bias + add)`, with weight and bias of each image mixed by its values of the gate. The
/// epilogue has no bias of its own. An image's result has the same bits in any batch.
///
/// # Panics
/// If the sizes are not those of a depthwise convolution or a slice is shorter than they ask.
pub fn mixed(
    exec: Exec<'_>,
    conv: &Conv,
    x: Source<'_>,
    mixed: Mixed<'_>,
    epilogue: Epilogue<'_>,
    out: &mut [f32],
    scratch: &mut [f32],
) {
    check(conv);
    let (images, each) = (conv.input.n, each(conv, mixed.bias));
    let gate = Dims::new(images, mixed.of, 1, 1);
    assert!(mixed.of > 0 && mixed.gate.len() >= gate.len() && mixed.kernels.len() >= mixed.of * each);
    assert!(x.z.len() >= conv.input.len() && out.len() >= conv.output.len());
    assert!(epilogue.fits(&conv.output) && epilogue.scale.is_none() && epilogue.bias.is_none());
    assert!(scratch.len() >= mixed_scratch(conv, mixed.bias, exec.pool.threads()));
    let (kernels, scratch) = scratch.split_at_mut(images * each);
    let to = Shared::new(&mut *kernels);
    exec.pool.run(images, &|image, _| {
        // SAFETY: an item is an image.
        let to = unsafe { to.slice(image * each, each) };
        exec.level.dispatch(Mix { mixed, gate, image, to });
    });
    let bias = kernels.get(packed_len(conv)..).filter(|_| mixed.bias);
    let epilogue = Epilogue { bias, ..epilogue };
    let stream = pass::streams(&conv.output, out.as_ptr());
    let (out, scratch) = (Shared::new(out), Shared::new(scratch));
    Forward { conv, x, packed: kernels, own: each, epilogue, out, stats: None, scratch, stream }.run(exec);
}

/// The kernel of one image.
struct Mix<'a> {
    mixed: Mixed<'a>,
    gate: Dims,
    image: usize,
    to: &'a mut [f32],
}

impl Kernel for Mix<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { mixed, gate, image, to } = self;
        let each = to.len();
        for (at, to) in to.chunks_exact_mut(LANES).enumerate() {
            let mut sum = I::Block::splat(isa, 0.0);
            for kernel in 0..mixed.of {
                let share = mixed.gate[kernel / LANES * gate.plane() + image * LANES + kernel % LANES];
                let value = lanes::load(isa, mixed.kernels, kernel * each + at * LANES);
                sum = value.mul_add(isa, I::Block::splat(isa, share), sum);
            }
            lanes::store(isa, sum, to, 0);
        }
    }
}
