//! Pools.

use sepal_graph::{AvgPool, MaxPool};
use sepal_kernels::Dims;
use sepal_kernels::pooling::{self, Pool};

use super::Lowering;
use crate::ir::Kind;

pub(super) fn max(lowering: &Lowering<'_>, op: &MaxPool) -> Kind {
    pool(lowering, pooling::Kind::Max, op.kernel, op.stride, op.padding)
}

pub(super) fn average(lowering: &Lowering<'_>, op: &AvgPool) -> Kind {
    let kind = pooling::Kind::Average { count_include_pad: op.count_include_pad };
    pool(lowering, kind, op.kernel, op.stride, op.padding)
}

fn pool(
    lowering: &Lowering<'_>,
    kind: pooling::Kind,
    kernel: [usize; 2],
    stride: [usize; 2],
    [top, left, bottom, right]: [usize; 4],
) -> Kind {
    let channels = lowering.input.channels();
    let [input, output] = [lowering.input, lowering.output].map(|shape| {
        let [h, w] = shape.size();
        Dims::new(1, channels, h, w)
    });
    Kind::Pool(Pool { kind, input, output, kernel, stride, padding: [top, left], padding_end: [bottom, right] })
}
