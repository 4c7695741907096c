//! The gradient of the weights: sums over rows, by chunks of row blocks that are added in order.

use super::ahead::Ahead;
use super::item;
use super::plan::{Cut, Round, Rounds, STAGED, Side, Window, rows_for, staged_plane};
use super::stage::{Operand, View};
use super::tile::correlate;
use crate::exec::{Exec, Shared};
use crate::geometry::Conv;
use crate::isa::{Isa, Kernel, Vector, fence};
use crate::layout::LANES;
use std::ops::Range;

/// Partial gradients of all chunks take at most about this many floats ...
const PARTIALS: usize = 2 * 1024 * 1024;
/// ... and there are at most this many.
const CHUNKS: usize = 16;
/// Items that balance the load of a handful of workers, where there are fewer chunks.
const GROUPS: usize = CHUNKS / 2;

/// How the gradient of the weights is cut.
#[derive(Clone, Copy)]
pub(super) struct Cuts {
    pub side: Side,
    pub window: Window,
    pub rounds: Rounds,
    pub rows: Cut,
    /// Row blocks of one partial gradient.
    pub chunks: Cut,
    pub panels: Cut,
}

impl Cuts {
    pub(super) fn new(conv: &Conv) -> Self {
        let side = Side::forward(conv);
        let window = Window::forward(conv);
        let rounds = side.rounds(window.taps());
        let rows = Cut::new(window.rows(), rows_for((rounds.planes() + side.panels()) * LANES, 2 * STAGED));
        let most = (PARTIALS / side.len().max(1)).clamp(4, CHUNKS) & !1;
        // Few rows are cheaper read once for each group of panels than many weights are added up from partial sums.
        let read = GROUPS * window.rows() * side.inputs * side.taps;
        let few = window.is_identity() && read < most * side.len();
        let rows = rows.rounded(if few { 1 } else { most });
        let chunks = Cut::new(rows.pieces(), if few { rows.pieces() } else { rows.pieces().div_ceil(most) }.max(1));
        let panels = side.panels();
        let groups = GROUPS.div_ceil(chunks.pieces().max(1)).min(panels.div_ceil(4));
        Self { side, window, rounds, rows, chunks, panels: Cut::new(panels, panels.div_ceil(groups)) }
    }

    /// Whether the gradient of the input should be computed from the same staged rows: then all
    /// panels are needed at a time, and there must be enough chunks for the workers.
    pub(super) fn can_fuse(&self) -> bool {
        self.window.is_identity() && self.panels.pieces() == 1 && self.side.panels() <= 128 && self.rounds.len() == 1
    }

    /// Floats of the partial gradients of weights, then of biases.
    pub(super) fn partials(&self) -> [usize; 2] {
        [self.side.len(), self.side.panels() * LANES].map(|each| self.chunks.pieces() * each)
    }

    /// Floats of a worker's scratch: a round of the input, then the gradient, then a panel of the input's gradient.
    pub(super) fn scratch(&self) -> [usize; 3] {
        let plane = staged_plane(self.rows.size);
        let values = self.rounds.planes_of(&self.side, &self.window) * plane;
        [values, self.side.panels() * plane, self.rows.size * LANES]
    }
}

/// Sums over all rows.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub cuts: Cuts,
    pub conv: &'a Conv,
    pub dz: Operand<'a>,
    pub x: Operand<'a>,
    pub partials: Option<Shared<'a>>,
    pub biases: Option<Shared<'a>>,
    /// The gradient of the input from the same rows, if [`Cuts::can_fuse`].
    pub dx: Option<item::Job<'a>>,
    pub scratch: Shared<'a>,
    /// Floats of a worker's scratch.
    pub each: usize,
}

impl Job<'_> {
    pub(super) fn run(&self, exec: Exec<'_>) {
        let items = self.cuts.chunks.pieces() * self.cuts.panels.pieces();
        exec.pool.run(items, &|item, worker| exec.level.dispatch(Item { job: self, item, worker }));
    }

    /// Lists what the row block `rows` will read.
    #[inline(always)]
    fn ahead<I: Isa>(&self, ahead: &mut Ahead, rows: &Range<usize>, panels: &Range<usize>) {
        let Cuts { side, window, .. } = self.cuts;
        if panels.len() < side.panels() {
            return;
        }
        self.dz.ahead(ahead, &self.conv.output, side.panels(), rows);
        let tiles = rows.len().div_ceil(I::TILE_ROWS) * if self.dx.is_some() { side.blocks() } else { 0 };
        let blocks = match self.x {
            Operand::Pixels(_) => self.cuts.rounds.planes_of(&side, &window),
            _ => side.blocks() * side.taps,
        };
        let mut steps = side.panels() * blocks * LANES.div_ceil(I::TILE_ROWS) + tiles;
        if window.is_identity() {
            self.x.ahead(ahead, &self.conv.input, side.blocks(), rows);
        }
        if self.partials.is_none() {
            steps = tiles;
        }
        ahead.spread(steps);
    }

    /// Adds the rows under `x` and `dz` to chunk `chunk`, for one round of inputs.
    ///
    /// # Safety
    /// The views hold `rows` rows; `dz` begins with panel `panels.start`. Nobody else touches these
    /// panels of this chunk.
    #[inline(always)]
    pub(super) unsafe fn add<I: Isa>(
        &self,
        isa: I,
        place: &Place,
        rows: usize,
        round: &Round,
        x: View,
        dz: View,
        ahead: &mut Ahead,
    ) {
        let Some(partials) = self.partials else { return };
        let Cuts { side, .. } = self.cuts;
        let dense = matches!(self.x, Operand::Pixels(_));
        for panel in place.panels.clone() {
            let reach = side.reach(panel);
            let width = side.width(&reach);
            let start = place.chunk * side.len() + side.offset(panel);
            let gradient = dz.start.wrapping_add((panel - place.panels.start) * dz.plane);
            // A run is a tap, and of pixels a line of the kernel with its taps side by side.
            let (runs, blocks, staged, all) = if dense {
                let [down, across] = self.cuts.window.axes.map(|axis| axis.count);
                let all = across * width;
                (0..down, 0..all.div_ceil(LANES), 0..all.div_ceil(LANES), all)
            } else {
                let blocks = round.blocks.start.max(reach.start)..round.blocks.end.min(reach.end);
                (round.taps.clone(), blocks, round.blocks.clone(), side.inputs)
            };
            let [each, first] = if dense { [all, 0] } else { [width, reach.start] };
            for (index, run) in runs.enumerate() {
                for block in blocks.clone() {
                    let channels = (all - block * LANES).min(LANES);
                    let to = partials.at(start + (run * each + (block - first) * LANES) * LANES, channels * LANES);
                    let plane = index * staged.len() + block - staged.start;
                    let x = x.start.wrapping_add(plane * x.plane);
                    // SAFETY: the views hold the rows, the tile's bounds were checked by `at`.
                    unsafe { correlate(isa, x, gradient, rows, channels, to, place.accumulate, ahead) };
                }
            }
        }
    }

    /// Adds the column sums of the rows under `dz` to the biases of chunk `chunk`.
    ///
    /// # Safety
    /// As [`Self::add`].
    #[inline(always)]
    pub(super) unsafe fn add_bias<I: Isa>(&self, isa: I, place: &Place, rows: usize, dz: View) {
        let Some(biases) = self.biases else { return };
        for (index, panel) in place.panels.clone().enumerate() {
            let to = biases.at((place.chunk * self.cuts.side.panels() + panel) * LANES, LANES);
            // SAFETY: planes and rows of the view; the biases are this item's alone.
            unsafe {
                let mut sum = I::Block::splat(isa, 0.0);
                for row in 0..rows {
                    sum = sum.add(isa, I::Block::load(isa, dz.start.add(index * dz.plane + row * LANES)));
                }
                let sum = if place.accumulate { sum.add(isa, I::Block::load(isa, to)) } else { sum };
                sum.store(isa, to);
            }
        }
    }

    /// Adds the chunks up, in order, into `O, I/groups, kH, kW`.
    pub(super) fn finish(&self, exec: Exec<'_>, dw: Option<&mut [f32]>, dbias: Option<&mut [f32]>) {
        let chunks = self.cuts.chunks.pieces();
        if let (Some(dbias), Some(biases)) = (dbias, self.biases) {
            let each = self.cuts.side.panels() * LANES;
            // SAFETY: no job runs now.
            let biases = unsafe { biases.slice(0, chunks * each) };
            for (at, sum) in dbias[..each].iter_mut().enumerate() {
                *sum = (0..chunks).map(|chunk| biases[chunk * each + at]).sum();
            }
        }
        if let (Some(dw), Some(partials)) = (dw, self.partials) {
            let dw = Shared::new(dw);
            exec.pool.run(self.cuts.side.panels(), &|panel, _| {
                exec.level.dispatch(Reduce { job: self, panel, partials, dw });
            });
        }
    }
}

/// What an item adds to.
pub(super) struct Place {
    pub chunk: usize,
    pub panels: Range<usize>,
    /// Whether something is there already.
    pub accumulate: bool,
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
        let Cuts { side, window, rounds, rows: row_cut, chunks, panels: panel_cut } = job.cuts;
        let chunk = item / panel_cut.pieces();
        let panels = panel_cut.get(item % panel_cut.pieces());
        // SAFETY: this worker's part, one item at a time.
        let scratch = unsafe { job.scratch.part(worker, job.each) };
        let [values, gradients, _] = job.cuts.scratch();
        let (values, rest) = scratch.split_at_mut(values);
        let (gradients, scattered) = rest.split_at_mut(gradients);
        let is_dense = matches!(job.x, Operand::Pixels(_));
        let rounds_len = if is_dense { 1 } else { rounds.len() };
        let identity = window.is_identity() && !is_dense;
        let streams = job.dx.as_ref().is_some_and(|dx| dx.streams());
        let blocks = chunks.get(chunk);
        for (index, block) in blocks.clone().enumerate() {
            let rows = row_cut.get(block);
            let place = Place { chunk, panels: panels.clone(), accumulate: index > 0 };
            let mut ahead = Ahead::new();
            if block + 1 < blocks.end {
                job.ahead::<I>(&mut ahead, &row_cut.get(block + 1), &panels);
            }
            // SAFETY: the operands have the sizes of the convolution, scratch holds their planes, and
            // these panels of this chunk, and these rows of `dx`, are this item's alone.
            unsafe {
                let (conv, to) = (job.conv, gradients.as_mut_ptr());
                let dz = job.dz.rows(isa, &conv.output, &rows, panels.clone(), to);
                job.add_bias(isa, &place, rows.len(), dz);
                if let Some(dx) = &job.dx {
                    let round = Round { taps: 0..1, blocks: panels.clone() };
                    let part = item::Part { job: dx, view: dz, round, first: true, last: true, streams };
                    part.panels(isa, 0..side.blocks(), block, &rows, scattered, &mut ahead);
                }
                if job.partials.is_none() {
                    continue;
                }
                for round in 0..rounds_len {
                    let round = rounds.get(round);
                    let to = values.as_mut_ptr();
                    let x = if identity {
                        job.x.rows(isa, &conv.input, &rows, round.blocks.clone(), to)
                    } else {
                        job.x.stage(isa, &conv.input, &window, &rows, &round, to)
                    };
                    job.add(isa, &place, rows.len(), &round, x, dz, &mut ahead);
                }
            }
        }
        if streams {
            fence();
        }
    }
}

/// Adds up the chunks of one panel.
struct Reduce<'a> {
    job: &'a Job<'a>,
    panel: usize,
    partials: Shared<'a>,
    dw: Shared<'a>,
}

impl Kernel for Reduce<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { job, panel, partials, dw } = self;
        let side = job.cuts.side;
        let [filters, reads] = [side.outputs / side.groups, side.inputs / side.groups];
        let reach = side.reach(panel);
        let width = side.width(&reach);
        let outputs = panel * LANES..(panel * LANES + LANES).min(side.outputs);
        let each = reads * side.taps;
        // SAFETY: the filters of this panel are this item's alone.
        let dw = unsafe { dw.slice(outputs.start * each, outputs.len() * each) };
        let chunks = job.cuts.chunks.pieces();
        let mut sums = [[0.0; LANES]; LANES];
        for tap in 0..side.taps {
            for first in (0..width).step_by(LANES) {
                let count = (width - first).min(LANES);
                for (index, sums) in sums.iter_mut().enumerate().take(count) {
                    let at = side.offset(panel) + (tap * width + first + index) * LANES;
                    // SAFETY: sixteen floats each; the partial sums are complete and only read now.
                    unsafe {
                        let mut sum = I::Block::load(isa, partials.at(at, LANES));
                        for chunk in 1..chunks {
                            sum = sum.add(isa, I::Block::load(isa, partials.at(chunk * side.len() + at, LANES)));
                        }
                        sum.store(isa, sums.as_mut_ptr());
                    }
                }
                let input = reach.start * LANES + first;
                for (lane, output) in outputs.clone().enumerate() {
                    let seen = output / filters * reads;
                    for i in input.max(seen)..(input + count).min(seen + reads) {
                        dw[lane * each + (i - seen) * side.taps + tap] = sums[i - input][lane];
                    }
                }
            }
        }
    }
}
