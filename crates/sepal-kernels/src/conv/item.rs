//! A product as items: row blocks, and groups of panels where there are few row blocks.

use super::ahead::Ahead;
use super::plan::{Cut, Round, Rounds, STAGED, Side, Window, rows_for, staged_plane};
use super::stage::{Operand, View};
use super::tile::{ABREAST, Finish, Left, product, row_product};
use crate::act::Ending;
use crate::exec::{Exec, Shared};
use crate::geometry::{Epilogue, Write};
use crate::isa::{Isa, Kernel, Vector, fence, lanes};
use crate::layout::{Dims, LANES};
use crate::norm::{self, GradRunning, Taker};
use std::ops::Range;

/// Items that keep a handful of workers busy.
const ITEMS: usize = 16;
/// Row blocks of one item at most: enough that most of them were prefetched.
const RUN: usize = 8;
/// Results of more floats than this will not be found in cache by whoever reads them.
const STREAMED: usize = 2 * 1024 * 1024;

/// How one product is cut.
#[derive(Clone, Copy)]
pub(super) struct Cuts {
    pub side: Side,
    pub window: Window,
    pub rounds: Rounds,
    pub rows: Cut,
    /// Row blocks of one item.
    pub runs: Cut,
    pub panels: Cut,
}

impl Cuts {
    /// `in_place`: nothing will be staged, so that panels can be split at no cost.
    pub(super) fn new(side: Side, window: Window, in_place: bool) -> Self {
        let rounds = side.rounds(window.taps());
        let rows = Cut::new(window.rows(), rows_for(rounds.planes() * LANES, STAGED)).rounded(4);
        let runs = Cut::new(rows.pieces(), (rows.pieces() / (2 * ITEMS)).clamp(1, RUN));
        let panels = side.panels();
        let most = if in_place { panels } else { panels.div_ceil(4) };
        let groups = ITEMS.div_ceil(rows.pieces().max(1)).min(most);
        Self { side, window, rounds, rows, runs, panels: Cut::new(panels, panels.div_ceil(groups)) }
    }

    /// Floats of scratch for a worker.
    pub(super) fn scratch(&self) -> usize {
        let plane = staged_plane(self.rows.size);
        self.rounds.planes_of(&self.side, &self.window) * plane + self.scattered()
    }

    /// Floats of a panel's results that wait to be brought to their places.
    fn scattered(&self) -> usize {
        self.rows.size * LANES
    }

    fn items(&self) -> usize {
        self.runs.pieces() * self.panels.pieces()
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
    /// Takes sums of the result, in chunks of row blocks.
    pub sums: Option<Taker<'a>>,
    pub scratch: Shared<'a>,
    /// Floats of a worker's scratch.
    pub each: usize,
}

impl Job<'_> {
    pub(super) fn run(&self, exec: Exec<'_>) {
        exec.pool.run(self.cuts.items(), &|item, worker| exec.level.dispatch(Item { job: self, item, worker }));
    }

    fn is_dense(&self) -> bool {
        matches!(self.operand, Operand::Pixels(_))
    }

    /// Whether the result should go past the caches.
    pub(super) fn streams(&self) -> bool {
        self.into.len() > STREAMED
            && self.cuts.window.is_whole()
            && self.write == Write::Set
            && self.out.at(0, self.into.len()).addr().is_multiple_of(64)
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
        let Cuts { side, window, rounds, rows: row_cut, runs, panels: panel_cut } = job.cuts;
        let panels = panel_cut.get(item % panel_cut.pieces());
        let run = runs.get(item / panel_cut.pieces());
        // SAFETY: this worker's part, one item at a time.
        let scratch = unsafe { job.scratch.part(worker, job.each) };
        let (staged, scattered) = scratch.split_at_mut(job.each - job.cuts.scattered());
        let staged = staged.as_mut_ptr();
        let count = if job.is_dense() { 1 } else { rounds.len() };
        let in_place = window.is_identity() && !job.is_dense();
        let streams = job.streams();
        for row_block in run.clone() {
            let rows = row_cut.get(row_block);
            let mut ahead = Ahead::new();
            let tiles = panels.len() * rows.len().div_ceil(I::TILE_ROWS);
            if in_place && count == 1 && row_block + 1 < run.end {
                job.operand.ahead(&mut ahead, &job.from, side.blocks(), &row_cut.get(row_block + 1));
                ahead.spread(tiles);
            } else if count == 1 && run.len() == 1 && side.groups == 1 && rows.len() > 1 {
                // Weights that are read once: those of the panels after the first, and the first of the next item's.
                let each = side.offset(1) / LANES;
                let lines =
                    (panels.start + 1) * each..((panels.end + 1) * each).min(side.offset(side.panels()) / LANES);
                ahead.add(job.packed, lines.end * LANES, 1, &lines);
                ahead.spread(tiles);
            }
            for index in 0..count {
                let round = rounds.get(index);
                // SAFETY: the operand has the size `from`, and scratch holds a round's planes.
                let view = unsafe {
                    if in_place {
                        job.operand.rows(isa, &job.from, &rows, round.blocks.clone(), staged)
                    } else {
                        job.operand.stage(isa, &job.from, &window, &rows, &round, staged)
                    }
                };
                let part = Part { job, view, round, first: index == 0, last: index + 1 == count, streams };
                // SAFETY: these rows of these panels are this item's alone, and scratch is as long.
                unsafe { part.panels(isa, panels.clone(), row_block, &rows, scattered, &mut ahead) };
            }
        }
        if streams {
            fence();
        }
    }
}

/// One round of one row block.
pub(super) struct Part<'a> {
    pub job: &'a Job<'a>,
    pub view: View,
    pub round: Round,
    pub first: bool,
    pub last: bool,
    pub streams: bool,
}

impl Part<'_> {
    /// Adds this round to `rows` of some panels.
    ///
    /// # Safety
    /// The view holds the rows, `scattered` as many where the window is a phase of a stride or sums are taken, and
    /// nobody else touches these rows of these panels.
    #[inline(always)]
    pub(super) unsafe fn panels<I: Isa>(
        &self,
        isa: I,
        panels: Range<usize>,
        row_block: usize,
        rows: &Range<usize>,
        scattered: &mut [f32],
        ahead: &mut Ahead,
    ) {
        let job = self.job;
        let whole = job.cuts.window.is_whole();
        let act = job.epilogue.act;
        let ends = act.ending().is_some();
        let mut panels = panels;
        if rows.len() == 1 && whole && ends && job.stats.is_none() && job.sums.is_none() && job.cuts.side.groups == 1 {
            while panels.len() >= ABREAST {
                let at = panels.start * job.into.plane() + rows.start * LANES;
                let out = job.out.at(at, (ABREAST - 1) * job.into.plane() + LANES);
                let (left, weights) = self.operands(panels.start);
                let step = job.cuts.side.offset(1);
                // The last of the panels is there, too.
                let _ = self.operands(panels.start + ABREAST - 1);
                let finish = self.finish(panels.start, rows, at, out);
                // SAFETY: the view and `out` hold the row, and the slices are long enough.
                unsafe { row_product(isa, left, weights.as_ptr(), step, finish, out, job.into.plane()) };
                panels.start += ABREAST;
            }
        }
        for panel in panels {
            let at = panel * job.into.plane() + rows.start * LANES;
            let result = if whole { Some(job.out.at(at, rows.len() * LANES)) } else { None };
            let (left, weights) = self.operands(panel);
            let mut finish = self.finish(panel, rows, at, result.unwrap_or(scattered.as_mut_ptr()));
            finish.statistics &= ends;
            // What has its sums taken is streamed after that, from a place that is near.
            let late = finish.stream && job.sums.is_some();
            finish.stream &= !late;
            let out = result.filter(|_| !late).unwrap_or(scattered.as_mut_ptr());
            // SAFETY: the view and `out` hold the rows, and the slices are long enough.
            let statistics =
                unsafe { product::<I, LANES>(isa, left, weights.as_ptr(), finish, rows.len(), out, ahead) };
            if self.last && !ends {
                for row in 0..rows.len() {
                    // SAFETY: one of the rows just written.
                    unsafe {
                        let at = out.add(row * LANES);
                        act.apply(isa, I::Block::load(isa, at), panel).store(isa, at);
                    }
                }
            }
            if let Some(stats) = job.stats.filter(|_| self.last) {
                // SAFETY: rows just written; nobody else touches this block of the chunk.
                unsafe {
                    if ends {
                        norm::put(isa, &job.into, stats, row_block, panel, statistics);
                    } else {
                        norm::fill(isa, &job.into, stats, row_block, panel, out, rows.len());
                    }
                }
            }
            if let Some(sums) = job.sums.filter(|_| self.last) {
                let result = result.filter(|_| late);
                isa.apart(TakeSums {
                    sums,
                    dims: &job.into,
                    chunk: row_block,
                    block: panel,
                    at,
                    out,
                    rows: rows.len(),
                    result,
                });
            }
            if !whole {
                // SAFETY: the pixels of this phase are this item's alone.
                unsafe { self.scatter(isa, panel, rows, scattered) };
            }
        }
    }

    /// The operands of a panel.
    #[inline(always)]
    fn operands(&self, panel: usize) -> (Left, &[f32]) {
        let Self { job, view, round, .. } = self;
        let side = job.cuts.side;
        let reach = side.reach(panel);
        let width = side.width(&reach);
        let read = if side.groups == 1 { round.blocks.clone() } else { reach.clone() };
        let left = if job.is_dense() {
            // A run is a line of the kernel, its taps and channels side by side.
            let [down, across] = job.cuts.window.axes.map(|axis| axis.count);
            let channels = across * width;
            let run_stride = channels.div_ceil(LANES) * view.plane;
            Left { start: view.start, runs: down, run_stride, plane: view.plane, channels }
        } else {
            Left {
                start: view.start.wrapping_add((read.start - round.blocks.start) * view.plane),
                runs: round.taps.len(),
                run_stride: round.blocks.len() * view.plane,
                plane: view.plane,
                channels: side.width(&read),
            }
        };
        let before = (job.taps_before + round.taps.start) * width + (read.start - reach.start) * LANES;
        let weights = &job.packed[side.offset(panel) + before * LANES..];
        (left, &weights[..left.runs * left.channels * LANES])
    }

    /// What happens to the rows of a panel, which begin at `at` of the result and are stored to `out`.
    #[inline(always)]
    fn finish(&self, panel: usize, rows: &Range<usize>, at: usize, out: *const f32) -> Finish {
        let Self { job, first, last, .. } = *self;
        let Epilogue { add, act, .. } = job.epilogue;
        let (bias, affine) = job.epilogue.parts(panel);
        let ending = act.ending();
        let accumulate = job.cuts.window.is_whole() && (!first || job.write == Write::Add);
        Finish {
            bias: bias.filter(|_| first),
            also: None,
            partial: accumulate.then_some(out),
            affine: affine.filter(|_| last),
            add: add.filter(|_| last).map(|add| add[at..][..rows.len() * LANES].as_ptr()),
            ending: ending.filter(|_| last).unwrap_or(Ending::None),
            stream: self.streams && first && last && ending.is_some(),
            statistics: last && job.stats.is_some(),
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
        let (mut row, mut index) = (rows.start, 0);
        while row < rows.end {
            let (line, x) = (row / across.target, row % across.target);
            let (image, y) = (line / down.target, line % down.target);
            let y = image * job.into.h + y * down.stride + down.phase;
            let at = y * job.into.w + x * across.stride + across.phase;
            let count = (across.target - x).min(rows.end - row);
            // The line's pixels from one of this phase to the next.
            let len = ((count - 1) * across.stride + 1) * LANES;
            let mut to = job.out.at(panel * job.into.plane() + at * LANES, len);
            for _ in 0..count {
                let value = lanes(isa, from, index);
                // SAFETY: bounds are checked by `at`; ours by the caller's promise.
                unsafe {
                    let value = if set { value } else { value.add(isa, I::Block::load(isa, to)) };
                    value.store(isa, to);
                }
                to = to.wrapping_add(across.stride * LANES);
                index += 1;
            }
            row += count;
        }
    }
}

/// Takes the sums of a panel's rows, which begin at `at` of the result and lie at `out`, and streams them to `result`.
struct TakeSums<'a> {
    sums: Taker<'a>,
    dims: &'a Dims,
    chunk: usize,
    block: usize,
    at: usize,
    out: *const f32,
    rows: usize,
    result: Option<*mut f32>,
}

impl Kernel for TakeSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { sums, dims, chunk, block, at, out, rows, result } = self;
        let mut running = GradRunning::new(isa);
        // SAFETY: rows just written; nobody else touches them, nor this block of the chunk.
        unsafe {
            sums.add(isa, &mut running, block, at, out, rows, result);
            sums.put(isa, dims, chunk, block, &running);
        }
    }
}
