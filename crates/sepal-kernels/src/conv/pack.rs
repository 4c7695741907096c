//! Weights in the order in which products read them: `[panel][tap][input][16 outputs]`.

use super::plan::{Side, Window};
use crate::exec::{Exec, Shared};
use crate::geometry::Conv;
use crate::layout::LANES;

/// Where the weight of (output, input) of one product begins in `O, I/groups, kH, kW`; `None` where
/// they are not in the same group.
#[inline(always)]
fn place(conv: &Conv, o: usize, i: usize) -> Option<usize> {
    let [filters, reads] = [conv.output.c / conv.groups, conv.input.c / conv.groups];
    (o / filters == i / reads).then(|| (o * reads + i % reads) * conv.taps())
}

/// Packs for the forward product.
pub(super) fn forward(exec: Exec<'_>, conv: &Conv, weight: &[f32], packed: &mut [f32]) {
    let side = Side::forward(conv);
    let packed = Shared::new(packed);
    exec.pool.run(side.panels(), &|panel, _| {
        let reach = side.reach(panel);
        let width = side.width(&reach);
        let first = reach.start * LANES;
        // SAFETY: one panel, which is this item's alone.
        let to = unsafe { packed.slice(side.offset(panel), width * side.taps * LANES) };
        let outputs = panel * LANES..(panel * LANES + LANES).min(side.outputs);
        if conv.groups == 1 {
            let each = width * side.taps;
            // Lanes without a filter repeat the first one's weights, and are zeroed.
            let filters: [&[f32]; LANES] = std::array::from_fn(|lane| {
                let o = if lane < outputs.len() { outputs.start + lane } else { outputs.start };
                &weight[o * each..][..each]
            });
            let mut rows = to.chunks_exact_mut(LANES);
            for tap in 0..side.taps {
                for (i, row) in (0..width).zip(&mut rows) {
                    let at = i * side.taps + tap;
                    for (value, filter) in row.iter_mut().zip(filters) {
                        *value = filter[at];
                    }
                    row[outputs.len()..].fill(0.0);
                }
            }
            return;
        }
        for (lane, o) in (panel * LANES..panel * LANES + LANES).enumerate() {
            for i in 0..width {
                let from = (o < side.outputs).then(|| place(conv, o, first + i)).flatten();
                for tap in 0..side.taps {
                    to[(tap * width + i) * LANES + lane] = from.map_or(0.0, |from| weight[from + tap]);
                }
            }
        }
    });
}

/// Packs for the product that yields the gradient of the input, its taps sorted by the stride's phase.
pub(super) fn backward(exec: Exec<'_>, conv: &Conv, weight: &[f32], packed: &mut [f32]) {
    let side = Side::backward(conv);
    let packed = Shared::new(packed);
    exec.pool.run(side.panels(), &|panel, _| {
        let reach = side.reach(panel);
        let width = side.width(&reach);
        let first = reach.start * LANES;
        // SAFETY: one panel, which is this item's alone.
        let to = unsafe { packed.slice(side.offset(panel), width * side.taps * LANES) };
        let mut rows = to.chunks_exact_mut(LANES);
        let inputs = (side.outputs - panel * LANES).min(LANES);
        for tap in backward_taps(conv) {
            if conv.groups == 1 {
                for (o, row) in (0..width).zip(&mut rows) {
                    let from = &weight[(o * side.outputs + panel * LANES) * side.taps + tap..];
                    let (row, none) = row.split_at_mut(inputs);
                    if side.taps == 1 {
                        row.copy_from_slice(&from[..inputs]);
                    } else {
                        row.iter_mut().zip(from.iter().step_by(side.taps)).for_each(|(to, from)| *to = *from);
                    }
                    none.fill(0.0);
                }
                continue;
            }
            for (o, row) in (first..first + width).zip(&mut rows) {
                for (lane, value) in row.iter_mut().enumerate() {
                    let i = panel * LANES + lane;
                    let from = (i < side.outputs).then(|| place(conv, o, i)).flatten();
                    *value = from.map_or(0.0, |from| weight[from + tap]);
                }
            }
        }
    });
}

/// The kernel's taps in the order of the backward windows.
fn backward_taps(conv: &Conv) -> impl Iterator<Item = usize> {
    let across = conv.kernel[1];
    Window::backward(conv).flat_map(move |window| {
        let [y, x] = window.axes;
        (0..window.taps()).map(move |tap| {
            let [tap_y, tap_x] = [tap / x.count, tap % x.count];
            (y.first + tap_y * y.step) * across + x.first + tap_x * x.step
        })
    })
}
