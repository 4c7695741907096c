//! Tiles of inputs to frequencies, their products with the filters, and products to outputs.

use super::super::ahead::Ahead;
use super::super::plan::staged_plane;
use super::super::tile::{Finish, Left, product};
use super::Cuts;
use super::transform::Minimal;
use crate::exec::{Exec, Shared};
use crate::geometry::{Conv, Epilogue};
use crate::isa::{Isa, Kernel, Vector, lanes};
use crate::layout::LANES;
use std::marker::PhantomData;
use std::ops::Range;

/// A convolution to run.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub cuts: Cuts,
    pub conv: &'a Conv,
    pub x: &'a [f32],
    pub packed: &'a [f32],
    pub epilogue: Epilogue<'a>,
    pub out: Shared<'a>,
    /// Transformed inputs of all tiles, where they are transformed together.
    pub factors: Shared<'a>,
    pub scratch: Shared<'a>,
}

impl Job<'_> {
    pub(super) fn run<W: Minimal<M, T>, const M: usize, const T: usize>(&self, exec: Exec<'_>) {
        let Cuts { blocks, tiles, panels, is_together, .. } = self.cuts;
        let run = |items: usize, what: What| {
            exec.pool.run(items, &|item, worker| {
                exec.level.dispatch(Item { job: self, what, item, worker, of: PhantomData::<W> });
            });
        };
        if is_together {
            run(tiles.pieces() * blocks, What::Inputs);
            run(tiles.pieces() * panels, What::Products);
        } else {
            run(tiles.pieces(), What::Both);
        }
    }
}

/// What an item does.
#[derive(Clone, Copy)]
enum What {
    /// Transforms one block of channels of a block of tiles.
    Inputs,
    /// Multiplies a block of tiles with one panel.
    Products,
    /// All of a block of tiles.
    Both,
}

struct Item<'a, W, const M: usize, const T: usize> {
    job: &'a Job<'a>,
    what: What,
    item: usize,
    worker: usize,
    of: PhantomData<W>,
}

impl<W: Minimal<M, T>, const M: usize, const T: usize> Kernel for Item<'_, W, M, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { job, what, item, worker, .. } = self;
        let Cuts { blocks, tiles, panels, .. } = job.cuts;
        let scratch = || {
            // SAFETY: this worker's part, one item at a time.
            unsafe { job.scratch.part(worker, job.cuts.each()) }
        };
        match what {
            What::Inputs => {
                let (piece, block) = (item / blocks, item % blocks);
                let factors = job.factors.at(piece * job.cuts.block(), job.cuts.block());
                // SAFETY: the factors of a block of channels are this item's alone.
                unsafe { job.inputs::<I, W, M, T>(isa, block, tiles.get(piece), factors) };
            }
            What::Products => {
                let (piece, panel) = (item % tiles.pieces(), item / tiles.pieces());
                let factors = job.factors.at(piece * job.cuts.block(), job.cuts.block());
                let products = scratch().as_mut_ptr();
                // SAFETY: the factors were written before, and these tiles' outputs of a panel are this item's alone.
                unsafe { job.panel::<I, W, M, T>(isa, tiles.get(piece), panel, factors, products) };
            }
            What::Both => {
                let (factors, products) = scratch().split_at_mut(job.cuts.block());
                let (factors, products) = (factors.as_mut_ptr(), products.as_mut_ptr());
                // SAFETY: this worker's scratch, and the outputs of these tiles are this item's alone.
                unsafe {
                    for block in 0..blocks {
                        job.inputs::<I, W, M, T>(isa, block, tiles.get(item), factors);
                    }
                    for panel in 0..panels {
                        job.panel::<I, W, M, T>(isa, tiles.get(item), panel, factors, products);
                    }
                }
            }
        }
    }
}

impl Job<'_> {
    /// Transforms block `block` of the inputs of some tiles to `[frequency][block][tile][16]`.
    ///
    /// # Safety
    /// `factors` holds as many tiles, and nobody else touches this block of them.
    #[inline(always)]
    unsafe fn inputs<I: Isa, W: Minimal<M, T>, const M: usize, const T: usize>(
        &self,
        isa: I,
        block: usize,
        tiles: Range<usize>,
        factors: *mut f32,
    ) {
        let grid = self.cuts.grid;
        let [down, across] = [grid.down, grid.across];
        let dims = &self.conv.input;
        let plane = &self.x[block * dims.plane()..][..dims.rows() * LANES];
        let [steps_down, steps_across] = [down.step * across.source * LANES, across.step * LANES];
        let [stride, _] = self.cuts.strides();
        let zero = I::Block::splat(isa, 0.0);
        // SAFETY: `factors` begins with the first frequency of the first block.
        let mut to = unsafe { factors.add(block * staged_plane(self.cuts.tiles.size)) };
        for tile in tiles {
            let [image, y, x] = grid.place(tile);
            let [y, x] = [down.origin(y), across.origin(x)];
            let mut half = [[zero; T]; T];
            if down.is_inside(y, T) && across.is_inside(x, T) {
                let at = (image * down.source + y as usize) * across.source + x as usize;
                let from = plane[at * LANES..][..(T - 1) * (steps_down + steps_across) + LANES].as_ptr();
                for (column, cells) in half.iter_mut().enumerate() {
                    let mut read = [zero; T];
                    for (row, value) in read.iter_mut().enumerate() {
                        // SAFETY: at most the last float of the slice just taken.
                        *value = unsafe { I::Block::load(isa, from.add(row * steps_down + column * steps_across)) };
                    }
                    *cells = W::input(isa, read);
                }
            } else {
                for (column, cells) in half.iter_mut().enumerate() {
                    let x = x + (column * across.step) as isize;
                    if !across.is_inside(x, 1) {
                        continue;
                    }
                    let mut read = [zero; T];
                    for (row, value) in read.iter_mut().enumerate() {
                        let y = y + (row * down.step) as isize;
                        if down.is_inside(y, 1) {
                            *value = lanes(isa, plane, (image * down.source + y as usize) * across.source + x as usize);
                        }
                    }
                    *cells = W::input(isa, read);
                }
            }
            for row in 0..T {
                let mut read = [zero; T];
                for (value, cells) in read.iter_mut().zip(&half) {
                    *value = cells[row];
                }
                for (column, value) in W::input(isa, read).into_iter().enumerate() {
                    // SAFETY: this tile's place of that frequency.
                    unsafe { value.store(isa, to.add((row * T + column) * stride)) };
                }
            }
            // SAFETY: the next tile's place, or the end of the last one's.
            to = unsafe { to.add(LANES) };
        }
    }

    /// Multiplies some tiles with one panel, and brings the products to the outputs.
    ///
    /// # Safety
    /// `factors` holds the transformed tiles, `products` has room for their products, and nobody else touches these
    /// outputs.
    #[inline(always)]
    unsafe fn panel<I: Isa, W: Minimal<M, T>, const M: usize, const T: usize>(
        &self,
        isa: I,
        tiles: Range<usize>,
        panel: usize,
        factors: *const f32,
        products: *mut f32,
    ) {
        let Cuts { frequencies, tiles: cut, .. } = self.cuts;
        let channels = self.conv.input.c;
        let (plane, len) = (staged_plane(cut.size), channels * LANES);
        let [stride, each] = self.cuts.strides();
        let weights = &self.packed[panel * frequencies * len..][..frequencies * len];
        let mut ahead = Ahead::new();
        for frequency in 0..frequencies {
            let (weights, next) = weights[frequency * len..].split_at(len);
            if !next.is_empty() {
                ahead.add(next, len, 1, &(0..channels));
                ahead.spread(tiles.len().div_ceil(I::TILE_ROWS));
            }
            // SAFETY: these tiles' factors of a frequency, and room for as many products.
            unsafe {
                let left = Left { start: factors.add(frequency * stride), runs: 1, run_stride: 0, plane, channels };
                let to = products.add(frequency * each);
                product::<I, LANES>(isa, left, weights.as_ptr(), Finish::STORE, tiles.len(), to, &mut ahead);
            }
        }
        // SAFETY: the products just computed; the rest is promised.
        unsafe { self.outputs::<I, W, M, T>(isa, tiles, panel, products) };
    }

    /// Transforms the products of some tiles to outputs of one panel.
    ///
    /// # Safety
    /// `products` holds them, and nobody else touches these outputs.
    #[inline(always)]
    unsafe fn outputs<I: Isa, W: Minimal<M, T>, const M: usize, const T: usize>(
        &self,
        isa: I,
        tiles: Range<usize>,
        panel: usize,
        products: *const f32,
    ) {
        let grid = self.cuts.grid;
        let [down, across] = [grid.down, grid.across];
        let [_, each] = self.cuts.strides();
        let dims = &self.conv.output;
        let first = panel * dims.plane();
        let out = self.out.at(first, dims.rows() * LANES);
        let Epilogue { scale, bias, add, act } = self.epilogue;
        let add = add.map(|add| add[first..][..dims.rows() * LANES].as_ptr());
        let ending = act.ending();
        let zero = I::Block::splat(isa, 0.0);
        let bias = match bias {
            Some(bias) => lanes(isa, bias, panel),
            None => zero,
        };
        let scale = match scale {
            Some(scale) => lanes(isa, scale, panel),
            None => I::Block::splat(isa, 1.0),
        };
        let mut from = products;
        for tile in tiles {
            let [image, y, x] = grid.place(tile);
            let mut half = [[zero; M]; T];
            for (column, cells) in half.iter_mut().enumerate() {
                let mut read = [zero; T];
                for (row, value) in read.iter_mut().enumerate() {
                    // SAFETY: this tile's product of that frequency.
                    *value = unsafe { I::Block::load(isa, from.add((row * T + column) * each)) };
                }
                *cells = W::output(isa, read);
            }
            for row in 0..M {
                let y = y + row * down.step;
                if y >= down.target {
                    break;
                }
                let mut read = [zero; T];
                for (value, cells) in read.iter_mut().zip(&half) {
                    *value = cells[row];
                }
                let line = (image * down.target + y) * across.target;
                let mut values = W::output(isa, read);
                for (column, value) in values.iter_mut().enumerate() {
                    let x = x + column * across.step;
                    *value = value.mul_add(isa, scale, bias);
                    if let Some(add) = add.filter(|_| x < across.target) {
                        // SAFETY: a pixel of the picture, whose length was checked.
                        *value = unsafe { value.add(isa, I::Block::load(isa, add.add((line + x) * LANES))) };
                    }
                }
                match ending {
                    Some(ending) => ending.apply(isa, &mut values),
                    None => {
                        for value in &mut values {
                            *value = act.apply(isa, *value, panel);
                        }
                    }
                }
                for (column, value) in values.into_iter().enumerate() {
                    let x = x + column * across.step;
                    if x < across.target {
                        // SAFETY: a pixel of the picture, and this item's alone.
                        unsafe { value.store(isa, out.add((line + x) * LANES)) };
                    }
                }
            }
            // SAFETY: the next tile's, or the end of the last one's.
            from = unsafe { from.add(LANES) };
        }
    }
}
