//! Copies of operands: the pixels under each tap, with norm and activation applied on the way.

use super::ahead::Ahead;
use super::pixels;
use super::plan::{Round, Window, staged_plane};
use crate::act::Act;
use crate::isa::{Isa, Vector};
use crate::layout::{Dims, LANES};
use crate::source::{GradSource, Source};
use std::ops::Range;

/// What a product reads.
#[derive(Clone, Copy)]
pub(super) enum Operand<'a> {
    Values(Source<'a>),
    Gradient(GradSource<'a>),
    /// Values, and what each image's channels are multiplied by.
    Gated(&'a [f32], &'a [f32]),
    Pixels(&'a [f32]),
}

/// Channel blocks of some rows: `[block][row][16]`.
#[derive(Clone, Copy)]
pub(super) struct View {
    pub start: *const f32,
    /// Floats from one block to the next.
    pub plane: usize,
}

impl<'a> Operand<'a> {
    /// The tensor itself, where it can be read as it is.
    pub(super) fn plain(&self) -> Option<&'a [f32]> {
        match self {
            Self::Values(source) if source.is_plain() => Some(source.z),
            Self::Gradient(source) if source.is_plain() => Some(source.g),
            _ => None,
        }
    }

    /// Lists what [`Self::rows`] will read.
    #[inline(always)]
    pub(super) fn ahead(&self, ahead: &mut Ahead, dims: &Dims, blocks: usize, rows: &Range<usize>) {
        match self {
            Self::Values(source) => ahead.add(source.z, dims.plane(), blocks, rows),
            Self::Gated(z, _) => ahead.add(z, dims.plane(), blocks, rows),
            Self::Gradient(gradient) => {
                ahead.add(gradient.g, dims.plane(), blocks, rows);
                if !gradient.is_plain() {
                    ahead.add(gradient.source.z, dims.plane(), blocks, rows);
                }
            }
            Self::Pixels(_) => {}
        }
    }

    /// Rows `rows` of `blocks` of a tensor of `dims`: where they are if they need no transform, else
    /// as a copy in `scratch`.
    ///
    /// # Safety
    /// The operand holds `dims`, and `scratch` a staged plane for each block.
    #[inline(always)]
    pub(super) unsafe fn rows<I: Isa>(
        &self,
        isa: I,
        dims: &Dims,
        rows: &Range<usize>,
        blocks: Range<usize>,
        scratch: *mut f32,
    ) -> View {
        if let Some(tensor) = self.plain() {
            let from = &tensor[blocks.start * dims.plane() + rows.start * LANES..];
            return View { start: from.as_ptr(), plane: dims.plane() };
        }
        let round = Round { taps: 0..1, blocks };
        // A gate is an image's own.
        let images = if matches!(self, Self::Gated(..)) { dims.n } else { 1 };
        let window = Window::identity(images, dims.rows() / images.max(1));
        // SAFETY: as promised.
        unsafe { self.stage(isa, dims, &window, rows, &round, scratch) }
    }

    /// Copies what `rows` of the window read in `round` to `scratch`, as `[tap][block][row][16]`; for
    /// pixels, as `[block of taps and channels][row][16]`. What lies outside the pictures is zero.
    ///
    /// # Safety
    /// The operand holds `dims`, the window's source; `scratch` holds the planes of the round.
    #[inline(always)]
    pub(super) unsafe fn stage<I: Isa>(
        &self,
        isa: I,
        dims: &Dims,
        window: &Window,
        rows: &Range<usize>,
        round: &Round,
        scratch: *mut f32,
    ) -> View {
        let plane = staged_plane(rows.len());
        let view = View { start: scratch, plane };
        if let Self::Pixels(pictures) = self {
            // SAFETY: as promised.
            unsafe { pixels::stage(isa, pictures, dims.c, window, rows, scratch) };
            return view;
        }
        let mut to = scratch;
        for tap in round.taps.clone() {
            for block in round.blocks.clone() {
                // SAFETY: the planes of this block and of the round, as promised.
                unsafe {
                    self.stage_block(isa, dims, window, rows, tap, block, to);
                    to = to.add(plane);
                }
            }
        }
        view
    }

    /// # Safety
    /// As [`Self::stage`], for one tap and block.
    #[inline(always)]
    unsafe fn stage_block<I: Isa>(
        &self,
        isa: I,
        dims: &Dims,
        window: &Window,
        rows: &Range<usize>,
        tap: usize,
        block: usize,
        to: *mut f32,
    ) {
        let act = match self {
            Self::Values(source) => source.act,
            Self::Gradient(source) => source.source.act,
            Self::Gated(..) => Act::None,
            Self::Pixels(_) => return,
        };
        let place = Place { dims, window, rows, tap, block, to };
        // One loop for each of the usual activations, so that it does not choose for every vector.
        // SAFETY: as promised.
        unsafe {
            match act {
                Act::None => self.stage_act(isa, Act::None, place),
                Act::Relu => self.stage_act(isa, Act::Relu, place),
                Act::Relu6 => self.stage_act(isa, Act::Relu6, place),
                act => self.stage_act(isa, act, place),
            }
        }
    }

    /// # Safety
    /// As [`Self::stage`], for one tap and block. `act` is the operand's own activation.
    #[inline(always)]
    unsafe fn stage_act<I: Isa>(&self, isa: I, act: Act<'_>, place: Place<'_>) {
        let Place { dims, window, rows, tap, block, to } = place;
        let plane = block * dims.plane();
        let count = dims.rows() * LANES;
        // SAFETY: `at` is a row of the plane, and a row holds sixteen floats.
        unsafe {
            match self {
                Self::Values(source) => {
                    let z = source.z[plane..][..count].as_ptr();
                    let transform = Source { act, ..*source }.transform(isa, block);
                    gather(
                        isa,
                        window,
                        rows,
                        tap,
                        #[inline(always)]
                        |_, at| transform.apply(isa, I::Block::load(isa, z.add(at))),
                        to,
                    );
                }
                Self::Gated(z, gate) => {
                    let z = z[plane..][..count].as_ptr();
                    let gate = gate[block * Dims::new(dims.n, dims.c, 1, 1).plane()..][..dims.n * LANES].as_ptr();
                    gather(
                        isa,
                        window,
                        rows,
                        tap,
                        #[inline(always)]
                        |image, at| {
                            I::Block::load(isa, z.add(at)).mul(isa, I::Block::load(isa, gate.add(image * LANES)))
                        },
                        to,
                    );
                }
                Self::Gradient(gradient) => {
                    let g = gradient.g[plane..][..count].as_ptr();
                    let z = gradient.source.z[plane..][..count].as_ptr();
                    let source = Source { act, ..gradient.source };
                    let transform = GradSource { source, ..*gradient }.transform(isa, block);
                    gather(
                        isa,
                        window,
                        rows,
                        tap,
                        #[inline(always)]
                        |_, at| transform.apply(isa, I::Block::load(isa, g.add(at)), I::Block::load(isa, z.add(at))),
                        to,
                    );
                }
                Self::Pixels(_) => {}
            }
        }
    }
}

/// One plane to stage.
struct Place<'a> {
    dims: &'a Dims,
    window: &'a Window,
    rows: &'a Range<usize>,
    tap: usize,
    block: usize,
    to: *mut f32,
}

/// Writes what `rows` of the window read for tap `tap` to `to`, row after row; `read` gets the image and the
/// offset of a row in a plane.
///
/// # Safety
/// `to` holds the rows, and `read` may be called for all rows of the source.
#[inline(always)]
unsafe fn gather<I: Isa>(
    isa: I,
    window: &Window,
    rows: &Range<usize>,
    tap: usize,
    read: impl Fn(usize, usize) -> I::Block,
    to: *mut f32,
) {
    let [down, across] = window.axes;
    let [tap_y, tap_x] = [tap / across.count, tap % across.count];
    let shift_x = across.origin + tap_x as isize * across.slope;
    let mul = across.mul as isize;
    let inside_from = (-shift_x).max(0).unsigned_abs().div_ceil(across.mul);
    let inside_to = (across.source as isize - shift_x).max(0).unsigned_abs().div_ceil(across.mul);
    let zero = I::Block::splat(isa, 0.0);
    let mut to = to;
    let mut row = rows.start;
    while row < rows.end {
        let (line, x) = (row / across.target, row % across.target);
        let (image, y) = (line / down.target, line % down.target);
        let end = (x + rows.end - row).min(across.target);
        row += end - x;
        let source_y = (y * down.mul) as isize + down.origin + tap_y as isize * down.slope;
        let [from, until] = if source_y < 0 || source_y >= down.source as isize {
            [end, end]
        } else {
            let from = inside_from.clamp(x, end);
            [from, inside_to.clamp(from, end)]
        };
        // SAFETY: `end - x` rows are written; those read lie inside the picture.
        unsafe {
            for _ in x..from {
                zero.store(isa, to);
                to = to.add(LANES);
            }
            if from < until {
                let source_x = (from as isize * mul + shift_x) as usize;
                let line = image * down.source + source_y as usize;
                let mut at = (line * across.source + source_x) * LANES;
                for _ in from..until {
                    read(image, at).store(isa, to);
                    at += across.mul * LANES;
                    to = to.add(LANES);
                }
            }
            for _ in until..end {
                zero.store(isa, to);
                to = to.add(LANES);
            }
        }
    }
}
