//! Convolutions and linear layers.

use sepal_graph::{Conv2d, Linear};
use sepal_kernels::{Conv, Dims};

use super::Lowering;
use crate::error::Result;
use crate::ir::{Act, Filters, Kind};

pub(super) fn conv2d(lowering: &mut Lowering<'_>, op: &Conv2d) -> Result<Kind> {
    let dims = |channels, [h, w]: [usize; 2]| Dims::new(1, channels, h, w);
    let [top, left, _, _] = op.padding;
    let conv = Conv {
        input: dims(lowering.input.channels(), lowering.input.size()),
        output: dims(op.out_channels, lowering.output.size()),
        kernel: op.kernel,
        stride: op.stride,
        padding: [top, left],
        dilation: op.dilation,
        groups: op.groups,
    };
    filters(lowering, conv, op.bias)
}

/// A pointwise convolution of one pixel.
pub(super) fn linear(lowering: &mut Lowering<'_>, op: &Linear) -> Result<Kind> {
    let input = Dims::new(1, lowering.input.elements(), 1, 1);
    filters(lowering, Conv::pointwise(input, op.out_features), op.bias)
}

fn filters(lowering: &mut Lowering<'_>, conv: Conv, bias: bool) -> Result<Kind> {
    let bias = if bias { Some(lowering.param("bias")?) } else { None };
    let weight = lowering.param("weight")?;
    Ok(Kind::Conv(Filters { conv, weight, bias, add: false, act: Act::default() }))
}
