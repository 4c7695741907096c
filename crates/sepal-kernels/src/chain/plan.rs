//! How a chain is cut into bands of lines, and where the lines between its layers wait.

use super::LONGEST;
use crate::depthwise::{self, Ring, needed};
use crate::geometry::Conv;
use crate::layout::LANES;

/// Pixels of a band at least: enough to amortise the loads of weights.
const BAND: usize = 48;

/// What a layer does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Depthwise,
    Pointwise,
    /// Any convolution of pixels.
    Pixels,
}

/// Lines of a map in a worker's scratch, `[block][line of the ring][pixel][16]`.
#[derive(Clone, Copy)]
pub(super) struct Strip {
    pub ring: Ring,
    /// First float.
    pub at: usize,
    /// Floats from block to block.
    pub plane: usize,
}

/// Whether a convolution has a kernel for pixels: those of a few steps from one result to the next.
pub(super) fn takes_pixels(conv: &Conv) -> bool {
    conv.groups == 1 && conv.dilation == [1, 1] && matches!(conv.input.c * conv.stride[1], 1 | 3 | 6)
}

/// How a chain is cut.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub convs: [Conv; LONGEST],
    pub kinds: [Kind; LONGEST],
    pub count: usize,
    /// Lines of the result that are computed at a time, a power of two.
    pub lines: usize,
    /// Where what layer `i` reads waits; none where it is read in place.
    pub strips: [Option<Strip>; LONGEST],
    /// Lines of pixels that wait, with zeros around them, and the floats of one.
    pub staged: [usize; 2],
    /// First float of the staged pixels.
    pub staged_at: usize,
    /// Floats of a worker's scratch.
    pub scratch: usize,
}

impl Plan {
    pub(super) fn new(layers: &[Conv], pixels: bool) -> Self {
        let count = layers.len();
        let mut convs = [layers[0]; LONGEST];
        let mut kinds = [Kind::Pointwise; LONGEST];
        for (index, conv) in layers.iter().enumerate() {
            conv.check();
            assert!(index == 0 || layers[index - 1].output == conv.input, "layer {index} reads something else");
            convs[index] = *conv;
            kinds[index] = if index == 0 && pixels {
                assert!(takes_pixels(conv), "pixels for {conv:?}");
                Kind::Pixels
            } else if conv.is_depthwise() {
                Kind::Depthwise
            } else {
                assert!(conv.is_pointwise() && conv.groups == 1, "layer {index} of a chain: {conv:?}");
                Kind::Pointwise
            };
        }
        let output = convs[count - 1].output;
        let lines = BAND.div_ceil(output.w.max(1)).min(output.h.max(1)).next_power_of_two();
        let mut plan =
            Self { convs, kinds, count, lines, strips: [None; LONGEST], staged: [0; 2], staged_at: 0, scratch: 0 };
        // Lines of a band, from the last layer to the first.
        let mut band = lines;
        for index in (0..count).rev() {
            let conv = &convs[index];
            let waits = index > 0 || kinds[0] == Kind::Depthwise && depthwise::is_narrow(conv);
            let ring = match kinds[index] {
                Kind::Depthwise => {
                    band = (band - 1) * conv.stride[0] + (conv.kernel[0] - 1) * conv.dilation[0] + 1;
                    depthwise::ring(conv, band)
                }
                Kind::Pointwise => Ring::dense(band, conv.input.h, conv.input.w),
                Kind::Pixels => {
                    let pixels = (conv.output.w.max(1) - 1) * conv.stride[1] + conv.kernel[1];
                    let each = (pixels * conv.input.c).next_multiple_of(LANES);
                    band = (band - 1) * conv.stride[0] + conv.kernel[0];
                    plan.staged = [band, each];
                    plan.staged_at = plan.scratch;
                    plan.scratch += band * each;
                    continue;
                }
            };
            if waits {
                let plane = ((ring.len() / LANES) | 1) * LANES;
                plan.strips[index] = Some(Strip { ring, at: plan.scratch, plane });
                plan.scratch += conv.input.blocks() * plane;
            }
        }
        plan
    }

    /// Bands of one image.
    pub(super) fn bands(&self) -> usize {
        self.convs[self.count - 1].output.h.div_ceil(self.lines)
    }

    /// For lines up to `line` of the result: the last line, exclusive, of what each layer leaves.
    pub(super) fn ends(&self, line: usize) -> [usize; LONGEST] {
        let mut ends = [0; LONGEST];
        ends[self.count - 1] = line;
        for index in (1..self.count).rev() {
            let end = ends[index];
            ends[index - 1] = if end == 0 { 0 } else { needed(&self.convs[index], end - 1).end };
        }
        ends
    }

    /// For lines from `line` of the result on: the first line of what each layer leaves.
    pub(super) fn starts(&self, line: usize) -> [usize; LONGEST] {
        let mut starts = [0; LONGEST];
        starts[self.count - 1] = line;
        for index in (1..self.count).rev() {
            starts[index - 1] = needed(&self.convs[index], starts[index]).start;
        }
        starts
    }
}
