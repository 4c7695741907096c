//! Pools.

use sepal_graph::{AvgPool, MaxPool};

use crate::ir::{Kind, Window};

pub(super) fn max(op: &MaxPool) -> Kind {
    let [top, left, _, _] = op.padding;
    Kind::MaxPool(Window { kernel: op.kernel, stride: op.stride, padding: [top, left], count_include_pad: false })
}

pub(super) fn average(op: &AvgPool) -> Kind {
    let [top, left, _, _] = op.padding;
    let count_include_pad = op.count_include_pad;
    Kind::AveragePool(Window { kernel: op.kernel, stride: op.stride, padding: [top, left], count_include_pad })
}
