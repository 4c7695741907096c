//! One row of a filter over one channel block: the inner loops of forward and of the input's gradient.

use super::rows::Rows;
use crate::act::Ending;
use crate::isa::{Isa, Kernel, Vector, prefetch};
use crate::layout::LANES;
use std::ops::Range;

/// A filter of `rows`×`cols` taps. Output pixel `(y, x)` reads input pixel
/// `(y + y0 + i·y_step, x·stride + x0 + j·x_step)` for tap `(i, j)`.
///
/// Both directions of a convolution are such filters: the gradient of the input is, for each
/// remainder of the position by the stride, a filter of stride 1 over the output's gradient with the
/// taps that meet this remainder, in reverse.
#[derive(Clone, Copy)]
pub(crate) struct Filter {
    pub(crate) rows: usize,
    pub(crate) y0: isize,
    pub(crate) y_step: usize,
    pub(crate) cols: usize,
    pub(crate) x0: isize,
    pub(crate) x_step: usize,
    pub(crate) stride: usize,
    /// Weights of tap (0, 0), sixteen floats, and the floats from row to row and from tap to tap.
    pub(crate) weights: *const f32,
    pub(crate) weight_row: isize,
    pub(crate) weight_col: isize,
    /// Results for which every tap reads a column that is there; see [`Filter::fit`].
    pub(crate) inside: (usize, usize),
}

/// Where a row of results goes and what happens on the way: `ending(result + bias + plus)`.
#[derive(Clone, Copy)]
pub(crate) struct Sink {
    /// The first result, and the pixels from one result to the next.
    pub(crate) to: *mut f32,
    pub(crate) step: usize,
    /// Number of results.
    pub(crate) count: usize,
    /// Sixteen floats.
    pub(crate) bias: *const f32,
    /// A row to add, if any: as many pixels as there are results, one after the other.
    pub(crate) plus: Option<*const f32>,
    pub(crate) ending: Ending,
    /// Whether results are added to what is there.
    pub(crate) add: bool,
    /// Whether results are stored past the caches; `to` is aligned then.
    pub(crate) stream: bool,
    /// Memory that will be read soon, fetched while the row is computed.
    pub(crate) ahead: Ahead,
}

/// Pixels to prefetch with each result: `lines` from `from + x·step` on, for result `x`.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    pub(crate) from: *const f32,
    pub(crate) step: usize,
    pub(crate) lines: usize,
}

impl Ahead {
    /// Nothing.
    pub(crate) const NONE: Self = Self { from: std::ptr::null(), step: 0, lines: 0 };

    /// Prefetches what belongs to `count` results from `x` on.
    #[inline(always)]
    fn fetch(&self, x: usize, count: usize) {
        for line in 0..self.lines {
            for x in x..x + count {
                prefetch(self.from.wrapping_add((x * self.step + line) * LANES));
            }
        }
    }
}

impl Filter {
    /// The filter's rows that meet the picture where output row `y` reads.
    #[inline(always)]
    fn meets(&self, y: isize, height: usize) -> Range<usize> {
        span(y + self.y0, self.y_step, self.rows, height)
    }

    /// Finds out which of a row's `count` results read only columns that `rows` have.
    #[inline(always)]
    pub(crate) fn fit(self, rows: &Rows, count: usize) -> Self {
        let reach = self.cols.saturating_sub(1) * self.x_step;
        let first = (-(rows.left as isize) - self.x0).max(0) as usize;
        let first = first.div_ceil(self.stride).min(count);
        let last = (rows.width + rows.right) as isize - 1 - self.x0 - reach as isize;
        let end = if last < 0 { 0 } else { last as usize / self.stride + 1 };
        Self { inside: (first, end.clamp(first, count)), ..self }
    }

    /// Computes one row of results: output row `y` reads from `rows`.
    ///
    /// # Safety
    /// The filter was fitted to `rows` and `sink.count`; the picture's rows that it meets are in `rows`; weights, bias and results are valid.
    #[inline(always)]
    pub(crate) unsafe fn run<I: Isa>(&self, isa: I, rows: &Rows, y: isize, sink: &Sink) {
        let meets = self.meets(y, rows.height);
        // Apart, because the tiles of all kernels are much code.
        isa.apart(Task { filter: self, rows, y: y + self.y0, meets, sink });
    }

    /// Columns that lack for the taps of the first and of the last of `count` results, of which there is one at least.
    #[inline(always)]
    fn lacks(&self, rows: &Rows, count: usize) -> [usize; 2] {
        let left = (-(rows.left as isize) - self.x0).max(0) as usize;
        let last = ((count - 1) * self.stride + (self.cols - 1) * self.x_step) as isize + self.x0;
        [left, (last + 1 - (rows.width + rows.right) as isize).max(0) as usize]
    }
}

/// Whether a row of `count` results is cut into whole tiles for a dense filter where so many columns lack at its ends:
/// without copies of rows between columns of zeros, that is.
pub(crate) fn keeps_to_tiles(cols: usize, stride: usize, lacks: [usize; 2], count: usize) -> bool {
    if !matches!(cols, 3 | 5 | 7) || !count.is_multiple_of(8) && !count.is_multiple_of(7) {
        return false;
    }
    let half = cols / 2;
    match stride {
        1 => lacks == [0, 0] || lacks == [half; 2],
        2 => lacks == [0, 0] || lacks == [half, half - 1] || lacks == [half - 1, half],
        _ => false,
    }
}

/// Which of the positions `start + i·step`, `i < count`, lie in `0..end`, as a range of `i`.
#[inline(always)]
pub(crate) fn span(start: isize, step: usize, count: usize, end: usize) -> Range<usize> {
    let below = |bound: isize| {
        let distance = (bound - start).max(0) as usize;
        // The usual case without a division.
        if step == 1 { distance.min(count) } else { distance.div_ceil(step).min(count) }
    };
    let first = below(0);
    first..below(end as isize).max(first)
}

/// One row of one filter.
struct Task<'a> {
    filter: &'a Filter,
    rows: &'a Rows,
    /// Input row of the filter's first row.
    y: isize,
    meets: Range<usize>,
    sink: &'a Sink,
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let (filter, count) = (self.filter, self.sink.count);
        let dense = filter.x_step == 1 && filter.cols > 0 && count > 0;
        // SAFETY: by the promise of `Filter::run`, which alone makes tasks; rows, columns and results are those it names.
        unsafe {
            let done = dense
                && match (filter.cols, filter.stride, filter.lacks(self.rows, count)) {
                    (3, 1, [0, 0]) => self.whole::<I, 3, 1, 0, 0>(isa),
                    (3, 1, [1, 1]) => self.whole::<I, 3, 1, 1, 1>(isa),
                    (3, 2, [0, 0]) => self.whole::<I, 3, 2, 0, 0>(isa),
                    (3, 2, [1, 0]) => self.whole::<I, 3, 2, 1, 0>(isa),
                    (3, 2, [0, 1]) => self.whole::<I, 3, 2, 0, 1>(isa),
                    (5, 1, [0, 0]) => self.whole::<I, 5, 1, 0, 0>(isa),
                    (5, 1, [2, 2]) => self.whole::<I, 5, 1, 2, 2>(isa),
                    (5, 2, [0, 0]) => self.whole::<I, 5, 2, 0, 0>(isa),
                    (5, 2, [2, 1]) => self.whole::<I, 5, 2, 2, 1>(isa),
                    (5, 2, [1, 2]) => self.whole::<I, 5, 2, 1, 2>(isa),
                    (7, 1, [0, 0]) => self.whole::<I, 7, 1, 0, 0>(isa),
                    (7, 1, [3, 3]) => self.whole::<I, 7, 1, 3, 3>(isa),
                    (7, 2, [0, 0]) => self.whole::<I, 7, 2, 0, 0>(isa),
                    (7, 2, [3, 2]) => self.whole::<I, 7, 2, 3, 2>(isa),
                    (7, 2, [2, 3]) => self.whole::<I, 7, 2, 2, 3>(isa),
                    _ => false,
                };
            debug_assert!(!done || keeps_to_tiles(filter.cols, filter.stride, filter.lacks(self.rows, count), count));
            if done {
                return;
            }
            let inside = filter.inside.0..filter.inside.1;
            for x in (0..inside.start).chain(inside.end..count) {
                self.edge(isa, x);
            }
            match (filter.cols, filter.x_step, filter.stride) {
                (3, 1, 1) => self.tiles::<I, 3, 1>(isa, inside),
                (3, 1, 2) => self.tiles::<I, 3, 2>(isa, inside),
                (5, 1, 1) => self.tiles::<I, 5, 1>(isa, inside),
                (5, 1, 2) => self.tiles::<I, 5, 2>(isa, inside),
                (7, 1, 1) => self.tiles::<I, 7, 1>(isa, inside),
                _ => self.tiles::<I, 0, 0>(isa, inside),
            }
        }
    }
}

impl Task<'_> {
    /// All results, if they are a multiple of seven or eight, as those of most networks. `LEFT` and `RIGHT` columns
    /// lack for the taps of the first and of the last. Returns whether it was so.
    ///
    /// # Safety
    /// As [`Filter::run`].
    #[inline(always)]
    unsafe fn whole<I: Isa, const COLS: usize, const STRIDE: usize, const LEFT: usize, const RIGHT: usize>(
        &self,
        isa: I,
    ) -> bool {
        // SAFETY: by the caller's promise.
        unsafe {
            match self.sink.count {
                // More multiply-adds than in 14 times 3 the compiler would not write out.
                count if const { I::TILE_ROWS > 16 && COLS == 3 } && count % 14 == 0 => {
                    self.cut::<I, COLS, STRIDE, LEFT, RIGHT, 14>(isa);
                }
                count if count % 8 == 0 => self.cut::<I, COLS, STRIDE, LEFT, RIGHT, 8>(isa),
                count if count % 7 == 0 => self.cut::<I, COLS, STRIDE, LEFT, RIGHT, 7>(isa),
                _ => return false,
            }
        }
        true
    }

    /// All results, in tiles of `T`, which divides their number.
    ///
    /// # Safety
    /// As [`Task::whole`].
    #[inline(always)]
    unsafe fn cut<
        I: Isa,
        const COLS: usize,
        const STRIDE: usize,
        const LEFT: usize,
        const RIGHT: usize,
        const T: usize,
    >(
        &self,
        isa: I,
    ) {
        let count = self.sink.count;
        // SAFETY: by the caller's promise; only the first tile and the last lack columns.
        unsafe {
            if count == T {
                return self.tile::<I, COLS, STRIDE, LEFT, RIGHT, T>(isa, 0);
            }
            self.tile::<I, COLS, STRIDE, LEFT, 0, T>(isa, 0);
            for x in (T..count - T).step_by(T) {
                self.tile::<I, COLS, STRIDE, 0, 0, T>(isa, x);
            }
            self.tile::<I, COLS, STRIDE, 0, RIGHT, T>(isa, count - T);
        }
    }

    /// The results `inside`, in tiles of several columns.
    ///
    /// # Safety
    /// As [`Filter::run`]; every tap of these results reads a column that is there.
    #[inline(always)]
    unsafe fn tiles<I: Isa, const COLS: usize, const STRIDE: usize>(&self, isa: I, inside: Range<usize>) {
        let Range { start: mut x, end } = inside.clone();
        // SAFETY: by the caller's promise.
        unsafe {
            while x + 8 <= end {
                self.tile::<I, COLS, STRIDE, 0, 0, 8>(isa, x);
                x += 8;
            }
            if x < end && end >= inside.start + 8 && !self.sink.add {
                // Some results once more, and to the same place, are cheaper than the last few one by one.
                self.tile::<I, COLS, STRIDE, 0, 0, 8>(isa, end - 8);
                x = end;
            }
            if x + 4 <= end {
                self.tile::<I, COLS, STRIDE, 0, 0, 4>(isa, x);
                x += 4;
            }
            while x < end {
                self.tile::<I, COLS, STRIDE, 0, 0, 1>(isa, x);
                x += 1;
            }
        }
    }

    /// Results `x..x + T`. `COLS` and `STRIDE` are the filter's (its taps being adjacent), or 0. `LEFT` and `RIGHT`
    /// columns lack for the taps of the first and of the last of them.
    ///
    /// # Safety
    /// As [`Filter::run`]; all other columns are there.
    #[inline(always)]
    unsafe fn tile<
        I: Isa,
        const COLS: usize,
        const STRIDE: usize,
        const LEFT: usize,
        const RIGHT: usize,
        const T: usize,
    >(
        &self,
        isa: I,
        x: usize,
    ) {
        let filter = self.filter;
        self.sink.ahead.fetch(x, T);
        let mut lane = 0;
        while lane < LANES {
            // SAFETY: by the caller's promise; sixteen floats hold lanes `lane..lane + WIDTH`.
            unsafe {
                let mut sums = [I::Reg::load(isa, self.sink.bias.add(lane)); T];
                for i in self.meets.clone() {
                    let row = self.rows.at((self.y + (i * filter.y_step) as isize) as usize);
                    let stride = if STRIDE == 0 { filter.stride } else { STRIDE };
                    let from =
                        row.wrapping_offset(((x * stride) as isize + filter.x0) * LANES as isize + lane as isize);
                    let weights = filter.weights.offset(i as isize * filter.weight_row + lane as isize);
                    if COLS == 0 {
                        for j in 0..filter.cols {
                            let weight = I::Reg::load(isa, weights.offset(j as isize * filter.weight_col));
                            let from = from.add(j * filter.x_step * LANES);
                            for (t, sum) in sums.iter_mut().enumerate() {
                                let value = I::Reg::load(isa, from.add(t * stride * LANES));
                                *sum = value.mul_add(isa, weight, *sum);
                            }
                        }
                    } else {
                        let mut taps = [I::Reg::splat(isa, 0.0); COLS];
                        for (j, tap) in taps.iter_mut().enumerate() {
                            *tap = I::Reg::load(isa, weights.offset(j as isize * filter.weight_col));
                        }
                        // Result by result: short loops of constant length, which the compiler writes out, and then
                        // loads once what neighbours share.
                        for (t, sum) in sums.iter_mut().enumerate() {
                            for (j, tap) in taps.iter().enumerate() {
                                let column = t * STRIDE + j;
                                if column >= LEFT && column + RIGHT < (T - 1) * STRIDE + COLS {
                                    let value = I::Reg::load(isa, from.wrapping_add(column * LANES));
                                    *sum = value.mul_add(isa, *tap, *sum);
                                }
                            }
                        }
                    }
                }
                self.put(isa, x, lane, sums);
            }
            lane += I::Reg::WIDTH;
        }
    }

    /// Result `x`, some of whose taps read columns that are not there.
    ///
    /// # Safety
    /// As [`Filter::run`].
    #[inline(always)]
    unsafe fn edge<I: Isa>(&self, isa: I, x: usize) {
        let filter = self.filter;
        let column = (x * filter.stride) as isize + filter.x0;
        let (left, right) = (self.rows.left, self.rows.right);
        let cols = span(column + left as isize, filter.x_step, filter.cols, left + self.rows.width + right);
        let mut lane = 0;
        while lane < LANES {
            // SAFETY: `meets` and `cols` keep to rows and columns that are there.
            unsafe {
                let mut sum = I::Reg::load(isa, self.sink.bias.add(lane));
                for i in self.meets.clone() {
                    let row = self.rows.at((self.y + (i * filter.y_step) as isize) as usize);
                    let weights = filter.weights.offset(i as isize * filter.weight_row + lane as isize);
                    for j in cols.clone() {
                        let at = (column + (j * filter.x_step) as isize) * LANES as isize + lane as isize;
                        let weight = I::Reg::load(isa, weights.offset(j as isize * filter.weight_col));
                        sum = I::Reg::load(isa, row.offset(at)).mul_add(isa, weight, sum);
                    }
                }
                let sums = [sum];
                self.put(isa, x, lane, sums);
            }
            lane += I::Reg::WIDTH;
        }
    }

    /// Finishes and stores lanes `lane..` of the results from `x` on.
    ///
    /// # Safety
    /// As [`Filter::run`].
    #[inline(always)]
    unsafe fn put<I: Isa, const T: usize>(&self, isa: I, x: usize, lane: usize, mut sums: [I::Reg; T]) {
        let sink = self.sink;
        let step = sink.step * LANES;
        // SAFETY: results from `x` on are valid by the caller's promise.
        unsafe {
            let to = sink.to.add(x * step + lane);
            if let Some(plus) = sink.plus {
                for (t, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.add(isa, I::Reg::load(isa, plus.add((x + t) * LANES + lane)));
                }
            }
            sink.ending.apply(isa, &mut sums);
            if sink.add {
                for (t, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.add(isa, I::Reg::load(isa, to.add(t * step)));
                }
            }
            if sink.stream {
                for (t, sum) in sums.into_iter().enumerate() {
                    sum.stream(isa, to.add(t * step));
                }
            } else {
                for (t, sum) in sums.into_iter().enumerate() {
                    sum.store(isa, to.add(t * step));
                }
            }
        }
    }
}
