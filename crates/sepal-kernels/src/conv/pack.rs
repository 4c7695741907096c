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
        for tap in backward_taps(conv) {
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
