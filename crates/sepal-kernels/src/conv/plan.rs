//! How a convolution is cut: which channels meet, which pixels, and in which pieces.

use crate::geometry::Conv;
use crate::layout::LANES;
use std::ops::Range;

/// Inputs of one product's K loop that are staged at a time; more are added up in several rounds.
const DEPTH: usize = 1024;
/// Staged floats that leave room for panels and results in a second-level cache.
pub(crate) const STAGED: usize = 64 * 1024;

/// The channels of one product: each block of `outputs` reads a range of blocks of `inputs`.
#[derive(Clone, Copy)]
pub(crate) struct Side {
    pub outputs: usize,
    pub inputs: usize,
    pub groups: usize,
    pub taps: usize,
}

impl Side {
    pub(crate) fn forward(conv: &Conv) -> Self {
        Self { outputs: conv.output.c, inputs: conv.input.c, groups: conv.groups, taps: conv.taps() }
    }

    /// The product that yields the gradient of the input.
    pub(crate) fn backward(conv: &Conv) -> Self {
        Self { outputs: conv.input.c, inputs: conv.output.c, groups: conv.groups, taps: conv.taps() }
    }

    pub(crate) fn panels(&self) -> usize {
        self.outputs.div_ceil(LANES)
    }

    pub(crate) fn blocks(&self) -> usize {
        self.inputs.div_ceil(LANES)
    }

    /// The blocks of inputs that the groups of panel `panel` read.
    pub(crate) fn reach(&self, panel: usize) -> Range<usize> {
        let [each, reads] = [self.outputs / self.groups, self.inputs / self.groups];
        let last = (panel * LANES + LANES).min(self.outputs) - 1;
        let [first, end] = [panel * LANES / each * reads, (last / each + 1) * reads];
        first / LANES..end.div_ceil(LANES)
    }

    /// Inputs of the blocks `blocks`; the last block may not be full.
    pub(crate) fn width(&self, blocks: &Range<usize>) -> usize {
        (blocks.end * LANES).min(self.inputs) - blocks.start * LANES
    }

    /// Floats before panel `panel` in packed weights.
    pub(crate) fn offset(&self, panel: usize) -> usize {
        let each = |panel| self.width(&self.reach(panel)) * self.taps * LANES;
        if self.groups == 1 { if panel == 0 { 0 } else { panel * each(0) } } else { (0..panel).map(each).sum() }
    }

    /// Floats of packed weights.
    pub(crate) fn len(&self) -> usize {
        self.offset(self.panels())
    }

    /// How the K loop is cut into rounds.
    pub(crate) fn rounds(&self, taps: usize) -> Rounds {
        let blocks = self.blocks();
        let most = DEPTH / LANES;
        let (each_taps, each_blocks) = if blocks <= most {
            (taps.div_ceil(taps.div_ceil((most / blocks).max(1)).max(1)), blocks)
        } else if self.groups == 1 {
            (1, blocks.div_ceil(blocks.div_ceil(most)))
        } else {
            (1, blocks)
        };
        Rounds { taps, blocks, each_taps: each_taps.max(1), each_blocks }
    }
}

/// The K loop of a product, cut into rounds of taps or of blocks.
#[derive(Clone, Copy)]
pub(crate) struct Rounds {
    taps: usize,
    blocks: usize,
    each_taps: usize,
    each_blocks: usize,
}

/// One round: some taps of some blocks of inputs.
#[derive(Clone)]
pub(crate) struct Round {
    pub taps: Range<usize>,
    pub blocks: Range<usize>,
}

impl Rounds {
    pub(crate) fn len(&self) -> usize {
        // Without a tap there still is a result to write: zero.
        (self.taps.div_ceil(self.each_taps) * self.blocks.div_ceil(self.each_blocks)).max(1)
    }

    pub(crate) fn get(&self, round: usize) -> Round {
        let across = self.blocks.div_ceil(self.each_blocks);
        let [tap, block] = [round / across * self.each_taps, round % across * self.each_blocks];
        Round {
            taps: tap..(tap + self.each_taps).min(self.taps),
            blocks: block..(block + self.each_blocks).min(self.blocks),
        }
    }

    /// Planes staged in a round.
    pub(crate) fn planes(&self) -> usize {
        self.each_taps * self.each_blocks
    }

    /// Planes staged in a round, also if the inputs turn out to be pixels: those are staged densely,
    /// all taps in one round.
    pub(crate) fn planes_of(&self, side: &Side, window: &Window) -> usize {
        let [down, across] = window.axes.map(|axis| axis.count);
        let dense = if side.inputs < LANES { down * (across * side.inputs).div_ceil(LANES) } else { 0 };
        self.planes().max(dense)
    }
}

/// `total` things in pieces of equal size; the last may be smaller.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    pub total: usize,
    pub size: usize,
}

impl Cut {
    /// As few pieces as can be had with at most `most` each.
    pub(crate) fn new(total: usize, most: usize) -> Self {
        let pieces = total.div_ceil(most).max(1);
        Self { total, size: total.div_ceil(pieces).max(1) }
    }

    /// Where there are many pieces, about as many, but a multiple of `by`: workers that are as many
    /// as divide that have the same to do.
    pub(crate) fn rounded(self, by: usize) -> Self {
        let pieces = self.pieces();
        if pieces <= by {
            return self;
        }
        let pieces = (pieces + by / 2) / by * by;
        Self { size: self.total.div_ceil(pieces), ..self }
    }

    pub(crate) fn pieces(&self) -> usize {
        self.total.div_ceil(self.size)
    }

    pub(crate) fn get(&self, piece: usize) -> Range<usize> {
        piece * self.size..((piece + 1) * self.size).min(self.total)
    }
}

/// Rows of a block for which `floats` of `all` are staged per row: at least as many as amortise the
/// loads of weights and of sums, at most as many as amortise them well.
pub(crate) fn rows_for(floats: usize, all: usize) -> usize {
    (all / floats).clamp(48, 192)
}

/// Floats from one staged plane to the next: an odd number of cache lines, see [`crate::Dims::plane`].
pub(crate) const fn staged_plane(rows: usize) -> usize {
    (rows | 1) * LANES
}

/// One dimension of a window: target pixel `t` reads source pixel `t·mul + origin + j·slope`
/// for its `j`-th tap.
#[derive(Clone, Copy)]
pub(crate) struct Axis {
    pub target: usize,
    pub source: usize,
    pub mul: usize,
    pub origin: isize,
    pub slope: isize,
    /// Taps, which are the kernel's `first`, `first + step`, ...
    pub count: usize,
    pub first: usize,
    pub step: usize,
    /// Target pixel `t` is pixel `t·stride + phase` of the tensor.
    pub stride: usize,
    pub phase: usize,
}

impl Axis {
    fn forward(conv: &Conv, side: usize) -> Self {
        let [target, source] = [conv.output, conv.input].map(|dims| [dims.h, dims.w][side]);
        Self {
            target,
            source,
            mul: conv.stride[side],
            origin: -(conv.padding[side] as isize),
            slope: conv.dilation[side] as isize,
            count: conv.kernel[side],
            first: 0,
            step: 1,
            stride: 1,
            phase: 0,
        }
    }

    /// The input pixels `≡ phase` modulo the stride: they share the taps that reach them, and each
    /// tap reaches the pixels of one phase only, so nothing is multiplied by a zero between strides.
    fn backward(conv: &Conv, side: usize, phase: usize) -> Self {
        let [target, source] = [conv.input, conv.output].map(|dims| [dims.h, dims.w][side]);
        let [stride, padding, dilation] =
            [conv.stride[side], conv.padding[side], conv.dilation[side]].map(|v| v as isize);
        let ahead = |tap: usize| phase as isize + padding - tap as isize * dilation;
        let kernel = conv.kernel[side];
        let first = (0..kernel).find(|&tap| ahead(tap) % stride == 0).unwrap_or(kernel);
        let common = gcd(conv.stride[side], conv.dilation[side]);
        let step = conv.stride[side] / common;
        Self {
            target: target.saturating_sub(phase).div_ceil(conv.stride[side]),
            source,
            mul: 1,
            origin: ahead(first).div_euclid(stride),
            slope: -(dilation / common as isize),
            count: (kernel - first).div_ceil(step),
            first,
            step,
            stride: conv.stride[side],
            phase,
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Which source pixels the target pixels read.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub images: usize,
    pub axes: [Axis; 2],
}

impl Window {
    pub(crate) fn forward(conv: &Conv) -> Self {
        Self { images: conv.output.n, axes: [0, 1].map(|side| Axis::forward(conv, side)) }.flat(conv)
    }

    /// The windows of the input's gradient, one for each phase of the stride.
    pub(crate) fn backward(conv: &Conv) -> impl Iterator<Item = Self> {
        let conv = *conv;
        (0..conv.stride[0] * conv.stride[1]).map(move |phase| {
            let phases = [phase / conv.stride[1], phase % conv.stride[1]];
            let axes = [0, 1].map(|side| Axis::backward(&conv, side, phases[side]));
            Self { images: conv.input.n, axes }.flat(&conv)
        })
    }

    /// Every pixel of `images` times `rows` reads itself.
    pub(crate) fn identity(images: usize, rows: usize) -> Self {
        let one = Axis {
            target: 1,
            source: 1,
            mul: 1,
            origin: 0,
            slope: 0,
            count: 1,
            first: 0,
            step: 1,
            stride: 1,
            phase: 0,
        };
        Self { images, axes: [one, Axis { target: rows, source: rows, ..one }] }
    }

    /// Where pixels only read themselves, one long line instead of the many lines of all images.
    fn flat(self, conv: &Conv) -> Self {
        if conv.is_pointwise() { Self::identity(1, conv.output.rows()) } else { self }
    }

    pub(crate) fn rows(&self) -> usize {
        self.images * self.axes[0].target * self.axes[1].target
    }

    pub(crate) fn taps(&self) -> usize {
        self.axes[0].count * self.axes[1].count
    }

    /// Whether every pixel reads itself alone.
    pub(crate) fn is_identity(&self) -> bool {
        self.axes
            .iter()
            .all(|axis| (axis.target, axis.mul, axis.origin, axis.count, axis.stride) == (axis.source, 1, 0, 1, 1))
    }

    /// Whether target rows are rows of the tensor as they are.
    pub(crate) fn is_whole(&self) -> bool {
        self.axes.iter().all(|axis| axis.stride == 1)
    }
}
