//! Running a chain: some bands of one image.

use super::plan::{Kind, Plan};
use super::{LONGEST, Link};
use crate::act::Ending;
use crate::conv::ahead::Ahead;
use crate::conv::plan::Side;
use crate::conv::tile::{Finish, Left, product};
use crate::depthwise::{self, Rows, Sink};
use crate::exec::{Exec, Shared};
use crate::geometry::{Conv, Input, ZEROS};
use crate::isa::{Isa, Kernel};
use crate::layout::LANES;
use std::ops::Range;

/// Pieces for each worker where they cannot be even.
const ITEMS: usize = 4;

/// A chain to run.
pub(super) struct Job<'a> {
    pub plan: &'a Plan,
    pub links: &'a [Link<'a>],
    pub x: Input<'a>,
    pub out: Shared<'a>,
    pub scratch: Shared<'a>,
}

impl Job<'_> {
    pub(super) fn run(&self, exec: Exec<'_>) {
        let output = self.links[self.links.len() - 1].conv.output;
        let (bands, images, threads) = (self.plan.bands(), output.n, exec.pool.threads());
        if bands * images == 0 || output.w == 0 {
            return;
        }
        // No sum depends on the cut, so it may depend on the number of workers: as few pieces as share the work evenly, since
        // where layers overlap, lines are computed twice between pieces.
        let shares = threads.div_ceil(images).min(bands);
        let even = (images * shares).is_multiple_of(threads) && bands.is_multiple_of(shares);
        let pieces = if threads == 1 || even { shares } else { (ITEMS * shares).min(bands) };
        exec.pool.run(images * pieces, &|item, worker| {
            let (image, piece) = (item / pieces, item % pieces);
            let bands = bands * piece / pieces..bands * (piece + 1) / pieces;
            exec.level.dispatch(Item { job: self, image, bands, worker });
        });
    }
}

struct Item<'a> {
    job: &'a Job<'a>,
    image: usize,
    bands: Range<usize>,
    worker: usize,
}

/// A map of one image, or some lines of it.
#[derive(Clone, Copy)]
struct Map {
    /// Of block 0.
    rows: Rows,
    /// Floats from block to block.
    plane: usize,
    /// Whether lines follow each other without a gap.
    dense: bool,
    /// The first line that is not there yet.
    next: usize,
}

impl Kernel for Item<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let source = self.source();
        let Self { job, image, bands, worker } = self;
        let plan = job.plan;
        let last = plan.count - 1;
        // SAFETY: this worker's part, one item at a time.
        let scratch = unsafe { job.scratch.part(worker, plan.scratch) };
        let starts = plan.starts(bands.start * plan.lines);
        let mut maps = [source; LONGEST + 1];
        for (index, start) in starts.into_iter().enumerate().take(plan.count) {
            if let Some(strip) = plan.strips[index] {
                let blocks = plan.convs[index].input.blocks();
                let memory = &mut scratch[strip.at..][..blocks * strip.plane];
                let mut rows = None;
                for memory in memory.chunks_exact_mut(strip.plane).rev() {
                    rows = Some(strip.ring.place(isa, memory));
                }
                if let Some(rows) = rows {
                    let next = if index == 0 { 0 } else { starts[index - 1] };
                    maps[index] = Map { rows, plane: strip.plane, dense: strip.ring.is_dense(), next };
                }
            }
            if index == last {
                let output = plan.convs[last].output;
                let len = output.h * output.w * LANES;
                let at = image * len;
                // Items write lines of their own.
                let to = job.out.at(at, (output.blocks() - 1) * output.plane() + len);
                let rows = Rows::over(to, output.h, output.w);
                maps[plan.count] = Map { rows, plane: output.plane(), dense: true, next: start };
            }
        }
        let mut run = Run { job, image, maps, staged: scratch[plan.staged_at..].as_mut_ptr() };
        for band in bands {
            let height = plan.convs[last].output.h;
            let ends = plan.ends(((band + 1) * plan.lines).min(height));
            // SAFETY: the maps hold the lines of a band, and those of the result are this item's.
            unsafe { run.band(isa, &ends) }
        }
    }
}

impl Item<'_> {
    /// What the first layer reads, in place.
    #[inline(always)]
    fn source(&self) -> Map {
        let input = self.job.plan.convs[0].input;
        let len = input.h * input.w * LANES;
        let picture = match self.job.x {
            Input::Blocked(source) => &source.z[self.image * len..],
            Input::Gated(..) | Input::Pixels(_) => &[],
        };
        let (height, width) = if picture.is_empty() { (0, 0) } else { (input.h, input.w) };
        Map { rows: Rows::in_place(picture, height, width), plane: input.plane(), dense: true, next: input.h }
    }
}

/// An item on its way.
struct Run<'a> {
    job: &'a Job<'a>,
    image: usize,
    /// What layer `i` reads, and behind the last one the result.
    maps: [Map; LONGEST + 1],
    staged: *mut f32,
}

impl Run<'_> {
    /// Computes the lines up to `ends` of every layer.
    ///
    /// # Safety
    /// The maps hold the lines that a band needs at a time.
    #[inline(always)]
    unsafe fn band<I: Isa>(&mut self, isa: I, ends: &[usize; LONGEST]) {
        let plan = self.job.plan;
        let mut index = 0;
        while index < plan.count {
            let lines = self.maps[index + 1].next..ends[index];
            let kind = plan.kinds[index];
            let blocks = plan.convs[index].output.blocks();
            // SAFETY: what a layer reads was left by the layers before it, as `ends` has it.
            unsafe {
                if kind == Kind::Pixels {
                    self.stage(&lines);
                }
                let follows = index + 1 < plan.count && plan.kinds[index + 1] == Kind::Depthwise;
                if kind != Kind::Depthwise && follows {
                    // Block by block, while what the first of them left is in the first-level cache.
                    let next = self.maps[index + 2].next..ends[index + 1];
                    for block in 0..blocks {
                        self.product(isa, index, block, &lines);
                        self.filter(isa, index + 1, block, &next);
                    }
                    self.maps[index + 1].next = lines.end.max(lines.start);
                    self.maps[index + 2].next = next.end.max(next.start);
                    index += 2;
                    continue;
                }
                if kind == Kind::Depthwise {
                    self.filters(isa, index, &lines);
                } else {
                    for block in 0..blocks {
                        self.product(isa, index, block, &lines);
                    }
                }
            }
            self.maps[index + 1].next = lines.end.max(lines.start);
            index += 1;
        }
    }

    /// A depthwise layer whose input is there as a whole or has to be copied.
    ///
    /// # Safety
    /// As [`Self::band`].
    #[inline(always)]
    unsafe fn filters<I: Isa>(&mut self, isa: I, index: usize, lines: &Range<usize>) {
        let conv = &self.job.plan.convs[index];
        let source = match self.job.x {
            Input::Blocked(source) if index == 0 && self.job.plan.strips[0].is_some() => Some(source),
            _ => None,
        };
        let (mut from, mut end) = (0, 0);
        if source.is_some() && !lines.is_empty() {
            from = depthwise::needed(conv, lines.start).start.max(self.maps[0].next);
            end = depthwise::needed(conv, lines.end - 1).end;
        }
        for block in 0..conv.input.blocks() {
            // SAFETY: lines of the picture, and the ring holds what a band needs.
            unsafe {
                if let Some(source) = source {
                    let transform = source.transform(isa, block);
                    let width = conv.input.w * LANES;
                    let map = &self.maps[index];
                    let at = block * conv.input.plane() + self.image * conv.input.h * width;
                    for line in from..end {
                        let picture = &source.z[at + line * width..][..width];
                        depthwise::stage(isa, &transform, picture, map.rows.at(line).add(block * map.plane));
                    }
                }
                self.filter(isa, index, block, lines);
            }
        }
        self.maps[0].next = self.maps[0].next.max(end);
    }

    /// Lines of one block of a depthwise layer.
    ///
    /// # Safety
    /// As [`Self::band`].
    #[inline(always)]
    unsafe fn filter<I: Isa>(&self, isa: I, index: usize, block: usize, lines: &Range<usize>) {
        let link = &self.job.links[index];
        let [from, to] = [&self.maps[index], &self.maps[index + 1]];
        let rows = from.rows.shifted(block * from.plane);
        let (conv, width) = (&link.conv, link.conv.output.w);
        let filter = depthwise::filter(conv, &link.packed[block * conv.taps() * LANES..]).fit(&rows, width);
        let bias = link.epilogue.bias.map_or(&ZEROS[..], |bias| &bias[block * LANES..][..LANES]).as_ptr();
        let ending = link.epilogue.act.ending().unwrap_or(Ending::None);
        for line in lines.clone() {
            let to = to.rows.at(line).wrapping_add(block * to.plane);
            let sink = Sink {
                to,
                step: 1,
                count: width,
                bias,
                plus: None,
                ending,
                add: false,
                stream: false,
                ahead: depthwise::Ahead::NONE,
            };
            // SAFETY: the lines read are there, the line written is this item's.
            unsafe { filter.run(isa, &rows, (line * conv.stride[0]) as isize, &sink) }
        }
    }

    /// Copies the lines of the picture that `lines` of the first layer's result read, and zeros around them.
    ///
    /// # Safety
    /// As [`Self::band`].
    #[inline(always)]
    unsafe fn stage(&self, lines: &Range<usize>) {
        let (plan, Input::Pixels(pictures)) = (self.job.plan, self.job.x) else { return };
        let Conv { input, kernel, stride, padding, .. } = plan.convs[0];
        let [most, each] = plan.staged;
        let count = if lines.is_empty() { 0 } else { (lines.len() - 1) * stride[0] + kernel[0] };
        debug_assert!(count <= most);
        let before = padding[1] * input.c;
        let width = (input.w * input.c).min(each.saturating_sub(before));
        for line in 0..count {
            // SAFETY: as many lines wait at a time as a band reads.
            let to = unsafe { std::slice::from_raw_parts_mut(self.staged.add(line * each), each) };
            let y = (lines.start * stride[0] + line).wrapping_sub(padding[0]);
            if y >= input.h {
                to.fill(0.0);
                continue;
            }
            let from = &pictures[(self.image * input.h + y) * input.w * input.c..][..width];
            to[..before].fill(0.0);
            to[before..before + width].copy_from_slice(from);
            to[before + width..].fill(0.0);
        }
    }

    /// Lines of one panel of a product.
    ///
    /// # Safety
    /// As [`Self::band`].
    #[inline(always)]
    unsafe fn product<I: Isa>(&self, isa: I, index: usize, panel: usize, lines: &Range<usize>) {
        let plan = self.job.plan;
        let link = &self.job.links[index];
        let conv = &link.conv;
        let (width, side) = (conv.output.w, Side::forward(conv));
        let weights = &link.packed[side.offset(panel)..side.offset(panel + 1)];
        let [from, to] = [&self.maps[index], &self.maps[index + 1]];
        let is_pixels = plan.kinds[index] == Kind::Pixels;
        let mut next = lines.start;
        while next < lines.end {
            let line = next;
            let at_once = if from.dense && to.dense && !is_pixels {
                (lines.end - line).min(from.rows.following(line)).min(to.rows.following(line))
            } else {
                1
            };
            next += at_once;
            let left = if is_pixels {
                let each = plan.staged[1];
                let start = self.staged.wrapping_add((line - lines.start) * conv.stride[0] * each).cast_const();
                let channels = conv.kernel[1] * conv.input.c;
                Left { start, runs: conv.kernel[0], run_stride: each, plane: LANES, channels }
            } else {
                let start = from.rows.at(line).cast_const();
                Left { start, runs: 1, run_stride: 0, plane: from.plane, channels: conv.input.c }
            };
            let rows = at_once * width;
            let at = panel * conv.output.plane() + (self.image * conv.output.h + line) * width * LANES;
            let (bias, affine) = link.epilogue.parts(panel);
            let finish = Finish {
                bias,
                affine,
                add: link.epilogue.add.map(
                    #[inline(always)]
                    |add| add[at..][..rows * LANES].as_ptr(),
                ),
                ending: link.epilogue.act.ending().unwrap_or(Ending::None),
                ..Finish::STORE
            };
            let out = to.rows.at(line).wrapping_add(panel * to.plane);
            // SAFETY: the rows read are there, those written are this item's.
            unsafe {
                let (weights, ahead) = (weights.as_ptr(), &mut Ahead::new());
                let step = if is_pixels { conv.stride[1] * conv.input.c } else { LANES };
                match step {
                    1 => product::<I, 1>(isa, left, weights, finish, rows, out, ahead),
                    3 => product::<I, 3>(isa, left, weights, finish, rows, out, ahead),
                    6 => product::<I, 6>(isa, left, weights, finish, rows, out, ahead),
                    _ => product::<I, LANES>(isa, left, weights, finish, rows, out, ahead),
                }
            };
        }
    }
}
