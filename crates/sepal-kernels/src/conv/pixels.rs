//! The first layer's operand: pictures, whose few channels are staged densely with their taps.

use super::plan::{Window, staged_plane};
use crate::isa::{Isa, Vector};
use crate::layout::LANES;
use std::ops::Range;

/// Pieces of one pixel's window that are kept at a time.
const PIECES: usize = 32;

/// Neighbours in memory that are also neighbours in the staged row.
#[derive(Clone, Copy)]
struct Piece {
    from: *const f32,
    /// Floats from what this pixel reads to what the next one does.
    step: usize,
    to: usize,
}

/// What lies outside a picture.
static ZEROS: [f32; LANES] = [0.0; LANES];

/// A picture's pixels, `N, H, W, C`, and where they go.
#[derive(Clone, Copy)]
struct Stage<'a> {
    pictures: &'a [f32],
    channels: usize,
    window: &'a Window,
    plane: usize,
    to: *mut f32,
}

/// Copies the pixels under each tap of `rows`, dense over taps and channels, as
/// `[block of sixteen][row][16]`.
///
/// # Safety
/// `to` holds a staged plane for each sixteen values.
#[inline(always)]
pub(super) unsafe fn stage<I: Isa>(
    isa: I,
    pictures: &[f32],
    channels: usize,
    window: &Window,
    rows: &Range<usize>,
    to: *mut f32,
) {
    let [down, across] = window.axes;
    let stage = Stage { pictures, channels, window, plane: staged_plane(rows.len()), to };
    let reach = (across.count as isize - 1) * across.slope;
    let inside_from = (-across.origin).max(0).unsigned_abs().div_ceil(across.mul);
    let inside_to = (across.source as isize - reach - across.origin).max(0).unsigned_abs().div_ceil(across.mul);
    let mut row = rows.start;
    while row < rows.end {
        let (line, x) = (row / across.target, row % across.target);
        let (image, y) = (line / down.target, line % down.target);
        let end = (x + rows.end - row).min(across.target);
        let from = inside_from.clamp(x, end);
        let mut until = inside_to.clamp(from, end);
        let mut pieces = [Piece { from: ZEROS.as_ptr(), step: 0, to: 0 }; PIECES];
        let count = if from < until { stage.pieces(image, y, from, &mut until, &mut pieces) } else { 0 };
        if count == 0 {
            until = from;
        }
        let index = row - rows.start;
        // SAFETY: these rows are among those promised; pieces were checked as they were made.
        unsafe {
            for x in x..from {
                stage.one(image, y, x, index + x - row % across.target);
            }
            let mut to = to.add((index + from - x) * LANES);
            for _ in from..until {
                for piece in &mut pieces[..count] {
                    // Those written past the piece are this row's and the next row's in the same plane, which
                    // are written afterwards; the plane has a row to spare.
                    I::Block::load(isa, piece.from).store(isa, to.add(piece.to));
                    piece.from = piece.from.wrapping_add(piece.step);
                }
                to = to.add(LANES);
            }
            for x in until..end {
                stage.one(image, y, x, index + x - row % across.target);
            }
        }
        row += end - x;
    }
}

impl Stage<'_> {
    /// Finds the pieces of pixel (`y`, `x`)'s window, which step on for the pixels up to `until`. It is
    /// lowered to those whose pieces can be read sixteen floats at a time. Returns their number, 0 if
    /// windows have no such pieces.
    #[inline(always)]
    fn pieces(&self, image: usize, y: usize, x: usize, until: &mut usize, pieces: &mut [Piece; PIECES]) -> usize {
        let [down, across] = self.window.axes;
        // A line of the kernel reads neighbours only where it is not dilated.
        if across.slope != 1 {
            return 0;
        }
        let line_len = across.count * self.channels;
        let step = across.mul * self.channels;
        let mut count = 0;
        for tap in 0..down.count {
            let source_y = (y * down.mul) as isize + down.origin + tap as isize * down.slope;
            let is_inside = source_y >= 0 && source_y < down.source as isize;
            let line = image * down.source + source_y.max(0) as usize;
            let left = ((x * across.mul) as isize + across.origin) as usize;
            let mut at = (line * across.source + left) * self.channels;
            let mut k = tap * line_len;
            while k < (tap + 1) * line_len {
                if count == PIECES {
                    return 0;
                }
                let take = (LANES - k % LANES).min((tap + 1) * line_len - k);
                let to = k / LANES * self.plane + k % LANES;
                pieces[count] = Piece { from: ZEROS.as_ptr(), step: 0, to };
                if is_inside {
                    let room = self.pictures.len().saturating_sub(at + LANES);
                    if at + LANES > self.pictures.len() {
                        *until = x;
                        return 0;
                    }
                    *until = (*until).min(x + room / step + 1);
                    pieces[count] = Piece { from: self.pictures[at..].as_ptr(), step, to };
                }
                count += 1;
                k += take;
                at += take;
            }
        }
        count
    }

    /// Copies the window of one pixel, value by value.
    ///
    /// # Safety
    /// The staged planes hold row `row`.
    #[inline(always)]
    unsafe fn one(&self, image: usize, y: usize, x: usize, row: usize) {
        let [down, across] = self.window.axes;
        let mut k = 0;
        for tap_y in 0..down.count {
            let source_y = (y * down.mul) as isize + down.origin + tap_y as isize * down.slope;
            for tap_x in 0..across.count {
                let source_x = (x * across.mul) as isize + across.origin + tap_x as isize * across.slope;
                let is_inside = source_y >= 0
                    && source_y < down.source as isize
                    && source_x >= 0
                    && source_x < across.source as isize;
                for channel in 0..self.channels {
                    let value = if is_inside {
                        let line = image * down.source + source_y as usize;
                        self.pictures[(line * across.source + source_x as usize) * self.channels + channel]
                    } else {
                        0.0
                    };
                    // SAFETY: the plane of `k` holds the row.
                    unsafe { self.to.add(k / LANES * self.plane + row * LANES + k % LANES).write(value) };
                    k += 1;
                }
            }
        }
    }
}
