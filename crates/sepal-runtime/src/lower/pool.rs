//! Pools.

use sepal_graph::{AvgPool, MaxPool};
use sepal_kernels::pooling::{self, Pool};

use super::Lowering;
use crate::ir::{Kind, ValueId};
use crate::view::View;

pub(super) fn max(lowering: &mut Lowering<'_>, op: &MaxPool) -> ValueId {
    pool(lowering, pooling::Kind::Max, op.kernel, op.stride, op.padding)
}

pub(super) fn average(lowering: &mut Lowering<'_>, op: &AvgPool) -> ValueId {
    let kind = pooling::Kind::Average { count_include_pad: op.count_include_pad };
    pool(lowering, kind, op.kernel, op.stride, op.padding)
}

fn pool(
    lowering: &mut Lowering<'_>,
    kind: pooling::Kind,
    kernel: [usize; 2],
    stride: [usize; 2],
    [top, left, bottom, right]: [usize; 4],
) -> ValueId {
    let x = lowering.natural(lowering.input());
    let view = View::natural(lowering.output.clone());
    let (input, output) = (lowering.view(x).dims(), view.dims());
    let pool = Pool { kind, input, output, kernel, stride, padding: [top, left], padding_end: [bottom, right] };
    lowering.step(Kind::Pool(pool), vec![x], view)
}
