//! The products of one block of rows.

use super::Split;
use crate::act::Ending;
use crate::conv::ahead::{Ahead, prefetch_now};
use crate::conv::plan::staged_plane;
use crate::conv::stage::View;
use crate::conv::tile::{Finish, Left, product};
use crate::exec::Shared;
use crate::geometry::Epilogue;
use crate::isa::{Isa, Vector};
use crate::layout::LANES;
use std::ops::Range;

/// Where results go, and what happens to them before.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub out: Shared<'a>,
    /// Floats from one block of channels to the next.
    pub plane: usize,
    /// First row of the block of rows.
    pub row: usize,
    pub epilogue: Epilogue<'a>,
}

/// A block of rows whose halves' sums are in scratch.
///
/// The upper half is the first `half` rows, the lower the last: of an odd number, both hold the row in the middle, and
/// its result is the one that is written last.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    split: &'a Split,
    view: View,
    rows: usize,
    half: usize,
    /// The four sums, each of as many blocks as half the channels have.
    sums: *const f32,
    /// Results in between: three times the rows of a half.
    between: *mut f32,
}

/// Floats of scratch for a block of `rows` rows.
pub(crate) fn scratch(split: &Split, rows: usize) -> usize {
    let half = rows.div_ceil(2);
    4 * split.half() * staged_plane(half) + 3 * half * LANES
}

/// One product.
#[derive(Clone, Copy)]
struct Step {
    left: Left,
    weights: *const f32,
    finish: Finish,
    to: *mut f32,
    /// The panel whose activation is still to be applied.
    panel: Option<usize>,
}

/// Products of a pair of panels: seven, and one for each quarter of the result that has a tail.
const STEPS: usize = 11;

impl<'a> Rows<'a> {
    /// The halves of the rows of `view`, their sums where they were put by [`Self::stage`].
    pub(crate) fn new(split: &'a Split, view: View, rows: usize, scratch: &mut [f32]) -> Self {
        let half = rows.div_ceil(2);
        let (sums, between) = scratch.split_at_mut(4 * split.half() * staged_plane(half));
        assert!(between.len() >= 3 * half * LANES, "scratch of {}", scratch.len());
        Self { split, view, rows, half, sums: sums.as_ptr(), between: between.as_mut_ptr() }
    }

    fn plane(&self) -> usize {
        staged_plane(self.half)
    }

    /// First row of a half.
    fn first(&self, lower: bool) -> usize {
        if lower { self.rows - self.half } else { 0 }
    }

    /// Blocks from `block` on of a half of the rows.
    fn part(&self, lower: bool, block: usize) -> *const f32 {
        self.view.start.wrapping_add(block * self.view.plane + self.first(lower) * LANES)
    }

    /// Sum `number`, counted from 1 as Winograd's are.
    fn sum(&self, number: usize) -> *const f32 {
        self.sums.wrapping_add((number - 1) * self.split.half() * self.plane())
    }

    /// Puts the sums of the four quarters into scratch: `S1 = A21 + A22`, `S2 = S1 − A11`, `S3 = A11 − A21`,
    /// `S4 = A12 − S2`.
    ///
    /// # Safety
    /// The view holds the rows.
    #[inline(always)]
    pub(crate) unsafe fn stage<I: Isa>(&self, isa: I) {
        let (half, plane) = (self.split.half(), self.plane());
        for block in 0..half {
            let [a11, a12] = [block, half + block].map(|block| self.part(false, block));
            let [a21, a22] = [block, half + block].map(|block| self.part(true, block));
            let to: [*mut f32; 4] =
                std::array::from_fn(|index| self.sum(index + 1).wrapping_add(block * plane).cast_mut());
            for at in (0..self.half * LANES).step_by(LANES) {
                // SAFETY: rows of the view, and of the scratch that `new` was given.
                unsafe {
                    // The same rows of the next blocks: planes are too short for the processor to look ahead.
                    for from in [a11, a12, a21, a22] {
                        prefetch_now(from.wrapping_add(self.view.plane + at));
                    }
                    let [a11, a12, a21, a22] = [a11, a12, a21, a22].map(
                        #[inline(always)]
                        |from| I::Block::load(isa, from.add(at)),
                    );
                    let s1 = a21.add(isa, a22);
                    let s2 = s1.sub(isa, a11);
                    s1.store(isa, to[0].add(at));
                    s2.store(isa, to[1].add(at));
                    a11.sub(isa, a21).store(isa, to[2].add(at));
                    a12.sub(isa, s2).store(isa, to[3].add(at));
                }
            }
        }
    }

    /// The results of some columns: pairs of panels, and the odd panel at the end.
    ///
    /// # Safety
    /// The view holds the rows, [`Self::stage`] put their sums into scratch, and nobody else touches these rows of these
    /// panels.
    #[inline(always)]
    pub(crate) unsafe fn columns<I: Isa>(
        &self,
        isa: I,
        packed: &[f32],
        columns: Range<usize>,
        target: &Target<'_>,
        ahead: &mut Ahead,
    ) {
        let act = target.epilogue.act;
        for column in columns {
            let packed = &packed[self.split.offset(column)..][..self.split.floats(column)];
            let (steps, count, rows) = if column == self.split.pairs() {
                let step = self.last(self.whole(), packed.as_ptr(), None, target, 2 * column, 0..self.rows);
                ([step; STEPS], 1, self.rows)
            } else {
                let (steps, count) = self.pair(column, packed, target);
                (steps, count, self.half)
            };
            for step in &steps[..count] {
                let Step { left, weights, finish, to, panel } = *step;
                // SAFETY: the view, scratch and the result hold the rows, and the weights are as many.
                unsafe {
                    product::<I, LANES>(isa, left, weights, finish, rows, to, ahead);
                    if let Some(panel) = panel {
                        for at in (0..rows * LANES).step_by(LANES) {
                            let at = to.add(at);
                            act.apply(isa, I::Block::load(isa, at), panel).store(isa, at);
                        }
                    }
                }
            }
        }
    }

    /// All channels of all rows.
    fn whole(&self) -> Left {
        Left { channels: self.split.inputs, ..self.in_place(false, 0) }
    }

    /// Half the channels of a half of the rows, from a block on.
    fn in_place(&self, lower: bool, block: usize) -> Left {
        let channels = self.split.half() * LANES;
        Left { start: self.part(lower, block), runs: 1, run_stride: 0, plane: self.view.plane, channels }
    }

    /// The products of a pair of panels, and their number.
    #[inline(always)]
    fn pair(&self, column: usize, packed: &[f32], target: &Target<'_>) -> ([Step; STEPS], usize) {
        let Self { split, half, .. } = *self;
        let [first, second] = [column, column + split.pairs()];
        let blocks = split.half();
        let each = blocks * LANES * LANES;
        let [p1, u2, u3] = [0, 1, 2].map(|index| self.between.wrapping_add(index * half * LANES));
        let weights = |product: usize| packed[product * each..][..each].as_ptr();
        let sum = |number| Left { start: self.sum(number), plane: self.plane(), ..self.in_place(false, 0) };
        let between = |left, product, partial: Option<*mut f32>, to| {
            let finish = Finish { partial: partial.map(<*mut f32>::cast_const), ..Finish::STORE };
            Step { left, weights: weights(product), finish, to, panel: None }
        };
        let start = between(self.in_place(false, 0), 0, None, p1);
        let mut steps = [start; STEPS];
        let mut count = 1;
        let mut push = |step: Step| {
            steps[count] = step;
            count += 1;
        };
        push(between(sum(2), 1, Some(p1), u2));
        push(between(sum(3), 2, Some(u2), u3));
        // The channels beyond the halves, added to `from`; `to` may be the same.
        let tail = split.tail();
        let tails = &packed[7 * each..];
        let with_tail = |push: &mut dyn FnMut(Step), lower: bool, panel: usize, from: *mut f32, to: *mut f32| {
            if tail == 0 {
                return from;
            }
            let left = Left { channels: tail, ..self.in_place(lower, 2 * blocks) };
            let at = if panel == first { 0 } else { tail * LANES };
            let finish = Finish { partial: Some(from), ..Finish::STORE };
            push(Step { left, weights: tails[at..][..tail * LANES].as_ptr(), finish, to, panel: None });
            to
        };
        let [upper, lower] = [false, true].map(|lower| self.first(lower)..self.first(lower) + half);
        let from = with_tail(&mut push, false, first, p1, p1);
        push(self.last(self.in_place(false, blocks), weights(3), Some(from), target, first, upper.clone()));
        let from = with_tail(&mut push, true, first, u3, p1);
        push(self.last(self.in_place(true, blocks), weights(4), Some(from), target, first, lower.clone()));
        let from = with_tail(&mut push, true, second, u3, u3);
        // The sum of the fifth product is a part of both halves of the second panel, and so is its bias.
        let mut fifth = self.last(sum(1), weights(5), Some(from), target, second, lower);
        fifth.finish.also = Some((u2, u2));
        push(fifth);
        let from = with_tail(&mut push, false, second, u2, u2);
        let mut fourth = self.last(sum(4), weights(6), Some(from), target, second, upper);
        fourth.finish.bias = None;
        push(fourth);
        (steps, count)
    }

    /// The product that completes `rows` of a panel.
    #[inline(always)]
    fn last(
        &self,
        left: Left,
        weights: *const f32,
        partial: Option<*mut f32>,
        target: &Target<'_>,
        panel: usize,
        rows: Range<usize>,
    ) -> Step {
        let Target { out, plane, row, epilogue } = *target;
        let Epilogue { add, act, .. } = epilogue;
        let (bias, affine) = epilogue.parts(panel);
        let (at, len) = (panel * plane + (row + rows.start) * LANES, rows.len() * LANES);
        let ending = act.ending();
        let finish = Finish {
            bias,
            partial: partial.map(<*mut f32>::cast_const),
            affine,
            add: add.map(|add| add[at..][..len].as_ptr()),
            ending: ending.unwrap_or(Ending::None),
            ..Finish::STORE
        };
        Step { left, weights, finish, to: out.at(at, len), panel: ending.is_none().then_some(panel) }
    }
}
