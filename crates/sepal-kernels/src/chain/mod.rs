//! Chains of convolutions that run line by line, so that what one leaves is still in cache when the next reads it.
//!
//! A separable convolution is a depthwise one and a pointwise one (Howard et al. 2017, section 3.1), an inverted
//! residual a pointwise, a depthwise and a pointwise one (Sandler et al. 2018, section 3.3), whose maps in
//! between are the largest of the network. Here those maps are never whole: a few lines of them wait in a ring
//! until the next layer has read them. Every value is computed by the same sums as in
//! [`conv::forward`](crate::conv::forward) and [`depthwise::forward`](crate::depthwise::forward), and has the same bits.

mod item;
mod plan;

use crate::exec::{Exec, Shared, per_worker};
use crate::geometry::{Conv, Epilogue, Input};
use crate::layout::LANES;
use plan::Plan;

/// Layers of the longest chain.
pub const LONGEST: usize = 4;

/// A layer of a chain.
#[derive(Clone, Copy)]
pub struct Link<'a> {
    /// Its sizes. Depthwise, pointwise, or, as the first layer on pixels, what [`takes_pixels`].
    pub conv: Conv,
    /// From [`depthwise::pack`](crate::depthwise::pack) or [`conv::pack`](crate::conv::pack).
    pub packed: &'a [f32],
    /// Only the last layer may add, and only if it is pointwise. The activation is [simple](crate::Act::is_simple).
    pub epilogue: Epilogue<'a>,
}

/// Whether a convolution can be the first layer of a chain on pixels: one of a single channel, or of three and a stride
/// of 1 or 2, without groups or dilation.
pub fn takes_pixels(conv: &Conv) -> bool {
    plan::takes_pixels(conv)
}

/// Floats of scratch that [`forward`] needs on `threads` workers for layers of these sizes, the first of which reads
/// pixels or channel blocks.
///
/// # Panics
/// If they are not a chain.
pub fn forward_scratch(convs: &[Conv], pixels: bool, threads: usize) -> usize {
    per_worker(footprint(convs, pixels), threads)
}

/// Floats of scratch for one worker: what should stay in the second-level cache.
///
/// # Panics
/// If they are not a chain.
pub fn footprint(convs: &[Conv], pixels: bool) -> usize {
    Plan::new(convs, pixels).scratch
}

/// Runs the layers one after the other on `x`; `out` becomes the last one's result.
///
/// # Panics
/// If the sizes are not those of a chain of at most [`LONGEST`] layers, an activation is not simple, the input is not
/// read as it is, or a slice is shorter than they ask.
pub fn forward(exec: Exec<'_>, links: &[Link<'_>], x: Input<'_>, out: &mut [f32], scratch: &mut [f32]) {
    assert!((1..=LONGEST).contains(&links.len()), "a chain of {}", links.len());
    let mut convs = [links[0].conv; LONGEST];
    for (conv, link) in convs.iter_mut().zip(links) {
        *conv = link.conv;
    }
    let pixels = matches!(x, Input::Pixels(_));
    let plan = Plan::new(&convs[..links.len()], pixels);
    let last = links.len() - 1;
    for (index, link) in links.iter().enumerate() {
        let Link { conv, packed, epilogue } = link;
        let len = match conv.is_depthwise() {
            true => crate::depthwise::packed_len(conv),
            false => crate::conv::packed_len(conv),
        };
        assert!(packed.len() >= len, "weights of layer {index}");
        assert!(epilogue.fits(&conv.output), "vectors of layer {index}");
        assert!(epilogue.scale.is_none() || !conv.is_depthwise(), "scale of layer {index}");
        let may_add = index == last && !conv.is_depthwise();
        assert!(epilogue.add.is_none() || may_add, "sum of layer {index}");
        assert!(epilogue.act.is_simple(), "activation of layer {index}");
    }
    let input = links[0].conv.input;
    match x {
        Input::Blocked(source) => assert!(source.is_plain() && source.z.len() >= input.len()),
        Input::Gated(..) => panic!("a chain reads plain values"),
        Input::Pixels(pixels) => assert!(input.c < LANES && pixels.len() >= input.rows() * input.c),
    }
    assert!(out.len() >= links[last].conv.output.len());
    assert!(scratch.len() >= per_worker(plan.scratch, exec.pool.threads()), "scratch of {}", scratch.len());
    item::Job { plan: &plan, links, x, out: Shared::new(out), scratch: Shared::new(scratch) }.run(exec);
}

#[cfg(test)]
mod tests;
