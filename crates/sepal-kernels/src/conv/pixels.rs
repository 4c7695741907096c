//! The first layer's operand: pictures, whose few channels are staged with the taps of a line.

use super::plan::{Window, staged_plane};
use crate::isa::{Isa, Vector};
use crate::layout::LANES;
use std::ops::Range;

/// Lines of one pixel's window that are kept at a time.
const PIECES: usize = 32;

/// Sixteen neighbours in memory, of which a staged row takes all or the first.
#[derive(Clone, Copy)]
struct Piece {
    from: *const f32,
    /// Floats from what this pixel reads to what the next one does.
    step: usize,
}

/// What lies outside a picture.
static ZEROS: [f32; LANES] = [0.0; LANES];

/// Pictures, `N, H, W, C`, and where they go.
#[derive(Clone, Copy)]
struct Stage<'a> {
    pictures: &'a [f32],
    channels: usize,
    window: &'a Window,
    plane: usize,
    to: *mut f32,
}

/// Copies the pixels under each tap of `rows`, as `[line of the kernel][block of sixteen][row][16]`: the
/// taps of a line and their channels lie side by side, as they do in a picture.
///
/// # Safety
/// `to` holds a staged plane for each line and block.
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
        let (line, first) = (row / across.target, row % across.target);
        let (image, y) = (line / down.target, line % down.target);
        let end = (first + rows.end - row).min(across.target);
        let from = inside_from.clamp(first, end);
        let mut until = inside_to.clamp(from, end);
        let mut pieces = [Piece { from: ZEROS.as_ptr(), step: 0 }; PIECES];
        let count = if from < until { stage.pieces(image, y, from, &mut until, &mut pieces) } else { 0 };
        if count == 0 {
            until = from;
        }
        let index = row - rows.start;
        // SAFETY: these rows are among those promised; pieces were checked as they were made.
        unsafe {
            for x in (first..from).chain(until..end) {
                stage.one(image, y, x, index + x - first);
            }
            let mut to = to.add((index + from - first) * LANES);
            for _ in from..until {
                for (plane, piece) in pieces[..count].iter_mut().enumerate() {
                    I::Block::load(isa, piece.from).store(isa, to.add(plane * stage.plane));
                    piece.from = piece.from.wrapping_add(piece.step);
                }
                to = to.add(LANES);
            }
        }
        row += end - first;
    }
}

impl Stage<'_> {
    /// Finds the pieces of pixel (`y`, `x`)'s window, which step on for the pixels up to `until`. It is
    /// lowered to those whose pieces can be read sixteen floats at a time. Returns their number, 0 if
    /// windows have no such pieces.
    #[inline(always)]
    fn pieces(&self, image: usize, y: usize, x: usize, until: &mut usize, pieces: &mut [Piece; PIECES]) -> usize {
        let [down, across] = self.window.axes;
        let blocks = (across.count * self.channels).div_ceil(LANES);
        // A line of the kernel reads neighbours only where it is not dilated.
        if across.slope != 1 || down.count * blocks > PIECES {
            return 0;
        }
        let step = across.mul * self.channels;
        let left = ((x * across.mul) as isize + across.origin) as usize;
        for tap in 0..down.count {
            let source_y = (y * down.mul) as isize + down.origin + tap as isize * down.slope;
            if source_y < 0 || source_y >= down.source as isize {
                continue;
            }
            let line = image * down.source + source_y as usize;
            let at = (line * across.source + left) * self.channels;
            let Some(room) = self.pictures.len().checked_sub(at + blocks * LANES) else { return 0 };
            *until = (*until).min(x + room / step + 1);
            for block in 0..blocks {
                let from = self.pictures[at + block * LANES..].as_ptr();
                pieces[tap * blocks + block] = Piece { from, step };
            }
        }
        down.count * blocks
    }

    /// Copies the window of one pixel, value by value.
    ///
    /// # Safety
    /// The staged planes hold row `row`.
    #[inline(always)]
    unsafe fn one(&self, image: usize, y: usize, x: usize, row: usize) {
        let [down, across] = self.window.axes;
        let blocks = (across.count * self.channels).div_ceil(LANES);
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
                    let k = tap_x * self.channels + channel;
                    let plane = tap_y * blocks + k / LANES;
                    // SAFETY: that plane holds the row.
                    unsafe { self.to.add(plane * self.plane + row * LANES + k % LANES).write(value) };
                }
            }
        }
    }
}
