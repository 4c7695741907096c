//! Where tiles lie.

use crate::geometry::Conv;

/// The tiles along one side of a picture.
///
/// A dilated convolution is a dense one on every phase of the grid, so that a tile's pixels are `step` apart.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub step: usize,
    /// Pixels read and written.
    pub source: usize,
    pub target: usize,
    padding: usize,
    /// Pixels from one tile of a phase to the next.
    reach: usize,
    phases: usize,
    pub tiles: usize,
}

impl Line {
    fn new(conv: &Conv, side: usize, m: usize) -> Self {
        let [source, target] = [conv.input, conv.output].map(|dims| [dims.h, dims.w][side]);
        let step = conv.dilation[side];
        let phases = step.min(target).max(1);
        let tiles = phases * target.div_ceil(step).div_ceil(m);
        Self { step, source, target, padding: conv.padding[side], reach: m * step, phases, tiles }
    }

    /// First pixel that a tile writes.
    pub(super) fn first(&self, tile: usize) -> usize {
        tile / self.phases * self.reach + tile % self.phases
    }

    /// First pixel that a tile reads, which may lie before the picture.
    pub(super) fn origin(&self, first: usize) -> isize {
        first as isize - self.padding as isize
    }

    /// Whether `count` pixels read from `origin` on are all in the picture.
    pub(super) fn is_inside(&self, origin: isize, count: usize) -> bool {
        origin >= 0 && origin as usize + (count - 1) * self.step < self.source
    }
}

/// The tiles of all pictures, counted across, down, and from image to image.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    images: usize,
    pub down: Line,
    pub across: Line,
}

impl Grid {
    /// Tiles of `m`×`m` outputs.
    pub(super) fn new(conv: &Conv, m: usize) -> Self {
        let [down, across] = [0, 1].map(|side| Line::new(conv, side, m));
        Self { images: conv.output.n, down, across }
    }

    pub(super) fn tiles(&self) -> usize {
        self.images * self.down.tiles * self.across.tiles
    }

    /// Image, and the first pixel that is written, down and across.
    pub(super) fn place(&self, tile: usize) -> [usize; 3] {
        let (line, x) = (tile / self.across.tiles, tile % self.across.tiles);
        let (image, y) = (line / self.down.tiles, line % self.down.tiles);
        [image, self.down.first(y), self.across.first(x)]
    }
}
