//! Convolutions, transposed ones, and linear layers.

use sepal_graph::{Conv2d, ConvTranspose2d, Linear};
use sepal_kernels::{Conv, Dims};

use super::Lowering;
use crate::error::Result;
use crate::ir::{Act, Apply, Filters, Kind, Transposed, ValueId};
use crate::view::View;

pub(super) fn conv2d(lowering: &mut Lowering<'_>, op: &Conv2d) -> Result<ValueId> {
    let x = lowering.natural(lowering.input());
    let view = View::natural(lowering.output.clone());
    let [top, left, _, _] = op.padding;
    let conv = Conv {
        input: lowering.view(x).dims(),
        output: view.dims(),
        kernel: op.kernel,
        stride: op.stride,
        padding: [top, left],
        dilation: op.dilation,
        groups: op.groups,
    };
    filters(lowering, x, view, conv, op.bias)
}

/// A pointwise convolution of the last dimension.
pub(super) fn linear(lowering: &mut Lowering<'_>, op: &Linear) -> Result<ValueId> {
    let input = lowering.input();
    let last = lowering.view(input).shape.rank() - 1;
    let x = lowering.led_by(input, last);
    let view = lowering.view(x);
    let conv = Conv::pointwise(view.dims(), op.out_features);
    let view = View { shape: lowering.output.clone(), order: view.order.clone() };
    filters(lowering, x, view, conv, op.bias)
}

fn filters(lowering: &mut Lowering<'_>, x: ValueId, view: View, conv: Conv, bias: bool) -> Result<ValueId> {
    let bias = if bias { Some(lowering.param("bias")?) } else { None };
    let weight = lowering.param("weight")?;
    let (source, act) = (Apply::default(), Act::default());
    let filters = Filters { conv, weight, scale: None, bias, source, gate: false, add: false, act };
    Ok(lowering.step(Kind::Conv(filters), vec![x], view))
}

pub(super) fn transposed(lowering: &mut Lowering<'_>, op: &ConvTranspose2d) -> Result<ValueId> {
    let x = lowering.natural(lowering.input());
    let view = View::natural(lowering.output.clone());
    let conv = transposed_conv(op, view.dims(), lowering.view(x).dims());
    let bias = if op.bias { Some(lowering.param("bias")?) } else { None };
    let weight = lowering.param("weight")?;
    Ok(lowering.step(Kind::Transposed(Transposed { conv, weight, bias }), vec![x], view))
}

/// The convolution whose transpose makes maps of `output` from maps of `input`: from the former to the latter.
fn transposed_conv(op: &ConvTranspose2d, output: Dims, input: Dims) -> Conv {
    let [top, left, _, _] = op.padding;
    Conv {
        input: output,
        output: input,
        kernel: op.kernel,
        stride: op.stride,
        padding: [top, left],
        dilation: op.dilation,
        groups: op.groups,
    }
}
