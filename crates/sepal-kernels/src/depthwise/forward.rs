//! Forward: a filter over one plane, with norm and activation of the input applied on the way in and
//! bias, addition, activation and statistics on the way out.

use super::filter::{Ahead, Filter, Sink, keeps_to_tiles};
use super::rows::{Ring, Rows};
use super::{grad_chunks, images_of};
use crate::act::{Act, Ending};
use crate::exec::{Exec, Shared};
use crate::geometry::{Conv, Epilogue, ZEROS};
use crate::isa::{Isa, Kernel, Vector, fence};
use crate::layout::LANES;
use crate::norm::Running;
use crate::source::{Source, Transform};
use std::ops::Range;

/// Items that balance the load of a handful of workers.
const ITEMS: usize = 16;
/// Rows of a band.
const BAND: usize = 7;

/// Width below which columns without all their taps take more time than copies between borders.
const NARROW: usize = 16;

/// The ring of input rows that one row of results reads.
fn row_ring(conv: &Conv) -> Ring {
    let reach = (conv.kernel[0] - 1) * conv.dilation[0];
    ring(conv, reach + conv.stride[0].min(reach + 1))
}

/// Columns of zeros that a filter reads beside its input.
fn borders(conv: &Conv) -> [usize; 2] {
    let ([_, kw], [_, sx], [_, left], [_, dx]) = (conv.kernel, conv.stride, conv.padding, conv.dilation);
    let last = (conv.output.w.max(1) - 1) * sx + (kw - 1) * dx;
    [left, (last + 1).saturating_sub(left + conv.input.w)]
}

/// Whether the filter's rows are best read without borders.
fn is_bare(conv: &Conv) -> bool {
    conv.dilation[1] == 1 && keeps_to_tiles(conv.kernel[1], conv.stride[1], borders(conv), conv.output.w)
}

/// Whether the filter's input is copied even where nothing is to be applied to it.
pub(crate) fn is_narrow(conv: &Conv) -> bool {
    conv.stride[1] == 1 && conv.input.w < NARROW && !is_bare(conv)
}

/// A ring of `live` input rows, with as many columns of zeros beside them as the filter reads, or none if it is better
/// off without.
pub(crate) fn ring(conv: &Conv, live: usize) -> Ring {
    // Rows a multiple of 4 KiB apart would share cache sets.
    if is_bare(conv) && !conv.input.w.is_multiple_of(64) {
        return Ring::dense(live, conv.input.h, conv.input.w);
    }
    let [left, right] = borders(conv);
    Ring::new(live, conv.input.h, conv.input.w, left, right)
}

/// Floats of a worker's scratch: the ring and one row of results.
pub(super) fn each(conv: &Conv) -> usize {
    row_ring(conv).len() + conv.output.w * LANES
}

/// Everything of a forward pass that its items share.
pub(super) struct Forward<'a> {
    pub(super) conv: &'a Conv,
    pub(super) x: Source<'a>,
    pub(super) packed: &'a [f32],
    /// Floats from one image's weights to the next one's, and from its bias; 0 where all have the same.
    pub(super) own: usize,
    pub(super) epilogue: Epilogue<'a>,
    pub(super) out: Shared<'a>,
    pub(super) stats: Option<Shared<'a>>,
    pub(super) scratch: Shared<'a>,
    /// Whether the output is stored past the caches.
    pub(super) stream: bool,
}

impl Forward<'_> {
    pub(super) fn run(&self, exec: Exec<'_>) {
        let output = self.conv.output;
        if output.n * output.h * output.w == 0 {
            return;
        }
        // Statistics are those of chunks of images; without them, results do not depend on the cut.
        let chunks = if self.stats.is_some() { grad_chunks(self.conv) } else { output.n };
        let planes = output.blocks() * chunks;
        let bands = match self.stats {
            Some(_) => 1,
            None => output.h.div_ceil(BAND).min(ITEMS),
        };
        let rows = output.h.div_ceil(bands);
        // A plane is a block of an image, or of a chunk of them. The top of all planes comes first, as products have it,
        // whose rows are those of all planes.
        let groups = ITEMS.div_ceil(bands).min(planes);
        let each = planes.div_ceil(groups);
        let groups = planes.div_ceil(each);
        exec.pool.run(groups * bands, &|item, worker| {
            let first = item / groups * rows;
            let rows = first.min(output.h)..(first + rows).min(output.h);
            let planes = item % groups * each..(item % groups * each + each).min(planes);
            exec.level.dispatch(Item { of: self, planes, chunks, rows, worker });
        });
    }
}

/// Rows of some planes, each one channel block of an image or of a chunk of images.
struct Item<'a> {
    of: &'a Forward<'a>,
    planes: Range<usize>,
    chunks: usize,
    rows: Range<usize>,
    worker: usize,
}

impl Kernel for Item<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { of, planes, chunks, rows, worker } = self;
        // SAFETY: the part of this worker, one item at a time.
        let scratch = unsafe { of.scratch.part(worker, each(of.conv)) };
        for plane in planes {
            let (block, chunk) = (plane / chunks, plane % chunks);
            let images = if of.stats.is_some() { images_of(of.conv, chunk) } else { chunk..chunk + 1 };
            Plane { of, block, chunk, images, rows: rows.clone(), scratch }.run(isa);
        }
    }
}

/// Rows of the images of a chunk, of one channel block.
struct Plane<'a, 'b> {
    of: &'a Forward<'a>,
    block: usize,
    chunk: usize,
    images: Range<usize>,
    rows: Range<usize>,
    scratch: &'b mut [f32],
}

impl Plane<'_, '_> {
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { of, block, chunk, images, rows, scratch } = self;
        let (input, output) = (of.conv.input, of.conv.output);
        let pixels = input.h * input.w * LANES;
        let pictures = &of.x.z[block * input.plane() + images.start * pixels..][..images.len() * pixels];
        let ring = row_ring(of.conv);
        let (ring_memory, row_memory) = scratch.split_at_mut(ring.len());
        let transform = of.x.transform(isa, block);
        let staged = is_narrow(of.conv) || !of.x.is_plain();
        let first = if staged { ring.place(isa, ring_memory) } else { Rows::in_place(pictures, input.h, input.w) };
        // Images with weights of their own come one by one, as no statistics are taken of them.
        let own = images.start * of.own;
        let filter = filter(of.conv, &of.packed[own + block * of.conv.taps() * LANES..]).fit(&first, output.w);

        // A simple activation is applied before the store.
        let ending = of.epilogue.act.ending();
        let direct = ending.is_some() && !of.stream;
        let act = if ending.is_some() { Act::None } else { of.epilogue.act };
        let ending = ending.unwrap_or(Ending::None);
        let bias = of.epilogue.bias.map_or(&ZEROS[..], |bias| &bias[own + block * LANES..][..LANES]).as_ptr();
        let width = output.w * LANES;
        let input_stride = of.conv.stride[0];
        // The picture's pixels that a result's share of the next rows amounts to.
        let share = (of.conv.stride[0] * of.conv.stride[1]).min(4);
        let ahead = Ahead { from: pictures.as_ptr(), step: share, lines: share };
        let mut running: Option<Running<I>> = None;
        for (image, picture) in images.zip(pictures.chunks_exact(pixels.max(1))) {
            let input_rows = if staged { first } else { Rows::in_place(picture, input.h, input.w) };
            let to = block * output.plane() + image * output.h * output.w * LANES;
            let mut staged_end = 0;
            for y in rows.clone() {
                let top = (y * of.conv.stride[0]) as isize;
                if staged {
                    let needed = needed(of.conv, y);
                    for row in needed.start.max(staged_end)..needed.end {
                        // SAFETY: a row of the ring has the width of a row of the picture.
                        unsafe {
                            stage(
                                isa,
                                &transform,
                                &picture[row * input.w * LANES..][..input.w * LANES],
                                input_rows.at(row),
                            )
                        }
                    }
                    staged_end = needed.end.max(staged_end);
                }
                let next = picture.as_ptr().wrapping_add((staged_end + input_stride) * input.w * LANES);
                let ahead = if staged { Ahead { from: next, ..ahead } } else { Ahead::NONE };
                let at = to + y * width;
                let out = of.out.at(at, width);
                let results = if direct { out } else { row_memory.as_mut_ptr() };
                let plus = of.epilogue.add.map(
                    #[inline(always)]
                    |add| add[at..][..width].as_ptr(),
                );
                let sink = Sink {
                    to: results,
                    step: 1,
                    count: output.w,
                    bias,
                    plus,
                    ending,
                    add: false,
                    stream: false,
                    ahead,
                };
                // SAFETY: the rows needed were staged or lie in place; results are this item's.
                unsafe { filter.run(isa, &input_rows, top, &sink) }
                if !direct {
                    let row = Row { act, block, to: out, width: output.w, stream: of.stream };
                    // SAFETY: this item's row of the output; streamed outputs are aligned.
                    unsafe { row.finish(isa, row_memory.as_mut_ptr()) }
                }
                if of.stats.is_some() {
                    // What was streamed is no longer near, its copy is.
                    let results = if direct { out } else { row_memory.as_mut_ptr() };
                    // SAFETY: the row was just written, and is not empty.
                    let first = unsafe { I::Block::load(isa, results) };
                    running.get_or_insert(Running::new(isa, first)).add(
                        isa,
                        output.w,
                        // SAFETY: the row was just written.
                        #[inline(always)]
                        |x| unsafe { I::Block::load(isa, results.add(x * LANES)) },
                    );
                }
            }
        }
        if of.stream {
            fence();
        }
        if let (Some(stats), Some(running)) = (of.stats, running) {
            // SAFETY: an item is one block of one chunk.
            unsafe { crate::norm::put(isa, &output, stats, chunk, block, running.parts(isa)) }
        }
    }
}

/// The input's rows that output row `y` reads.
pub(crate) fn needed(conv: &Conv, y: usize) -> Range<usize> {
    let first = (y * conv.stride[0]) as isize - conv.padding[0] as isize;
    let end = first + ((conv.kernel[0] - 1) * conv.dilation[0]) as isize + 1;
    let clamp = |row: isize| row.clamp(0, conv.input.h as isize) as usize;
    clamp(first)..clamp(end)
}

/// The forward filter, with the weights of one channel block.
pub(crate) fn filter(conv: &Conv, weights: &[f32]) -> Filter {
    let [kh, kw] = conv.kernel;
    Filter {
        rows: kh,
        y0: -(conv.padding[0] as isize),
        y_step: conv.dilation[0],
        cols: kw,
        x0: -(conv.padding[1] as isize),
        x_step: conv.dilation[1],
        stride: conv.stride[1],
        weights: weights[..kh * kw * LANES].as_ptr(),
        weight_row: (kw * LANES) as isize,
        weight_col: LANES as isize,
        inside: (0, 0),
    }
}

/// Copies a row, transformed.
///
/// # Safety
/// `to` is valid for as many floats as `from` has, whole pixels.
#[inline(always)]
pub(crate) unsafe fn stage<I: Isa>(isa: I, transform: &Transform<'_, I>, from: &[f32], to: *mut f32) {
    transform.known(
        #[inline(always)]
        |transform| {
            let mut at = 0;
            while at + LANES <= from.len() {
                // SAFETY: a pixel inside `from`, and `to` by the caller's promise.
                unsafe {
                    let value = I::Block::load(isa, from.as_ptr().add(at));
                    transform.apply(isa, value).store(isa, to.add(at));
                }
                at += LANES;
            }
        },
    );
}

/// What is left to do with a row of results.
struct Row<'a> {
    act: Act<'a>,
    block: usize,
    to: *mut f32,
    width: usize,
    stream: bool,
}

impl Row<'_> {
    /// Activates and stores the results at `from`, and leaves them there too.
    ///
    /// # Safety
    /// `from` and `to` are valid for the row, `to` aligned if it is streamed to.
    #[inline(always)]
    unsafe fn finish<I: Isa>(&self, isa: I, from: *mut f32) {
        // SAFETY: by the caller's promise.
        unsafe {
            if self.act == Act::None {
                for x in 0..self.width {
                    self.put(isa, x, I::Block::load(isa, from.add(x * LANES)));
                }
                return;
            }
            for x in 0..self.width {
                let at = x * LANES;
                let value = self.act.apply(isa, I::Block::load(isa, from.add(at)), self.block);
                value.store(isa, from.add(at));
                self.put(isa, x, value);
            }
        }
    }

    /// Stores result `x`.
    ///
    /// # Safety
    /// As [`Row::finish`].
    #[inline(always)]
    unsafe fn put<I: Isa>(&self, isa: I, x: usize, value: I::Block) {
        // SAFETY: by the caller's promise.
        unsafe {
            let to = self.to.add(x * LANES);
            if self.stream { value.stream(isa, to) } else { value.store(isa, to) }
        }
    }
}
