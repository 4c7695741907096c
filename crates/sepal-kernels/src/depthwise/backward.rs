//! Backward: all gradients of one plane in one walk, so that each tensor is read once.

use super::forward::stage;
use super::rows::{Ring, clear};
use super::transpose::Filters;
use super::weights::{self, Rowset};
use super::{grad_chunks, images, images_of};
use crate::exec::{Exec, Shared};
use crate::geometry::{Conv, Write};
use crate::isa::{Isa, Kernel, Vector, fence};
use crate::layout::LANES;
use crate::norm::{GradRunning, Taker};
use crate::source::{GradSource, GradTransform, Source};

/// Which sums over pixels are wanted.
#[derive(Clone, Copy)]
pub(super) struct Want {
    pub(super) dw: bool,
    pub(super) dbias: bool,
}

/// Where dx goes.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) dx: Shared<'a>,
    pub(super) write: Write,
    /// Whether it is stored past the caches.
    pub(super) stream: bool,
    /// Takes sums of it, in chunks of images.
    pub(super) sums: Option<Taker<'a>>,
}

/// Everything of a backward pass that its items share.
pub(super) struct Backward<'a> {
    pub(super) conv: &'a Conv,
    pub(super) dz: GradSource<'a>,
    pub(super) x: Source<'a>,
    pub(super) packed: &'a [f32],
    pub(super) dx: Option<Target<'a>>,
    pub(super) want: Want,
    pub(super) partial: Shared<'a>,
    pub(super) scratch: Shared<'a>,
    /// Workers, for guesses; no result depends on it.
    pub(super) threads: usize,
}

/// How a plane is walked.
struct Walk {
    /// Rows of `dz` per step.
    step: usize,
    /// Copies of rows of `dz` and of `x`.
    dz: Ring,
    x: Ring,
}

/// Bytes of a plane that is walked in one step.
const ONE_STEP: usize = 64 << 10;

/// Rows that are fetched ahead in larger planes.
const AHEAD: usize = 3;

impl Walk {
    fn new(conv: &Conv) -> Self {
        let (input, output) = (conv.input, conv.output);
        let ([kh, kw], [sy, sx], [_, left], [dy, dx]) = (conv.kernel, conv.stride, conv.padding, conv.dilation);
        let (reach_y, reach_x) = ((kh - 1) * dy, (kw - 1) * dx);
        let step = if input.h * input.w * LANES * 4 <= ONE_STEP { output.h.max(1) } else { 1 };
        let last = (output.w.max(1) - 1) * sx + reach_x;
        let x =
            Ring::new((step - 1) * sy + reach_y + 1, input.h, input.w, left, (last + 1).saturating_sub(left + input.w));
        let dz = Ring::new(
            step + reach_y.div_ceil(sy),
            output.h,
            output.w,
            reach_x.saturating_sub(left).div_ceil(sx),
            ((input.w.max(1) - 1 + left) / sx + 1).saturating_sub(output.w),
        );
        Self { step, dz, x }
    }

    /// Pixels of a row of zeros as wide as a row of `x` with its borders.
    fn zeros(conv: &Conv) -> usize {
        conv.padding[1] + conv.output.w * conv.stride[1] + (conv.kernel[1] - 1) * conv.dilation[1]
    }
}

/// Floats of a worker's scratch.
pub(super) fn each(conv: &Conv) -> usize {
    let walk = Walk::new(conv);
    walk.dz.len() + walk.x.len() + (Walk::zeros(conv) + conv.input.w) * LANES
}

impl Backward<'_> {
    pub(super) fn run(&self, exec: Exec<'_>) {
        let items = self.conv.output.blocks() * grad_chunks(self.conv);
        exec.pool.run(items, &|item, worker| {
            // SAFETY: the part of this worker.
            let scratch = unsafe { self.scratch.part(worker, each(self.conv)) };
            exec.level.dispatch(Item { of: self, item, scratch });
        });
    }
}

/// One chunk of images of one channel block.
struct Item<'a> {
    of: &'a Backward<'a>,
    item: usize,
    scratch: &'a mut [f32],
}

impl Kernel for Item<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { of, item, scratch } = self;
        let conv = of.conv;
        let (input, output) = (conv.input, conv.output);
        let (block, chunk) = (item / grad_chunks(conv), item % grad_chunks(conv));
        let walk = Walk::new(conv);
        let (dz_memory, rest) = scratch.split_at_mut(walk.dz.len());
        let (x_memory, rest) = rest.split_at_mut(walk.x.len());
        let (zeros, row_memory) = rest.split_at_mut(Walk::zeros(conv) * LANES);
        let dz_rows = walk.dz.place(isa, dz_memory);
        let x_rows = walk.x.place(isa, x_memory);
        // SAFETY: that many pixels were asked for.
        unsafe { clear(isa, zeros.as_mut_ptr(), Walk::zeros(conv)) }
        let zeros = zeros[conv.padding[1] * LANES..].as_ptr();

        let (transform, grad) = (of.x.transform(isa, block), of.dz.transform(isa, block));
        let partial = weights::partial_of(conv, item);
        // SAFETY: an item has its own.
        let partial = unsafe { of.partial.slice(partial.start, partial.len()) };
        partial.fill(0.0);
        let (taps, bias) = partial.split_at_mut(conv.taps() * LANES);
        let weights = of.packed[block * conv.taps() * LANES..][..conv.taps() * LANES].as_ptr();
        let filters = Filters::new(conv, weights, &dz_rows);

        // Rows of dz from those computed to those fetched: a few rows, or the picture this worker has next.
        let to_next = if images(conv) > 1 { 1 } else { of.threads };
        let ahead = if walk.step > 1 { output.h * to_next } else { AHEAD };
        let mut sums = GradRunning::new(isa);
        let (in_pixels, out_pixels) = (input.h * input.w * LANES, output.h * output.w * LANES);
        for image in images_of(conv, chunk) {
            let x = &of.x.z[block * input.plane() + image * in_pixels..][..in_pixels];
            let at = block * output.plane() + image * out_pixels;
            let (g, z) = (&of.dz.g[at..][..out_pixels], &of.dz.source.z[at..][..out_pixels]);
            let (mut x_end, mut dx_end) = (0, 0);
            let mut first = 0;
            while first < output.h {
                let end = (first + walk.step).min(output.h);
                for row in first..end {
                    let cells = row * output.w * LANES..(row + 1) * output.w * LANES;
                    let to = dz_rows.at(row);
                    let (g, z) = (&g[cells.clone()], &z[cells]);
                    // SAFETY: a row of the ring has the width of a row of the picture.
                    unsafe { stage_grad(isa, &grad, g, z, to) }
                }
                let next = (first + ahead) * output.w * LANES;
                let next = [g.as_ptr().wrapping_add(next), z.as_ptr().wrapping_add(next)];
                let rowset = Rowset { conv, dz: &dz_rows, x: &x_rows, zeros, rows: first..end, ahead: next };
                if of.want.dw {
                    let start = (first * conv.stride[0]).saturating_sub(conv.padding[0]).max(x_end);
                    let last = (end - 1) * conv.stride[0] + (conv.kernel[0] - 1) * conv.dilation[0] + 1;
                    x_end = last.saturating_sub(conv.padding[0]).min(input.h).max(x_end);
                    for row in start..x_end {
                        let from = &x[row * input.w * LANES..][..input.w * LANES];
                        // SAFETY: a row of the ring has the width of a row of the picture.
                        unsafe { stage(isa, &transform, from, x_rows.at(row)) }
                    }
                    // SAFETY: the rows were just staged.
                    unsafe { rowset.add_taps(isa, taps) }
                }
                if of.want.dbias {
                    // SAFETY: as above.
                    unsafe { rowset.add_bias(isa, bias) }
                }
                if let Some(target) = of.dx {
                    // The rows of dx that read no later row of dz.
                    let ready = (end * conv.stride[0]).saturating_sub(conv.padding[0]).min(input.h);
                    let ready = if end == output.h { input.h } else { ready };
                    for row in dx_end..ready {
                        let at = block * input.plane() + image * in_pixels + row * input.w * LANES;
                        let to = target.dx.at(at, input.w * LANES);
                        let next = x.as_ptr().wrapping_add((row + ahead * conv.stride[0]) * input.w * LANES);
                        // What has its sums taken is streamed after that, from a place that is near.
                        let late = target.stream && target.sums.is_some();
                        let result = if late { row_memory.as_mut_ptr() } else { to };
                        // SAFETY: the rows of dz were staged; these pictures are this item's.
                        unsafe {
                            filters.row(isa, row, result, &Target { stream: target.stream && !late, ..target }, next);
                            if let Some(taker) = target.sums {
                                taker.add(isa, &mut sums, block, at, result, input.w, late.then_some(to));
                            }
                        }
                    }
                    dx_end = ready.max(dx_end);
                }
                first = end;
            }
        }
        if let Some(taker) = of.dx.and_then(|target| target.sums) {
            // SAFETY: an item is one block of one chunk.
            unsafe { taker.put(isa, &input, chunk, block, &sums) }
        }
        if of.dx.is_some_and(|target| target.stream) {
            fence();
        }
    }
}

/// Copies a row of a gradient, transformed.
///
/// # Safety
/// `to` is valid for as many floats as `g` has, whole pixels.
#[inline(always)]
unsafe fn stage_grad<I: Isa>(isa: I, transform: &GradTransform<'_, I>, g: &[f32], z: &[f32], to: *mut f32) {
    assert!(z.len() >= g.len());
    transform.known(
        #[inline(always)]
        |transform| {
            let mut at = 0;
            while at + LANES <= g.len() {
                // SAFETY: a pixel of both rows, and `to` by the caller's promise.
                unsafe {
                    let g = I::Block::load(isa, g.as_ptr().add(at));
                    let z = I::Block::load(isa, z.as_ptr().add(at));
                    transform.apply(isa, g, z).store(isa, to.add(at));
                }
                at += LANES;
            }
        },
    );
}
