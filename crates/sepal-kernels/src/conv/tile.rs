//! The two inner loops of every matrix product here.

use super::ahead::{Ahead, Few, prefetch_now};
use crate::act::Ending;
use crate::isa::{Isa, Kernel, Vector, lanes};
use crate::layout::LANES;

/// The left operand of a tile: `runs` times `channels` values per row, in planes of rows of sixteen values, or of as many as
/// [`product`] is told.
#[derive(Clone, Copy)]
pub(crate) struct Left {
    pub start: *const f32,
    pub runs: usize,
    /// Floats from one run to the next.
    pub run_stride: usize,
    /// Floats from one block of sixteen channels to the next.
    pub plane: usize,
    pub channels: usize,
}

/// Terms of a sum that are written out one after the other, with prefetches between such groups.
const GROUP: usize = 4;

/// What happens to the sums of a tile before they are stored: `ending(affine(bias + sum + partial) + add)`.
#[derive(Clone, Copy)]
pub(crate) struct Finish {
    /// Sixteen floats.
    pub bias: Option<*const f32>,
    /// A result of its own: the sums, with the bias, and these rows, stored to those.
    pub also: Option<(*const f32, *mut f32)>,
    /// Rows that are a part of the sum; they may be those of the result.
    pub partial: Option<*const f32>,
    /// Scale and shift, sixteen floats each.
    pub affine: Option<[*const f32; 2]>,
    /// Rows like those of the result.
    pub add: Option<*const f32>,
    pub ending: Ending,
    /// Whether to store past the caches; [`crate::isa::fence`] must follow.
    pub stream: bool,
    /// Whether to take statistics.
    pub statistics: bool,
}

impl Finish {
    /// The sums as they are.
    pub(crate) const STORE: Self = Self {
        bias: None,
        also: None,
        partial: None,
        affine: None,
        add: None,
        ending: Ending::None,
        stream: false,
        statistics: false,
    };

    /// The same for the rows from `row` on.
    #[inline(always)]
    fn at_row(self, row: usize) -> Self {
        let at = row * LANES;
        Self {
            also: self.also.map(|(from, to)| (from.wrapping_add(at), to.wrapping_add(at))),
            partial: self.partial.map(|rows| rows.wrapping_add(at)),
            add: self.add.map(|rows| rows.wrapping_add(at)),
            ..self
        }
    }
}

/// Origin, sum and sum of squares of rows; see [`crate::norm`].
pub(crate) type Statistics<V> = [V; 3];

/// Calls `$tile::<I, ROWS, others>(arguments)` with the constant `ROWS` equal to `$rows`: at most 28 or 16, or one of [`FEW`].
macro_rules! with_rows {
    (28, $rows:expr, $tile:ident [$($other:ident),*] $arguments:tt) => {
        with_rows!(@ $rows, $tile [$($other),*], $arguments, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24
            25 26 27 28)
    };
    (16, $rows:expr, $tile:ident [$($other:ident),*] $arguments:tt) => {
        with_rows!(@ $rows, $tile [$($other),*], $arguments, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
    };
    (few, $rows:expr, $tile:ident [$($other:ident),*] $arguments:tt) => {
        with_rows!(@ $rows, $tile [$($other),*], $arguments, 1 2 4 6 14 16 28)
    };
    (@ $rows:expr, $tile:ident $others:tt, $arguments:tt, $($count:literal)*) => {
        match $rows {
            // A constant block, so that tiles too large for the registers are not even compiled.
            $($count => if const { $count <= I::TILE_ROWS } { with_rows!(! $tile $others, $count, $arguments) },)*
            rows => unreachable!("a tile of {rows} rows"),
        }
    };
    (! $tile:ident [$($other:ident),*], $count:literal, ($($argument:expr),*)) => {
        $tile::<I, $count, $($other),*>($($argument),*)
    };
}

/// `rows` cut into the fewest tiles of at most `most` rows, as equal as can be.
#[inline(always)]
pub(crate) fn tiles(rows: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = rows.div_ceil(most);
    (0..count).map(move |tile| {
        let start = tile * rows / count;
        (start, (tile + 1) * rows / count - start)
    })
}

/// Rows `0..rows` of `left · weights` into `out`, `[row][16]`; their statistics, if asked for. The left operand's rows are
/// `STEP` floats apart.
///
/// # Safety
/// Everything `left`, `finish` and `out` point to is valid for `rows` rows, and `weights` holds
/// sixteen floats for each value of a row. To stream, `out` is aligned to 64 bytes.
#[inline(always)]
pub(crate) unsafe fn product<I: Isa, const STEP: usize>(
    isa: I,
    left: Left,
    weights: *const f32,
    finish: Finish,
    rows: usize,
    out: *mut f32,
    ahead: &mut Ahead,
) -> Statistics<I::Block> {
    let mut statistics = [0.0; 3 * LANES];
    // Apart, because the tiles of all numbers of rows are much code, which many kernels end in.
    isa.apart(Product::<STEP> { left, weights, finish, rows, out, ahead, statistics: &mut statistics });
    std::array::from_fn(
        #[inline(always)]
        |part| lanes(isa, &statistics, part),
    )
}

/// The arguments of [`product`], whose promises it keeps.
struct Product<'a, const STEP: usize> {
    left: Left,
    weights: *const f32,
    finish: Finish,
    rows: usize,
    out: *mut f32,
    ahead: &'a mut Ahead,
    statistics: &'a mut [f32; 3 * LANES],
}

impl<const STEP: usize> Kernel for Product<'_, STEP> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { left, weights, finish, rows, out, ahead, statistics: kept } = self;
        let mut statistics = [I::Block::splat(isa, 0.0); 3];
        let mut cut = tiles(rows, I::TILE_ROWS);
        let mut row = 0;
        while row < rows {
            let most = I::TILE_ROWS.min(rows - row);
            let count = match STEP {
                LANES => cut.next().map_or(1, |(_, count)| count),
                _ => FEW.into_iter().find(|count| *count <= most).unwrap_or(1),
            };
            // SAFETY: these rows are among those promised.
            unsafe {
                let left = Left { start: left.start.add(row * STEP), ..left };
                let finish = finish.at_row(row);
                let out = out.add(row * LANES);
                let few = ahead.take(left.runs * (left.channels / LANES) * (LANES / GROUP));
                let first = row == 0;
                if STEP == LANES {
                    with_rows!(
                        28,
                        count,
                        product_tile[STEP](isa, left, weights, finish, out, first, &mut statistics, few)
                    );
                } else {
                    with_rows!(
                        few,
                        count,
                        product_tile[STEP](isa, left, weights, finish, out, first, &mut statistics, few)
                    );
                }
            }
            row += count;
        }
        if finish.statistics {
            for (part, lanes) in statistics.into_iter().zip(kept.chunks_exact_mut(LANES)) {
                // SAFETY: sixteen floats.
                unsafe { part.store(isa, lanes.as_mut_ptr()) }
            }
        }
    }
}

/// Rows of the tiles that there are for steps other than sixteen.
const FEW: [usize; 7] = [28, 16, 14, 6, 4, 2, 1];

/// Adds `from[row] · weights[0..16]` to the sum of every row.
///
/// # Safety
/// `from` points into a row that has `ROWS - 1` rows after it, `weights` to sixteen floats.
#[inline(always)]
unsafe fn step<I: Isa, const ROWS: usize, const STEP: usize>(
    isa: I,
    sums: &mut [I::Block; ROWS],
    from: *const f32,
    weights: *const f32,
) {
    // SAFETY: as promised.
    unsafe {
        let weight = I::Block::load(isa, weights);
        for (row, sum) in sums.iter_mut().enumerate() {
            *sum = I::Block::splat(isa, *from.add(row * STEP)).mul_add(isa, weight, *sum);
        }
    }
}

#[inline(always)]
unsafe fn product_tile<I: Isa, const ROWS: usize, const STEP: usize>(
    isa: I,
    left: Left,
    weights: *const f32,
    finish: Finish,
    out: *mut f32,
    is_first: bool,
    statistics: &mut Statistics<I::Block>,
    mut few: Few,
) {
    // SAFETY: the promises of `product`, for `ROWS` rows.
    unsafe {
        let start = match finish.bias {
            Some(bias) => I::Block::load(isa, bias),
            None => I::Block::splat(isa, 0.0),
        };
        let mut sums = [start; ROWS];
        let mut weights = weights;
        for run in 0..left.runs {
            let mut from = left.start.add(run * left.run_stride);
            for _ in 0..left.channels / LANES {
                // Pointers that move on, not an index: with one, the compiler gathers the loads of a group at
                // its start and spills them where there are few registers.
                for _ in 0..LANES / GROUP {
                    few.some();
                    for k in 0..GROUP {
                        step::<I, ROWS, STEP>(isa, &mut sums, from.add(k), weights.add(k * LANES));
                    }
                    from = from.add(GROUP);
                    weights = weights.add(GROUP * LANES);
                }
                from = from.add(left.plane - LANES);
            }
            for k in 0..left.channels % LANES {
                step::<I, ROWS, STEP>(isa, &mut sums, from.add(k), weights);
                weights = weights.add(LANES);
            }
        }
        end(isa, finish, &mut sums, out, LANES, 0);
        if finish.statistics {
            let [mut origin, mut total, mut squares] = *statistics;
            if is_first {
                origin = sums[0];
            }
            for sum in sums {
                let off = sum.sub(isa, origin);
                total = total.add(isa, off);
                squares = off.mul_add(isa, off, squares);
            }
            *statistics = [origin, total, squares];
        }
    }
}

/// Finishes sums and stores them, `step` floats apart. Their channels are `across` apart.
///
/// # Safety
/// The promises of [`product`], for these sums.
#[inline(always)]
unsafe fn end<I: Isa, const SUMS: usize>(
    isa: I,
    finish: Finish,
    sums: &mut [I::Block; SUMS],
    out: *mut f32,
    step: usize,
    across: usize,
) {
    // SAFETY: as promised.
    unsafe {
        if let Some((from, to)) = finish.also {
            for (index, sum) in sums.iter().enumerate() {
                sum.add(isa, I::Block::load(isa, from.add(index * step))).store(isa, to.add(index * step));
            }
        }
        if let Some(partial) = finish.partial {
            for (index, sum) in sums.iter_mut().enumerate() {
                *sum = sum.add(isa, I::Block::load(isa, partial.add(index * step)));
            }
        }
        if let Some(affine) = finish.affine {
            for (index, sum) in sums.iter_mut().enumerate() {
                let [scale, shift] = affine.map(
                    #[inline(always)]
                    |lanes| I::Block::load(isa, lanes.add(index * across)),
                );
                *sum = sum.mul_add(isa, scale, shift);
            }
        }
        if let Some(add) = finish.add {
            for (index, sum) in sums.iter_mut().enumerate() {
                *sum = sum.add(isa, I::Block::load(isa, add.add(index * step)));
            }
        }
        finish.ending.apply(isa, sums);
        if finish.stream {
            for (index, sum) in sums.iter().enumerate() {
                sum.stream(isa, out.add(index * step));
            }
        } else {
            for (index, sum) in sums.iter().enumerate() {
                sum.store(isa, out.add(index * step));
            }
        }
    }
}

/// Panels that [`row_product`] computes side by side.
pub(super) const ABREAST: usize = 4;

/// One row of `left · weights` for [`ABREAST`] panels, `weight_step` floats apart in the weights and `out_step` in the
/// result: a row alone has one sum in a panel, each of whose terms would wait for the one before it.
///
/// # Safety
/// Everything `left`, `finish` and `out` point to is valid for one row of the panels, `weights` holds sixteen floats for
/// each value of the row and each panel.
#[inline(always)]
pub(super) unsafe fn row_product<I: Isa>(
    isa: I,
    left: Left,
    weights: *const f32,
    weight_step: usize,
    finish: Finish,
    out: *mut f32,
    out_step: usize,
) {
    // SAFETY: as promised.
    unsafe {
        let mut sums = [I::Block::splat(isa, 0.0); ABREAST];
        if let Some(bias) = finish.bias {
            for (panel, sum) in sums.iter_mut().enumerate() {
                *sum = I::Block::load(isa, bias.add(panel * LANES));
            }
        }
        let mut weights = weights;
        for run in 0..left.runs {
            let mut from = left.start.add(run * left.run_stride);
            let mut count = left.channels;
            while count > 0 {
                for k in 0..count.min(LANES) {
                    let value = I::Block::splat(isa, *from.add(k));
                    for (panel, sum) in sums.iter_mut().enumerate() {
                        let weight = I::Block::load(isa, weights.add(panel * weight_step));
                        *sum = value.mul_add(isa, weight, *sum);
                    }
                    weights = weights.add(LANES);
                }
                count -= count.min(LANES);
                from = from.add(left.plane);
            }
        }
        end(isa, finish, &mut sums, out, out_step, LANES);
    }
}

/// `to[i][0..16] (+)= Σ_row x[row][i] · dz[row][0..16]` for the `channels` first `i`.
///
/// # Safety
/// `x` and `dz` hold `rows` rows of sixteen floats, `to` holds `channels` rows, `channels <= 16`.
#[inline(always)]
pub(crate) unsafe fn correlate<I: Isa>(
    isa: I,
    x: *const f32,
    dz: *const f32,
    rows: usize,
    channels: usize,
    to: *mut f32,
    accumulate: bool,
    ahead: &mut Ahead,
) {
    for (first, count) in tiles(channels, I::TILE_ROWS.min(LANES)) {
        // SAFETY: these channels are among those promised.
        unsafe {
            let [x, to] = [x.add(first), to.add(first * LANES).cast_const()];
            let few = ahead.take(rows / GROUP);
            with_rows!(16, count, correlate_tile [] (isa, x, dz, rows, to.cast_mut(), accumulate, few));
        }
    }
}

/// Adds `x[channel] · dz[0..16]` to the sum of every channel.
///
/// # Safety
/// `x` and `dz` point to rows of sixteen floats.
#[inline(always)]
unsafe fn correlate_step<I: Isa, const ROWS: usize>(
    isa: I,
    sums: &mut [I::Block; ROWS],
    x: *const f32,
    dz: *const f32,
) {
    // SAFETY: as promised; `ROWS <= 16`.
    unsafe {
        let gradient = I::Block::load(isa, dz);
        for (channel, sum) in sums.iter_mut().enumerate() {
            *sum = I::Block::splat(isa, *x.add(channel)).mul_add(isa, gradient, *sum);
        }
    }
}

#[inline(always)]
unsafe fn correlate_tile<I: Isa, const ROWS: usize>(
    isa: I,
    x: *const f32,
    dz: *const f32,
    rows: usize,
    to: *mut f32,
    accumulate: bool,
    mut few: Few,
) {
    // SAFETY: the promises of `correlate`.
    unsafe {
        if accumulate {
            for channel in 0..ROWS {
                prefetch_now(to.add(channel * LANES));
            }
        }
        let mut sums = [I::Block::splat(isa, 0.0); ROWS];
        let (mut x, mut dz) = (x, dz);
        for _ in 0..rows / GROUP {
            few.some();
            for row in 0..GROUP {
                correlate_step(isa, &mut sums, x.add(row * LANES), dz.add(row * LANES));
            }
            x = x.add(GROUP * LANES);
            dz = dz.add(GROUP * LANES);
        }
        for row in 0..rows % GROUP {
            correlate_step(isa, &mut sums, x.add(row * LANES), dz.add(row * LANES));
        }
        for (channel, sum) in sums.into_iter().enumerate() {
            let to = to.add(channel * LANES);
            let sum = if accumulate { sum.add(isa, I::Block::load(isa, to)) } else { sum };
            sum.store(isa, to);
        }
    }
}
