//! The two halves of the way from Inception to separable convolutions. Chollet 2017, arXiv:1610.02357, §1.1.

use std::collections::BTreeMap;

use super::channels_in;
use super::surgery::{Rewriter, rewrite};
use crate::{Conv2d, Model, NodeId, Op, Result, Slice, Tensor};

/// Makes the pointwise convolutions that read one value (of the same stride) a single one whose filters are theirs
/// one after the other; each branch goes on with its segment of the channels. Figures 2 and 3 of the paper: the
/// simplified Inception block becomes a 1×1 convolution, a split, and the branches. A convolution without bias
/// gets one of zeros where another has one.
///
/// # Errors
/// The model is not valid.
pub fn stack_pointwise(model: &Model) -> Result<Model> {
    let mut groups: BTreeMap<(NodeId, [usize; 2]), Vec<NodeId>> = BTreeMap::new();
    for (id, node) in model.graph.iter() {
        match &node.op {
            Op::Conv2d(conv) if conv.is_pointwise() => {
                groups.entry((node.inputs[0], conv.stride)).or_default().push(id)
            }
            _ => {}
        }
    }
    groups.retain(|_, members| members.len() > 1);
    let shapes = model.graph.shapes()?;
    // The stacked convolution of a group, and how many of its channels are taken.
    let mut stacked: BTreeMap<(NodeId, [usize; 2]), (NodeId, usize)> = BTreeMap::new();
    rewrite(model, |rewriter, _, node| {
        let Op::Conv2d(conv) = &node.op else { return Ok(None) };
        let key = match node.inputs.first() {
            Some(&input) if conv.is_pointwise() => (input, conv.stride),
            _ => return Ok(None),
        };
        let Some(members) = groups.get(&key) else { return Ok(None) };
        let (stack, start) = match stacked.get(&key) {
            Some(&found) => found,
            None => (stack(rewriter, members, channels_in(node, &shapes))?, 0),
        };
        let end = start + conv.out_channels;
        stacked.insert(key, (stack, end));
        Ok(Some(rewriter.add(&node.path, Slice::channels(start, end), &[stack], Vec::new())))
    })
}

fn stack(rewriter: &mut Rewriter<'_>, members: &[NodeId], channels: usize) -> Result<NodeId> {
    let (mut weight, mut bias, mut paths) = (Vec::new(), Vec::new(), Vec::new());
    let mut has_bias = false;
    let mut stride = [1, 1];
    for &id in members {
        let node = rewriter.old(id);
        let Op::Conv2d(conv) = &node.op else { continue };
        weight.extend_from_slice(rewriter.tensor(node, "weight")?.data());
        match conv.bias {
            true => bias.extend_from_slice(rewriter.tensor(node, "bias")?.data()),
            false => bias.resize(bias.len() + conv.out_channels, 0.0),
        }
        has_bias |= conv.bias;
        stride = conv.stride;
        paths.push(node.path.as_str());
    }
    let filters = bias.len();
    let conv = Conv2d { stride, bias: has_bias, ..Conv2d::pointwise(filters) };
    let mut tensors = vec![("weight", Tensor::new(vec![filters, channels, 1, 1], weight)?)];
    if has_bias {
        tensors.push(("bias", Tensor::new(vec![filters], bias)?));
    }
    let input = rewriter.new_id(rewriter.old(members[0]).inputs[0]);
    let path = rewriter.path(&paths, "pointwise");
    Ok(rewriter.add(&path, conv, &[input], tensors))
}

/// Makes K equal convolutions on the K equal segments of a value's channels, whose outputs are concatenated in
/// order, one grouped convolution of K groups. K = 1 is the standard convolution, K = the number of channels the
/// depthwise one: the "extreme" Inception block, figure 4 of the paper.
///
/// # Errors
/// The model is not valid.
pub fn group_branches(model: &Model) -> Result<Model> {
    let shapes = model.graph.shapes()?;
    rewrite(model, |rewriter, _, node| {
        let Op::Concat(concat) = &node.op else { return Ok(None) };
        if concat.axis != 0 {
            return Ok(None);
        }
        let Some((source, conv)) = equal_branches(rewriter, node.inputs.as_slice(), &shapes) else { return Ok(None) };
        let groups = node.inputs.len();
        let (mut weight, mut bias, mut paths) = (Vec::new(), Vec::new(), Vec::new());
        for &branch in &node.inputs {
            let branch = rewriter.old(branch);
            weight.extend_from_slice(rewriter.tensor(branch, "weight")?.data());
            if conv.bias {
                bias.extend_from_slice(rewriter.tensor(branch, "bias")?.data());
            }
            paths.push(branch.path.as_str());
        }
        let out_channels = conv.out_channels * groups;
        let depth = shapes[source.index()].channels() / groups;
        let shape = vec![out_channels, depth, conv.kernel[0], conv.kernel[1]];
        let mut tensors = vec![("weight", Tensor::new(shape, weight)?)];
        if conv.bias {
            tensors.push(("bias", Tensor::new(vec![out_channels], bias)?));
        }
        let path = rewriter.path(&paths, "grouped");
        let input = rewriter.new_id(source);
        Ok(Some(rewriter.add(&path, Conv2d { out_channels, groups, ..conv }, &[input], tensors)))
    })
}

/// The value of whose channels the branches take equal segments in order, and the convolution that each is.
fn equal_branches(rewriter: &Rewriter<'_>, branches: &[NodeId], shapes: &[crate::Shape]) -> Option<(NodeId, Conv2d)> {
    let mut found: Option<(NodeId, Conv2d)> = None;
    for (index, &branch) in branches.iter().enumerate() {
        let node = rewriter.old(branch);
        let Op::Conv2d(conv) = &node.op else { return None };
        let segment = rewriter.old(node.inputs[0]);
        let (source, start, end) = match &segment.op {
            Op::Slice(Slice { axis: 0, start, end, step: 1 }) => (segment.inputs[0], *start, *end),
            _ => (node.inputs[0], 0, shapes[node.inputs[0].index()].channels()),
        };
        let depth = shapes[source.index()].channels() / branches.len();
        let in_order = depth * branches.len() == shapes[source.index()].channels()
            && (start, end) == (index * depth, (index + 1) * depth);
        let equal = found.as_ref().is_none_or(|found| *found == (source, conv.clone()));
        if conv.groups != 1 || !in_order || !equal || !rewriter.is_read_once(branch) {
            return None;
        }
        found = Some((source, conv.clone()));
    }
    found
}

/// Makes every grouped (and depthwise) convolution the standard one that it is, with zeros where a filter does not
/// see a channel.
///
/// # Errors
/// The model is not valid.
pub fn grouped_to_standard(model: &Model) -> Result<Model> {
    let shapes = model.graph.shapes()?;
    rewrite(model, |rewriter, _, node| {
        let Op::Conv2d(conv) = &node.op else { return Ok(None) };
        if conv.groups == 1 {
            return Ok(None);
        }
        let channels = channels_in(node, &shapes);
        let [kh, kw] = conv.kernel;
        let grouped = rewriter.tensor(node, "weight")?;
        let depth = channels / conv.groups;
        let mut weight = Tensor::full(vec![conv.out_channels, channels, kh, kw], 0.0)?;
        let filter = depth * kh * kw;
        for (o, values) in grouped.data().chunks_exact(filter).enumerate() {
            let first = o / (conv.out_channels / conv.groups) * depth;
            weight.data_mut()[(o * channels + first) * kh * kw..][..filter].copy_from_slice(values);
        }
        let mut tensors = vec![("weight", weight)];
        if conv.bias {
            tensors.push(("bias", rewriter.tensor(node, "bias")?.clone()));
        }
        let input = rewriter.new_id(node.inputs[0]);
        Ok(Some(rewriter.add(&node.path, Conv2d { groups: 1, ..conv.clone() }, &[input], tensors)))
    })
}
