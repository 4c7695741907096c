//! The filters that lead from a depthwise convolution's `dz` to its `dx`.
//!
//! `dx[i]` is the sum of `dz[o]·weight[k]` over the taps `k` with `i + padding = o·stride + k·dilation`. Which taps
//! those are depends on the remainder of `i` by the stride alone; for each remainder this is a filter of stride 1, so
//! nothing is scattered and no zeros are multiplied.

use super::backward::Target;
use super::filter::{Ahead, Filter, Sink};
use super::rows::Rows;
use crate::act::Ending;
use crate::geometry::{Conv, Write, ZEROS};
use crate::isa::Isa;
use crate::layout::LANES;

/// Largest stride for which filters are made once per plane.
const KEPT: usize = 2;

/// The filters that lead from `dz` to `dx`.
pub(super) struct Filters<'a> {
    conv: &'a Conv,
    /// Of one channel block.
    weights: *const f32,
    dz: &'a Rows,
    /// By the remainder of row and column by the stride, where that is small.
    kept: [[Option<Filter>; KEPT]; KEPT],
}

/// The taps of one axis that meet the positions with one remainder by the stride, in reverse.
struct Axis {
    taps: usize,
    /// The last such tap, read first.
    last: usize,
    /// From one such tap to the next.
    apart: usize,
    /// Position of `dz` that `last` meets for the first position, and from one tap to the next.
    start: isize,
    step: usize,
}

impl Axis {
    /// For the positions `first + i·stride`.
    #[inline(always)]
    fn new(first: usize, taps: usize, stride: usize, padding: usize, dilation: usize) -> Self {
        // A position meets tap `k` where `(position + padding - k·dilation)` is a multiple of the stride.
        let meets = |tap: usize| (first + padding) % stride == tap * dilation % stride;
        let apart = stride / gcd(stride, dilation);
        let lowest = (0..taps.min(apart)).find(|&tap| meets(tap));
        let Some(lowest) = lowest else {
            return Self { taps: 0, last: 0, apart, start: 0, step: 1 };
        };
        let count = (taps - 1 - lowest) / apart + 1;
        let last = lowest + (count - 1) * apart;
        let start = ((first + padding) as isize - (last * dilation) as isize) / stride as isize;
        Self { taps: count, last, apart, start, step: apart * dilation / stride }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl<'a> Filters<'a> {
    #[inline(always)]
    pub(super) fn new(conv: &'a Conv, weights: *const f32, dz: &'a Rows) -> Self {
        let mut filters = Self { conv, weights, dz, kept: [[None; KEPT]; KEPT] };
        for y in 0..conv.stride[0].min(KEPT) {
            for x in 0..conv.stride[1].min(KEPT) {
                filters.kept[y][x] = Some(filters.make(y, x));
            }
        }
        filters
    }

    /// Results in a row for the columns with remainder `x` by the stride.
    #[inline(always)]
    fn count(&self, x: usize) -> usize {
        let (width, stride) = (self.conv.input.w, self.conv.stride[1]);
        if stride == 1 { width } else { (width - x.min(width)).div_ceil(stride) }
    }

    /// The filter for the pixels with these remainders of row and column by the stride.
    fn make(&self, y: usize, x: usize) -> Filter {
        let Conv { kernel, stride, padding, dilation, .. } = *self.conv;
        let vertical = Axis::new(y, kernel[0], stride[0], padding[0], dilation[0]);
        let horizontal = Axis::new(x, kernel[1], stride[1], padding[1], dilation[1]);
        let tap = vertical.last * kernel[1] + horizontal.last;
        let filter = Filter {
            rows: if horizontal.taps == 0 { 0 } else { vertical.taps },
            y0: vertical.start,
            y_step: vertical.step,
            cols: horizontal.taps,
            x0: horizontal.start,
            x_step: horizontal.step,
            stride: 1,
            // SAFETY: a tap of this channel block.
            weights: unsafe { self.weights.add(tap * LANES) },
            weight_row: -((vertical.apart * kernel[1] * LANES) as isize),
            weight_col: -((horizontal.apart * LANES) as isize),
            inside: (0, 0),
        };
        filter.fit(self.dz, self.count(x))
    }

    /// Row `y` of dx, while the row of `x` at `next` is fetched.
    ///
    /// # Safety
    /// The rows of dz that it reads are there; `to` is valid for the row.
    #[inline(always)]
    pub(super) unsafe fn row<I: Isa>(&self, isa: I, y: usize, to: *mut f32, target: &Target<'_>, next: *const f32) {
        let [down, right] = self.conv.stride;
        let (row, rest) = if down == 1 { (y, 0) } else { (y / down, y % down) };
        for x in 0..right.min(self.conv.input.w) {
            let kept = self.kept.get(rest).and_then(|kept| kept.get(x)).copied().flatten();
            let filter = kept.unwrap_or_else(|| self.make(rest, x));
            let sink = Sink {
                // SAFETY: a pixel of the row.
                to: unsafe { to.add(x * LANES) },
                step: right,
                count: self.count(x),
                bias: ZEROS.as_ptr(),
                plus: None,
                ending: Ending::None,
                add: target.write == Write::Add,
                stream: target.stream,
                ahead: Ahead { from: next.wrapping_add(x * LANES), step: right, lines: 1 },
            };
            // SAFETY: by the caller's promise; made for these rows.
            unsafe { filter.run(isa, self.dz, row as isize, &sink) }
        }
    }
}
