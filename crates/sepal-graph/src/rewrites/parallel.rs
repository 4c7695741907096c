//! Convolutions side by side whose outputs are added are one.

use super::channels_in;
use super::surgery::{Rewriter, rewrite, to_the_end};
use crate::{Conv2d, Model, Node, NodeId, Op, Result, Tensor};

/// Makes convolutions of one value whose outputs are added one convolution of the largest kernel, which holds the
/// others around its centre: the pyramid of depthwise convolutions (Hoang & Jo 2019, arXiv:1811.07083, figure 1) is
/// a single depthwise one, at any stride.
///
/// The convolutions need the same stride, groups and number of filters, no dilation, and paddings such that the
/// smaller kernel lies inside the larger one.
///
/// # Errors
/// The model is not valid.
pub fn merge_parallel(model: &Model) -> Result<Model> {
    to_the_end(model, |model| {
        let shapes = model.graph.shapes()?;
        rewrite(model, |rewriter, _, node| {
            let Op::Add(_) = node.op else { return Ok(None) };
            let (Some(a), Some(b)) = (branch(rewriter, node, 0), branch(rewriter, node, 1)) else { return Ok(None) };
            let Some((large, small, offset)) = inside(a, b) else { return Ok(None) };
            let channels = channels_in(large.node, &shapes);
            let (weight, bias) = sum(rewriter, &large, &small, offset, channels / large.conv.groups)?;
            let name = if large.conv.is_depthwise(channels) { "depthwise" } else { "conv" };
            let path = rewriter.path(&[&large.node.path, &small.node.path], name);
            let conv = Conv2d { bias: bias.is_some(), ..large.conv.clone() };
            let input = rewriter.new_id(large.input);
            let mut tensors = vec![("weight", weight)];
            tensors.extend(bias.map(|bias| ("bias", bias)));
            Ok(Some(rewriter.add(&path, conv, &[input], tensors)))
        })
    })
}

#[derive(Clone, Copy)]
struct Branch<'a> {
    node: &'a Node,
    conv: &'a Conv2d,
    input: NodeId,
}

/// An addend that is a convolution and read by the sum alone.
fn branch<'a>(rewriter: &Rewriter<'a>, sum: &Node, which: usize) -> Option<Branch<'a>> {
    let id = *sum.inputs.get(which)?;
    let node = rewriter.old(id);
    match &node.op {
        Op::Conv2d(conv) if rewriter.is_read_once(id) => Some(Branch { node, conv, input: node.inputs[0] }),
        _ => None,
    }
}

/// The branch with the larger kernel, the other, and where the other's first tap lies in the larger kernel.
fn inside<'a>(a: Branch<'a>, b: Branch<'a>) -> Option<(Branch<'a>, Branch<'a>, [usize; 2])> {
    let like = |conv: &Conv2d| (conv.stride, conv.groups, conv.out_channels);
    if a.input != b.input || like(a.conv) != like(b.conv) || [a, b].iter().any(|x| x.conv.dilation != [1, 1]) {
        return None;
    }
    let offset = |large: &Conv2d, small: &Conv2d, i: usize| {
        let offset = large.padding[i].checked_sub(small.padding[i])?;
        (offset + small.kernel[i] <= large.kernel[i]).then_some(offset)
    };
    let fit = |large: Branch<'a>, small: Branch<'a>| {
        let offset = [offset(large.conv, small.conv, 0)?, offset(large.conv, small.conv, 1)?];
        Some((large, small, offset))
    };
    fit(a, b).or_else(|| fit(b, a))
}

/// Weight and bias of the sum; `depth` is the number of channels that a filter sees.
fn sum(
    rewriter: &Rewriter<'_>,
    large: &Branch<'_>,
    small: &Branch<'_>,
    [top, left]: [usize; 2],
    depth: usize,
) -> Result<(Tensor, Option<Tensor>)> {
    let mut weight = rewriter.tensor(large.node, "weight")?.clone();
    let added = rewriter.tensor(small.node, "weight")?;
    let ([kh, kw], [sh, sw]) = (large.conv.kernel, small.conv.kernel);
    for filter in 0..large.conv.out_channels * depth {
        for y in 0..sh {
            for x in 0..sw {
                weight.data_mut()[(filter * kh + y + top) * kw + x + left] += added.data()[(filter * sh + y) * sw + x];
            }
        }
    }
    let mut bias: Option<Tensor> = None;
    for branch in [large, small].into_iter().filter(|branch| branch.conv.bias) {
        let tensor = rewriter.tensor(branch.node, "bias")?;
        match &mut bias {
            Some(bias) => bias.data_mut().iter_mut().zip(tensor.data()).for_each(|(sum, value)| *sum += value),
            None => bias = Some(tensor.clone()),
        }
    }
    Ok((weight, bias))
}
