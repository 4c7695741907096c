//! Two convolutions in a row, with nothing between them, are one.

use super::channels_in;
use super::surgery::{Rewriter, rewrite, to_the_end};
use crate::{Conv2d, Model, Node, Op, Result, Tensor};

/// Makes every blueprint separable convolution (BSConv-U: pointwise, then depthwise k×k) the standard convolution
/// that it is: the kernels of filter n are `F_m = w_{n,m}·B_n`. Haase & Amthor 2020, arXiv:2003.13549, equation 2.
///
/// A pointwise bias is merged where the depthwise convolution has no padding; elsewhere the pair stays, because
/// the padding has no bias.
///
/// # Errors
/// The model is not valid.
pub fn blueprint_to_standard(model: &Model) -> Result<Model> {
    merge(model, "conv", |first, second| {
        first.is_unstrided_pointwise() && second.is_depthwise() && !second.is_pointwise()
    })
}

/// Makes two pointwise convolutions in a row one, whose matrix is their product: BSConv-S becomes BSConv-U. Haase &
/// Amthor 2020, arXiv:2003.13549, §3.2.
///
/// # Errors
/// The model is not valid.
pub fn merge_pointwise(model: &Model) -> Result<Model> {
    to_the_end(model, |model| {
        merge(model, "pointwise", |first, second| first.is_unstrided_pointwise() && second.is_pointwise())
    })
}

/// Makes every depthwise separable convolution without norm or activation between its halves the standard
/// convolution that it is: the kernels of filter n are `F_m = w_{n,m}·K_m`.
///
/// # Errors
/// The model is not valid.
pub fn separable_to_standard(model: &Model) -> Result<Model> {
    merge(model, "conv", |first, second| first.is_depthwise() && !first.is_pointwise() && second.is_pointwise())
}

/// A convolution and the number of its input channels.
struct Half<'a> {
    node: &'a Node,
    conv: &'a Conv2d,
    channels: usize,
}

impl Half<'_> {
    fn is_pointwise(&self) -> bool {
        self.conv.is_pointwise()
    }

    fn is_unstrided_pointwise(&self) -> bool {
        self.conv.is_pointwise() && self.conv.stride == [1, 1]
    }

    fn is_depthwise(&self) -> bool {
        self.conv.is_depthwise(self.channels)
    }
}

fn merge(model: &Model, name: &str, fits: impl Fn(&Half<'_>, &Half<'_>) -> bool) -> Result<Model> {
    let shapes = model.graph.shapes()?;
    rewrite(model, |rewriter, _, node| {
        let Op::Conv2d(second) = &node.op else { return Ok(None) };
        let Some((_, before)) = rewriter.only_reader_of(node) else { return Ok(None) };
        let Op::Conv2d(first) = &before.op else { return Ok(None) };
        let first = Half { node: before, conv: first, channels: channels_in(before, &shapes) };
        let second = Half { node, conv: second, channels: channels_in(node, &shapes) };
        let bias_in_padding = first.conv.bias && second.conv.padding != [0; 4];
        if bias_in_padding || !fits(&first, &second) {
            return Ok(None);
        }
        let (weight, bias) = product(rewriter, &first, &second)?;
        let (kernel, dilation, padding) = match second.is_pointwise() {
            true => (first.conv.kernel, first.conv.dilation, first.conv.padding),
            false => (second.conv.kernel, second.conv.dilation, second.conv.padding),
        };
        let stride = [0, 1].map(|i| first.conv.stride[i] * second.conv.stride[i]);
        let out_channels = second.conv.out_channels;
        let conv = Conv2d { out_channels, kernel, stride, padding, dilation, groups: 1, bias: bias.is_some() };
        let path = rewriter.path(&[&first.node.path, &node.path], name);
        let input = rewriter.new_id(before.inputs[0]);
        let tensors = [("weight", Some(weight)), ("bias", bias)];
        let tensors = tensors.into_iter().filter_map(|(name, tensor)| Some((name, tensor?))).collect();
        Ok(Some(rewriter.add(&path, conv, &[input], tensors)))
    })
}

/// Weight and bias of the standard convolution that two are, one of them pointwise; summed in f64.
fn product(rewriter: &Rewriter<'_>, first: &Half<'_>, second: &Half<'_>) -> Result<(Tensor, Option<Tensor>)> {
    let (outputs, middle, inputs) = (second.conv.out_channels, first.conv.out_channels, first.channels);
    let [w1, w2] = [rewriter.tensor(first.node, "weight")?, rewriter.tensor(second.node, "weight")?];
    let area = |half: &Half<'_>| half.conv.kernel[0] * half.conv.kernel[1];
    let (area1, area2) = (area(first), area(second));
    let taps = area1.max(area2);
    let mut sums = vec![0.0; outputs * inputs * taps];
    let mut bias = vec![0.0; outputs];
    if second.conv.bias {
        let b2 = rewriter.tensor(second.node, "bias")?;
        bias.iter_mut().zip(b2.data()).for_each(|(bias, &value)| *bias = f64::from(value));
    }
    let b1 = if first.conv.bias { Some(rewriter.tensor(first.node, "bias")?) } else { None };
    let (in1, in2) = (inputs / first.conv.groups, middle / second.conv.groups);
    let out1 = middle / first.conv.groups;
    for o in 0..outputs {
        let first_of_group = o / (outputs / second.conv.groups) * in2;
        for j in 0..in2 {
            let mid = first_of_group + j;
            let kernel2 = &w2.data()[(o * in2 + j) * area2..][..area2];
            if let Some(b1) = b1 {
                let total: f64 = kernel2.iter().map(|&w| f64::from(w)).sum();
                bias[o] += total * f64::from(b1.data()[mid]);
            }
            for i in 0..in1 {
                let input = mid / out1 * in1 + i;
                let kernel1 = &w1.data()[(mid * in1 + i) * area1..][..area1];
                let to = &mut sums[(o * inputs + input) * taps..][..taps];
                // One of the kernels is a single value.
                for (tap, to) in to.iter_mut().enumerate() {
                    let value = |kernel: &[f32]| f64::from(kernel[if kernel.len() == 1 { 0 } else { tap }]);
                    *to += value(kernel1) * value(kernel2);
                }
            }
        }
    }
    let round = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect::<Vec<f32>>();
    let kernel = if second.is_pointwise() { first.conv.kernel } else { second.conv.kernel };
    let weight = Tensor::new(vec![outputs, inputs, kernel[0], kernel[1]], round(sums))?;
    let has_bias = first.conv.bias || second.conv.bias;
    let bias = if has_bias { Some(Tensor::new(vec![outputs], round(bias))?) } else { None };
    Ok((weight, bias))
}
