//! Pooling over windows, plane by plane.

use super::{Kind, Pool};
use crate::exec::Shared;
use crate::geometry::Write;
use crate::isa::{Isa, Kernel, Vector};
use crate::layout::LANES;
use crate::source::{GradSource, Source, Transform};
use std::ops::Range;

/// The part of a window inside the picture, and its size with the padding that counts.
struct Window {
    rows: Range<usize>,
    cols: Range<usize>,
    padded: usize,
}

impl Window {
    #[inline(always)]
    fn new(pool: &Pool, y: usize, x: usize) -> Self {
        let axis = |axis: usize, at: usize, size: usize| {
            // Positions counted from the start of the padding.
            let first = at * pool.stride[axis];
            let padding = pool.padding[axis];
            let end = first + pool.kernel[axis];
            let padded = end.min(padding + size + pool.padding_end[axis]).saturating_sub(first);
            let first = first.saturating_sub(padding).min(size);
            (first..end.saturating_sub(padding).clamp(first, size), padded)
        };
        let (rows, height) = axis(0, y, pool.input.h);
        let (cols, width) = axis(1, x, pool.input.w);
        Self { rows, cols, padded: height * width }
    }

    /// Calls `visit`, which must be `#[inline(always)]`, with the number of each pixel inside, in reading order.
    #[inline(always)]
    fn each(&self, width: usize, mut visit: impl FnMut(usize)) {
        for y in self.rows.clone() {
            for x in self.cols.clone() {
                visit(y * width + x);
            }
        }
    }

    /// One over what an average divides by.
    #[inline(always)]
    fn share(&self, count_include_pad: bool) -> f32 {
        let inside = self.rows.len() * self.cols.len();
        let count = if count_include_pad { self.padded } else { inside };
        1.0 / count.max(1) as f32
    }
}

/// One plane forward.
pub(super) struct Forward<'a> {
    pub(super) pool: &'a Pool,
    pub(super) x: &'a Source<'a>,
    pub(super) out: Shared<'a>,
    pub(super) plane: usize,
}

/// First float and length of an image of a channel block.
fn image(dims: &crate::Dims, block: usize, image: usize) -> (usize, usize) {
    let len = dims.h * dims.w * LANES;
    (block * dims.plane() + image * len, len)
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Pool { kind, input, output, .. } = *self.pool;
        let block = self.plane / output.n;
        let (at, len) = image(&input, block, self.plane % output.n);
        let picture = &self.x.z[at..][..len];
        let transform = self.x.transform(isa, block);
        let (at, len) = image(&output, block, self.plane % output.n);
        let out = self.out.at(at, len);
        for y in 0..output.h {
            for x in 0..output.w {
                let window = Window::new(self.pool, y, x);
                let mut result = None;
                match kind {
                    Kind::Max => window.each(
                        input.w,
                        #[inline(always)]
                        |pixel| {
                            // SAFETY: a pixel inside the picture.
                            let value = unsafe { value(isa, &transform, picture, pixel) };
                            result = Some(match result {
                                Some(best) => value.max(isa, best),
                                None => value,
                            });
                        },
                    ),
                    Kind::Average { count_include_pad } => {
                        let mut sum = I::Block::splat(isa, 0.0);
                        window.each(
                            input.w,
                            // SAFETY: a pixel inside the picture.
                            #[inline(always)]
                            |pixel| sum = sum.add(isa, unsafe { value(isa, &transform, picture, pixel) }),
                        );
                        result = Some(sum.mul(isa, I::Block::splat(isa, window.share(count_include_pad))));
                    }
                }
                let result = result.unwrap_or(I::Block::splat(isa, 0.0));
                // SAFETY: a pixel of this plane.
                unsafe { result.store(isa, out.add((y * output.w + x) * LANES)) }
            }
        }
    }
}

/// One plane backward.
pub(super) struct Backward<'a> {
    pub(super) pool: &'a Pool,
    pub(super) dz: &'a GradSource<'a>,
    pub(super) x: &'a Source<'a>,
    pub(super) dx: Shared<'a>,
    pub(super) write: Write,
    pub(super) plane: usize,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Pool { kind, input, output, .. } = *self.pool;
        let (block, number) = (self.plane / output.n, self.plane % output.n);
        let (at, len) = image(&input, block, number);
        let picture = &self.x.z[at..][..len];
        // SAFETY: an item is a plane.
        let dx = unsafe { self.dx.slice(at, len) };
        if self.write == Write::Set {
            dx.fill(0.0);
        }
        let dx = dx.as_mut_ptr();
        let (at, len) = image(&output, block, number);
        let (g, z) = (&self.dz.g[at..][..len], &self.dz.source.z[at..][..len]);
        let (transform, grad) = (self.x.transform(isa, block), self.dz.transform(isa, block));
        for y in 0..output.h {
            for x in 0..output.w {
                let window = Window::new(self.pool, y, x);
                // SAFETY: a pixel of the output's plane.
                let g = unsafe {
                    let at = (y * output.w + x) * LANES;
                    let (g, z) = (I::Block::load(isa, g.as_ptr().add(at)), I::Block::load(isa, z.as_ptr().add(at)));
                    grad.apply(isa, g, z)
                };
                match kind {
                    Kind::Average { count_include_pad } => {
                        let share = g.mul(isa, I::Block::splat(isa, window.share(count_include_pad)));
                        window.each(
                            input.w,
                            // SAFETY: a pixel inside the picture, this item's plane.
                            #[inline(always)]
                            |pixel| unsafe { add(isa, dx, pixel, share) },
                        );
                    }
                    Kind::Max => {
                        // The tap of the greatest value so far, lane by lane.
                        let mut best: Option<(I::Block, I::Block)> = None;
                        let mut tap = 0.0;
                        window.each(
                            input.w,
                            #[inline(always)]
                            |pixel| {
                                // SAFETY: a pixel inside the picture.
                                let value = unsafe { value(isa, &transform, picture, pixel) };
                                let number = I::Block::splat(isa, tap);
                                best = Some(match best {
                                    None => (value, number),
                                    Some((most, at)) => {
                                        (value.where_gt(isa, most, value, most), value.where_gt(isa, most, number, at))
                                    }
                                });
                                tap += 1.0;
                            },
                        );
                        let Some((_, best)) = best else { continue };
                        tap = 0.0;
                        let zero = I::Block::splat(isa, 0.0);
                        window.each(
                            input.w,
                            #[inline(always)]
                            |pixel| {
                                let up_to = I::Block::splat(isa, tap + 0.5).where_gt(isa, best, g, zero);
                                let here = best.where_gt(isa, I::Block::splat(isa, tap - 0.5), up_to, zero);
                                // SAFETY: a pixel inside the picture, this item's plane.
                                unsafe { add(isa, dx, pixel, here) }
                                tap += 1.0;
                            },
                        );
                    }
                }
            }
        }
    }
}

/// The value of a pixel.
///
/// # Safety
/// The pixel is inside the picture.
#[inline(always)]
unsafe fn value<I: Isa>(isa: I, transform: &Transform<'_, I>, picture: &[f32], pixel: usize) -> I::Block {
    // SAFETY: by the caller's promise.
    let z = unsafe { I::Block::load(isa, picture.as_ptr().add(pixel * LANES)) };
    transform.apply(isa, z)
}

/// Adds to a pixel.
///
/// # Safety
/// The pixel is there and this worker's.
#[inline(always)]
unsafe fn add<I: Isa>(isa: I, to: *mut f32, pixel: usize, value: I::Block) {
    // SAFETY: by the caller's promise.
    unsafe {
        let to = to.add(pixel * LANES);
        value.add(isa, I::Block::load(isa, to)).store(isa, to);
    }
}
