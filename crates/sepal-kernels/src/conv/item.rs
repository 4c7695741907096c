//! A product as items: row blocks, and groups of panels where there are few row blocks.

use super::plan::{Cut, Rounds, Side, Window, rows_for, staged_plane};
use super::stage::{Operand, View};
use super::tile::{Finish, Left, product};
use crate::exec::{Exec, Shared};
use crate::geometry::{Epilogue, Write};
use crate::isa::{Isa, Kernel, Vector};
use crate::layout::{Dims, LANES};
use crate::norm;
use crate::source::{Act, lanes};
use std::ops::Range;

/// Items that keep a handful of workers busy.
const ITEMS: usize = 16;

/// How one product is cut.
#[derive(Clone, Copy)]
pub(super) struct Cuts {
    pub side: Side,
    pub window: Window,
    pub rounds: Rounds,
    pub rows: Cut,
    pub panels: Cut,
}

impl Cuts {
    /// `in_place`: nothing will be staged, so that panels can be split at no cost.
    pub(super) fn new(side: Side, window: Window, in_place: bool) -> Self {
        let rounds = side.rounds(window.taps());
        let rows = Cut::new(window.rows(), rows_for(rounds.planes() * LANES));
        let panels = side.panels();
        let most = if in_place { panels } else { panels.div_ceil(4) };
        let groups = ITEMS.div_ceil(rows.pieces().max(1)).min(most);
        Self { side, window, rounds, rows, panels: Cut::new(panels, panels.div_ceil(groups)) }
    }

    /// Floats of scratch for a worker.
    pub(super) fn scratch(&self) -> usize {
        let plane = staged_plane(self.rows.size);
        // Pixels are staged densely, all taps in one round.
        let dense = (self.window.taps() * self.side.inputs).div_ceil(LANES);
        let planes = if self.side.inputs < LANES { dense.max(self.rounds.planes()) } else { self.rounds.planes() };
        planes * plane + if self.window.is_whole() { 0 } else { self.rows.size * LANES }
    }

    fn items(&self) -> usize {
        self.rows.pieces() * self.panels.pieces()
    }
}

/// One product of a convolution, forward or for the gradient of its input.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub cuts: Cuts,
    pub operand: Operand<'a>,
    /// Size of the operand.
    pub from: Dims,
    pub packed: &'a [f32],
    /// Taps that precede this window's in each panel of packed weights.
    pub taps_before: usize,
    pub epilogue: Epilogue<'a>,
    pub write: Write,
    pub out: Shared<'a>,
    /// Size of the result.
    pub into: Dims,
    pub stats: Option<Shared<'a>>,
    pub scratch: Shared<'a>,
    /// Floats of a worker's scratch.
    pub each: usize,
}

impl Job<'_> {
    pub(super) fn run(&self, exec: Exec<'_>) {
        exec.pool.run(self.cuts.items(), &|item, worker| exec.level.dispatch(Item { job: self, item, worker }));
    }
}

struct Item<'a> {
    job: &'a Job<'a>,
    item: usize,
    worker: usize,
}

impl Kernel for Item<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { job, item, worker } = self;
        let Cuts { window, rounds, rows: row_cut, panels: panel_cut, .. } = job.cuts;
        let row_block = item / panel_cut.pieces();
        let rows = row_cut.get(row_block);
        let panels = panel_cut.get(item % panel_cut.pieces());
        // SAFETY: this worker's part, one item at a time.
        let scratch = unsafe { job.scratch.part(worker, job.each) };
        let whole = window.is_whole();
        let (staged, scattered) = scratch.split_at_mut(if whole { job.each } else { job.each - row_cut.size * LANES });
        let in_place = window.is_identity();
        let count = if matches!(job.operand, Operand::Pixels(_)) { 1 } else { rounds.len() };
        for index in 0..count {
            let round = rounds.get(index);
            // SAFETY: the operand has the size `from`, and scratch holds a round's planes.
            let view = unsafe {
                if in_place {
                    job.operand.rows(isa, &job.from, &rows, round.blocks.clone(), staged.as_mut_ptr())
                } else {
                    job.operand.stage(isa, &job.from, &window, &rows, &round, staged.as_mut_ptr())
                }
            };
            let mut part =
                Part { job, view, taps: round.taps, blocks: round.blocks, first: index == 0, last: index + 1 == count };
            if matches!(job.operand, Operand::Pixels(_)) {
                part.taps = 0..window.taps();
            }
            for panel in panels.clone() {
                if whole {
                    let at = panel * job.into.plane() + rows.start * LANES;
                    // SAFETY: `at` is checked; these rows of this panel are this item's alone.
                    unsafe { part.panel(isa, panel, &rows, job.out.at(at, rows.len() * LANES)) };
                } else {
                    // SAFETY: scratch holds the rows; the pixels of this phase are this item's alone.
                    unsafe {
                        part.panel(isa, panel, &rows, scattered.as_mut_ptr());
                        part.scatter(isa, panel, &rows, scattered);
                    }
                }
            }
        }
        if let Some(stats) = job.stats {
            for panel in panels {
                let at = panel * job.into.plane() + rows.start * LANES;
                // SAFETY: rows this item has just written; nobody else touches this block of the chunk.
                unsafe {
                    let written = job.out.at(at, rows.len() * LANES);
                    norm::fill(isa, &job.into, stats, row_block, panel, written, rows.len());
                }
            }
        }
    }
}

/// One round of an item.
struct Part<'a> {
    job: &'a Job<'a>,
    view: View,
    taps: Range<usize>,
    blocks: Range<usize>,
    first: bool,
    last: bool,
}

impl Part<'_> {
    /// Adds this round to rows `rows` of a panel, at `out`.
    ///
    /// # Safety
    /// `out` holds the rows.
    #[inline(always)]
    unsafe fn panel<I: Isa>(&self, isa: I, panel: usize, rows: &Range<usize>, out: *mut f32) {
        let Self { job, view, .. } = self;
        let Cuts { side, window, .. } = job.cuts;
        let reach = side.reach(panel);
        let width = side.width(&reach);
        let dense = matches!(job.operand, Operand::Pixels(_));
        let read = if side.groups == 1 { self.blocks.clone() } else { reach.clone() };
        let channels = side.width(&read);
        let left = if dense {
            Left { start: view.start, runs: 1, run_stride: 0, plane: view.plane, channels: width * window.taps() }
        } else {
            Left {
                // SAFETY: the block is one of those in the view.
                start: unsafe { view.start.add((read.start - self.blocks.start) * view.plane) },
                runs: self.taps.len(),
                run_stride: self.blocks.len() * view.plane,
                plane: view.plane,
                channels,
            }
        };
        let before = (job.taps_before + self.taps.start) * width + (read.start - reach.start) * LANES;
        let weights = &job.packed[side.offset(panel) + before * LANES..][..left.runs * left.channels * LANES];
        let whole = window.is_whole();
        let Epilogue { bias, add, act } = job.epilogue;
        let at = panel * job.into.plane() + rows.start * LANES;
        let finish = Finish {
            bias: bias.filter(|_| self.first).map(|bias| bias[panel * LANES..][..LANES].as_ptr()),
            accumulate: whole && (!self.first || job.write == Write::Add),
            add: add.filter(|_| self.last).map(|add| add[at..][..rows.len() * LANES].as_ptr()),
            clamp: match act {
                Act::Relu if self.last => Some([0.0, f32::INFINITY]),
                Act::Relu6 if self.last => Some([0.0, 6.0]),
                _ => None,
            },
        };
        // SAFETY: the view and `out` hold the rows, and the slices above are long enough.
        unsafe { product(isa, left, weights.as_ptr(), finish, rows.len(), out) };
        if self.last && finish.clamp.is_none() && act != Act::None {
            for row in 0..rows.len() {
                // SAFETY: one of the rows just written.
                unsafe {
                    let at = out.add(row * LANES);
                    act.apply(isa, I::Block::load(isa, at), panel).store(isa, at);
                }
            }
        }
    }

    /// Brings rows of one phase of the stride to their places.
    ///
    /// # Safety
    /// No other worker touches the pixels of this phase of these rows.
    #[inline(always)]
    unsafe fn scatter<I: Isa>(&self, isa: I, panel: usize, rows: &Range<usize>, from: &[f32]) {
        let job = self.job;
        let [down, across] = job.cuts.window.axes;
        let set = self.first && job.write == Write::Set;
        for (index, row) in rows.clone().enumerate() {
            let (line, x) = (row / across.target, row % across.target);
            let (image, y) = (line / down.target, line % down.target);
            let y = image * job.into.h + y * down.stride + down.phase;
            let at = y * job.into.w + x * across.stride + across.phase;
            let value = lanes(isa, from, index);
            // SAFETY: bounds are checked by `at`; ours by the caller's promise.
            unsafe {
                let to = job.out.at(panel * job.into.plane() + at * LANES, LANES);
                let value = if set { value } else { value.add(isa, I::Block::load(isa, to)) };
                value.store(isa, to);
            }
        }
    }
}
