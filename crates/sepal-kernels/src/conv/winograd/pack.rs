//! Filters brought to the frequencies, in the order in which products read them: `[panel][frequency][input][16 outputs]`.

use super::transform::Minimal;
use crate::exec::{Exec, Shared};
use crate::geometry::Conv;
use crate::isa::{Isa, Kernel};
use crate::layout::LANES;

/// Transforms and packs weights of `O, I, 3, 3`.
pub(super) fn pack<W: Minimal<M, T>, const M: usize, const T: usize>(
    exec: Exec<'_>,
    conv: &Conv,
    weight: &[f32],
    packed: &mut [f32],
) {
    let each = T * T * conv.input.c * LANES;
    let packed = Shared::new(packed);
    let matrix = W::filter();
    exec.pool.run(conv.output.blocks(), &|panel, _| {
        // SAFETY: one panel, which is this item's alone.
        let to = unsafe { packed.slice(panel * each, each) };
        let outputs = (conv.output.c - panel * LANES).min(LANES);
        let filters = &weight[panel * LANES * conv.input.c * 9..][..outputs * conv.input.c * 9];
        exec.level.dispatch(Panel { matrix: &matrix, channels: conv.input.c, filters, to });
    });
}

/// Up to sixteen filters.
struct Panel<'a, const T: usize> {
    matrix: &'a [[f64; 3]; T],
    channels: usize,
    filters: &'a [f32],
    to: &'a mut [f32],
}

/// A tap of sixteen filters.
type Taps = [f64; LANES];

impl<const T: usize> Kernel for Panel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, _: I) {
        let Self { matrix, channels, filters, to } = self;
        for channel in 0..channels {
            let mut taps = [[0.0; LANES]; 9];
            for (lane, filter) in filters.chunks_exact(channels * 9).enumerate() {
                for (tap, value) in taps.iter_mut().zip(&filter[channel * 9..][..9]) {
                    tap[lane] = f64::from(*value);
                }
            }
            let mut half = [[[0.0; LANES]; 3]; T];
            for (row, factors) in half.iter_mut().zip(matrix) {
                for (x, cell) in row.iter_mut().enumerate() {
                    *cell = combine(factors, [&taps[x], &taps[3 + x], &taps[6 + x]]);
                }
            }
            for (y, row) in half.iter().enumerate() {
                for (x, factors) in matrix.iter().enumerate() {
                    let values = combine(factors, [&row[0], &row[1], &row[2]]);
                    let cells = &mut to[((y * T + x) * channels + channel) * LANES..][..LANES];
                    for (cell, value) in cells.iter_mut().zip(values) {
                        *cell = value as f32;
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn combine(factors: &[f64; 3], taps: [&Taps; 3]) -> Taps {
    let mut sum = [0.0; LANES];
    for lane in 0..LANES {
        sum[lane] = factors[0] * taps[0][lane] + factors[1] * taps[1][lane] + factors[2] * taps[2][lane];
    }
    sum
}
