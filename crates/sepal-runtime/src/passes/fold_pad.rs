//! Zeros around a map are the padding of the convolution or average that reads it.
//!
//! Paddings that nothing reads any more are left for [`drop_dead`](super::drop_dead).

use sepal_kernels::Dims;
use sepal_kernels::arrange::Taps;
use sepal_kernels::pooling;

use crate::ir::{Kind, Program};

pub(super) fn run(program: &mut Program) {
    for index in 0..program.steps.len() {
        let step = &program.steps[index];
        let Kind::Resample(taps) = &step.kind else { continue };
        let Some([before, after]) = zeros(taps) else { continue };
        let (map, padded) = (step.inputs[0], step.output);
        let unpadded = |dims: Dims| Dims { h: taps.from()[0], w: taps.from()[1], ..dims };
        let input = unpadded(program.values[padded].dims());
        for step in &mut program.steps {
            if step.inputs.first() != Some(&padded) {
                continue;
            }
            if let Kind::Conv(filters) = &mut step.kind {
                filters.conv.input = input;
                filters.conv.padding = sum(filters.conv.padding, before);
            } else if let Kind::Pool(pool) = &mut step.kind
                && (pool.kind == pooling::Kind::Average { count_include_pad: true }
                    || (matches!(pool.kind, pooling::Kind::Average { .. })
                        && pool.padding == [0, 0]
                        && pool.padding_end == [0, 0]))
            {
                pool.kind = pooling::Kind::Average { count_include_pad: true };
                pool.input = input;
                (pool.padding, pool.padding_end) = (sum(pool.padding, before), sum(pool.padding_end, after));
            } else {
                continue;
            }
            step.inputs[0] = map;
        }
    }
}

fn sum(a: [usize; 2], b: [usize; 2]) -> [usize; 2] {
    [a[0] + b[0], a[1] + b[1]]
}

/// The zeros above and to the left of a map, and below and to the right, if nothing else is done to it.
fn zeros(taps: &Taps) -> Option<[[usize; 2]; 2]> {
    if taps.outside != 0.0 {
        return None;
    }
    let shifts = [taps.rows.shift()?, taps.columns.shift()?];
    let before = shifts.map(|shift| usize::try_from(-shift).ok());
    let before = [before[0]?, before[1]?];
    let after = |side: usize| taps.to()[side].checked_sub(taps.from()[side] + before[side]);
    Some([before, [after(0)?, after(1)?]])
}
