//! Operators that move values without computing, and those along an axis.

use std::rc::Rc;

use sepal_graph::{Concat, Flatten, GlobalAvgPool, Mean, NodeId, Op, Reshape, Slice, Softmax, Transpose};

use super::super::fold::bound;
use super::super::node::{axis, image_axis};
use super::super::{Constant, Fail, Importer, Origin, Res, Value};
use crate::onnx::array::{Array, Int, elements};
use crate::onnx::proto::NodeProto;

impl<'a> Importer<'a> {
    /// A value under other dimensions.
    fn reshaped(&mut self, node: &'a NodeProto, x: NodeId, dims: Vec<usize>) -> Res<NodeId> {
        let made = self.built.get(x)?;
        if made.shape.dims() == dims {
            return Ok(x);
        }
        if dims.is_empty() {
            return Err(Fail::wrong("leaves one number per image without a dimension of its own"));
        }
        if let (Op::GlobalAvgPool(GlobalAvgPool { keep_dims: true }), [x], 1) =
            (&made.op, made.inputs.as_slice(), dims.len())
        {
            let x = *x;
            return self.add(node, GlobalAvgPool { keep_dims: false }, &[x], Vec::new());
        }
        if let (Op::Mean(mean), [x], "Reshape", [1]) = (&made.op, made.inputs.as_slice(), node.op(), dims.as_slice()) {
            // A mean over everything, which the file can only hold in two steps.
            let (mean, x) = (Mean { keep_dims: false, ..mean.clone() }, *x);
            return self.add(node, mean, &[x], Vec::new());
        }
        if dims.len() == 1 && made.shape.elements() == dims[0] {
            return self.add(node, Flatten {}, &[x], Vec::new());
        }
        self.add(node, Reshape { shape: dims.into_iter().map(|size| size as i64).collect() }, &[x], Vec::new())
    }

    pub(super) fn flatten(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let dims = self.dims(x)?;
        let at = node.int("axis").unwrap_or(1);
        let at = if at < 0 { at.saturating_add(dims.len() as i64 + 1) } else { at };
        let before = usize::try_from(at).ok().and_then(|at| at.checked_sub(1)).and_then(|at| dims.get(..at));
        match before {
            Some(before) if before.iter().product::<usize>() == 1 => {
                let all = dims.iter().product();
                self.reshaped(node, x, vec![all])
            }
            _ => Err(Fail::wrong(format!("flattens from axis {at} on, and so joins the batch with what it holds"))),
        }
    }

    pub(super) fn reshape(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let old = self.dims(x)?;
        let target: Vec<Int> = match node.ints("shape") {
            Some(list) if node.given(1).is_none() => list.iter().map(|&v| Int::Known(v)).collect(),
            _ => {
                let constant = self.weight(node, 1, "shape")?;
                let array = self.array(&constant)?;
                array.as_ints().ok_or_else(|| Fail::wrong("its shape is not of whole numbers"))?.to_vec()
            }
        };
        let copies = node.int("allowzero").unwrap_or(0) == 0;
        let dims = self.image_target(&old, &target, copies)?;
        self.reshaped(node, x, dims)
    }

    /// The dimensions of an image that a reshape's target gives, whose first entry must be the batch.
    fn image_target(&self, old: &[usize], target: &[Int], copies: bool) -> Res<Vec<usize>> {
        let show: Vec<String> = (target.iter())
            .map(|v| match v {
                Int::Known(v) => v.to_string(),
                Int::Batch => "N".to_owned(),
            })
            .collect();
        let wrong = |why: &str| Fail::wrong(format!("reshapes N×{old:?} to [{}], which {why}", show.join(", ")));
        let (first, rest) = target.split_first().ok_or_else(|| wrong("has no dimensions"))?;
        let all = elements(old).ok_or_else(|| wrong("is too large"))?;
        let mut dims = Vec::with_capacity(rest.len());
        let mut open = None;
        for (i, size) in rest.iter().enumerate() {
            dims.push(match size {
                Int::Known(0) if copies => old.get(i).copied().ok_or_else(|| wrong("copies a dimension beyond"))?,
                Int::Known(-1) if open.replace(i).is_none() => 1,
                Int::Known(size) => usize::try_from(*size).map_err(|_| wrong("is no shape"))?,
                Int::Batch => return Err(wrong("moves the batch from its place")),
            });
        }
        let known = elements(&dims).filter(|&n| n > 0).ok_or_else(|| wrong("is no shape"))?;
        let batch = match first {
            Int::Batch => true,
            Int::Known(0) => copies,
            Int::Known(-1) => open.is_none() && known == all,
            Int::Known(n) => self.batch == Some(*n),
        };
        if !batch {
            return Err(wrong("mixes images or fixes their number"));
        }
        if let Some(i) = open {
            if !all.is_multiple_of(known) {
                return Err(wrong("has another number of values"));
            }
            dims[i] = all / known;
        } else if known != all {
            return Err(wrong("has another number of values"));
        }
        Ok(dims)
    }

    /// Axes from an attribute or, later, an input.
    fn axes(&mut self, node: &'a NodeProto) -> Res<Option<Vec<i64>>> {
        match node.ints("axes") {
            Some(axes) => Ok(Some(axes.to_vec())),
            None => self.known_ints(node, 1, "axes"),
        }
    }

    pub(super) fn squeeze(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let dims = self.dims(x)?;
        let axes = match self.axes(node)? {
            Some(axes) => axes.iter().map(|&at| image_axis(at, dims.len())).collect::<Res<Vec<usize>>>()?,
            None => (0..dims.len()).filter(|&i| dims[i] == 1).collect(),
        };
        if let Some(&at) = axes.iter().find(|&&at| dims[at] != 1) {
            return Err(Fail::wrong(format!("drops axis {} of size {}", at + 1, dims[at])));
        }
        let kept = (0..dims.len()).filter(|i| !axes.contains(i)).map(|i| dims[i]).collect();
        self.reshaped(node, x, kept)
    }

    pub(super) fn unsqueeze(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let dims = self.dims(x)?;
        let axes = self.axes(node)?.ok_or_else(|| Fail::wrong("has no axes"))?;
        let rank = dims.len() + axes.len();
        let axes = axes.iter().map(|&at| image_axis(at, rank)).collect::<Res<Vec<usize>>>()?;
        let mut old = dims.iter().copied();
        let new = (0..rank).map(|i| if axes.contains(&i) { Some(1) } else { old.next() });
        let new = new.collect::<Option<Vec<usize>>>().ok_or_else(|| Fail::wrong("an axis is named twice"))?;
        self.reshaped(node, x, new)
    }

    pub(super) fn transpose(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let rank = self.dims(x)?.len();
        let order = node.ints("perm").map_or_else(|| (0..=rank as i64).rev().collect(), <[i64]>::to_vec);
        match order.split_first() {
            Some((0, rest)) => {
                let order = rest.iter().map(|&at| image_axis(at, rank)).collect::<Res<Vec<usize>>>()?;
                if order.iter().copied().eq(0..rank) {
                    return Ok(x);
                }
                self.add(node, Transpose { order }, &[x], Vec::new())
            }
            _ => Err(Fail::wrong(format!("its perm {order:?} moves the batch from its place"))),
        }
    }

    pub(super) fn concat(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let inputs = (0..node.input.len()).map(|i| self.input(node, i)).collect::<Res<Vec<NodeId>>>()?;
        let first = inputs.first().copied().ok_or_else(|| Fail::wrong("has no inputs"))?;
        let axis = image_axis(node.int("axis").unwrap_or(1), self.dims(first)?.len())?;
        if inputs.len() == 1 {
            return Ok(first);
        }
        self.add(node, Concat { axis }, &inputs, Vec::new())
    }

    pub(super) fn slice(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let mut x = self.input(node, 0)?;
        let rank = self.dims(x)?.len();
        let mut list = |i: usize, name: &str| match node.ints(name) {
            Some(list) => Ok(Some(list.to_vec())),
            None => self.known_ints(node, i, name),
        };
        let missing = |what: &str| Fail::wrong(format!("has no {what}"));
        let starts = list(1, "starts")?.ok_or_else(|| missing("starts"))?;
        let ends = list(2, "ends")?.ok_or_else(|| missing("ends"))?;
        let axes = list(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = list(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()].iter().any(|&n| n != starts.len()) {
            return Err(Fail::wrong("its starts, ends, axes and steps are of different lengths"));
        }
        for (((start, end), at), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
            if step < 1 {
                return Err(Fail::Missing("Slice with a step that is not positive".into()));
            }
            let at = axis(at, rank + 1)?;
            if at == 0 && start == 0 && step == 1 && end >= i64::from(i32::MAX) {
                continue;
            }
            let at = image_axis(at as i64, rank)?;
            let size = self.dims(x)?[at];
            let [start, end] = [start, end].map(|index| bound(index, size));
            if (start, end, step) != (0, size, 1) {
                let step = usize::try_from(step).unwrap_or(usize::MAX);
                x = self.add(node, Slice { axis: at, start, end, step }, &[x], Vec::new())?;
            }
        }
        Ok(x)
    }

    pub(super) fn split(&mut self, node: &'a NodeProto) -> Res<Vec<Value<'a>>> {
        let x = self.input(node, 0)?;
        let dims = self.dims(x)?;
        let at = image_axis(node.int("axis").unwrap_or(0), dims.len())?;
        let count = node.output.len();
        let parts = match node.ints("split") {
            Some(parts) => Some(parts.to_vec()),
            None => self.known_ints(node, 1, "split")?,
        };
        let parts = match parts {
            Some(parts) => parts.iter().map(|&n| usize::try_from(n).ok()).collect::<Option<Vec<usize>>>(),
            None => {
                // Equal parts, the last one smaller where they do not come out even.
                let part = dims[at].div_ceil(count.max(1));
                Some((0..count).map(|i| part.min(dims[at].saturating_sub(i * part))).collect())
            }
        };
        let parts = parts.filter(|parts| {
            let total = parts.iter().try_fold(0_usize, |total, &part| total.checked_add(part));
            parts.len() == count && total == Some(dims[at])
        });
        let parts = parts.ok_or_else(|| Fail::wrong(format!("its parts are not {count} that make {}", dims[at])))?;
        let mut values = Vec::with_capacity(count);
        let mut start = 0;
        for (part, name) in parts.into_iter().zip(&node.output) {
            let slice = Slice { axis: at, start, end: start + part, step: 1 };
            values.push(Value::Node(self.built.add(name, slice, &[x], Vec::new())?));
            start += part;
        }
        Ok(values)
    }

    /// One element of an axis, or a range of it.
    pub(super) fn gather(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let mut dims = self.dims(x)?;
        let at = image_axis(node.int("axis").unwrap_or(0), dims.len())?;
        let indices = self.weight(node, 1, "indices")?;
        let scalar = self.dims_of(&indices)?.is_empty();
        let list = self.known_ints(node, 1, "indices")?.unwrap_or_default();
        let list = list.iter().map(|&index| axis(index, dims[at])).collect::<Res<Vec<usize>>>()?;
        let (Some(&start), Some(&last)) = (list.first(), list.last()) else {
            return Err(Fail::wrong("takes nothing"));
        };
        let step = list.get(1).map_or(1, |second| second.saturating_sub(start).max(1));
        if !list.iter().copied().eq((start..=last).step_by(step)) || self.dims_of(&indices)?.len() > 1 {
            return Err(Fail::Missing("Gather of other than a range".into()));
        }
        let slice = Slice { axis: at, start, end: last + 1, step };
        let part = self.add(node, slice, &[x], Vec::new())?;
        if !scalar {
            return Ok(part);
        }
        dims.remove(at);
        self.reshaped(node, part, dims)
    }

    /// A constant repeated for every image.
    pub(super) fn expand(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let target = self.weight(node, 1, "shape")?;
        let target = self.array(&target)?;
        let wrong =
            || Fail::Missing("Expand of an activation, or to other than a shape that begins with the batch".into());
        let list = target.as_ints().ok_or_else(wrong)?;
        let known = |v: &Int| match v {
            Int::Known(v) => usize::try_from(*v).ok(),
            Int::Batch => None,
        };
        let (Some(Int::Batch), Some(rest)) =
            (list.first(), list.get(1..).and_then(|rest| rest.iter().map(known).collect::<Option<Vec<usize>>>()))
        else {
            return Err(wrong());
        };
        let Some(constant) = self.constant(node, 0) else {
            let x = self.input(node, 0)?;
            let same = self.dims(x)?.iter().zip(&rest).all(|(&have, &want)| want == 1 || want == have);
            return if same && self.dims(x)?.len() == rest.len() { Ok(x) } else { Err(wrong()) };
        };
        let mut dims = self.dims_of(&constant)?;
        if dims.len() == rest.len() + 1 && dims.first() == Some(&1) {
            dims.remove(0);
        }
        let joint = super::super::fold::joint(&dims, &rest)?;
        if joint == dims {
            return self.constant_node(&constant, dims);
        }
        let array = self.array(&constant)?;
        let flat = Array { dims, data: array.data.clone() };
        let repeated = super::super::fold::repeat(&flat, &joint)?;
        self.spend(repeated.len())?;
        let constant = Constant { label: constant.label, from: Origin::Array(Rc::new(repeated)) };
        self.constant_node(&constant, joint)
    }

    pub(super) fn softmax(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let dims = self.dims(x)?;
        let old = self.opset < 13;
        let at = image_axis(node.int("axis").unwrap_or(if old { 1 } else { -1 }), dims.len())?;
        // Before opset 13 all dimensions from the axis on were one.
        if old && dims[at + 1..].iter().any(|&size| size != 1) {
            return Err(Fail::Missing("Softmax over several dimensions".into()));
        }
        self.add(node, Softmax { axis: at }, &[x], Vec::new())
    }

    pub(super) fn reduce_mean(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let rank = self.dims(x)?.len();
        let axes = self.axes(node)?.unwrap_or_default();
        if axes.is_empty() {
            if node.int("noop_with_empty_axes").unwrap_or(0) != 0 {
                return Ok(x);
            }
            return Err(Fail::wrong("takes the mean over all images"));
        }
        let mut axes = axes.iter().map(|&at| image_axis(at, rank)).collect::<Res<Vec<usize>>>()?;
        axes.sort_unstable();
        let keep_dims = node.int("keepdims").unwrap_or(1) != 0;
        if !keep_dims && axes.len() == rank {
            return Err(Fail::wrong("leaves one number per image without a dimension of its own"));
        }
        self.add(node, Mean { axes, keep_dims }, &[x], Vec::new())
    }

    /// Channels as blocks of pixels.
    pub(super) fn depth_to_space(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let (block, [channels, h, w]) = self.blocks(node, x)?;
        let rest = channels / (block * block);
        if rest == 0 || !channels.is_multiple_of(block * block) {
            return Err(Fail::wrong(format!("cannot make blocks of {block}×{block} from {channels} channels")));
        }
        let (split, order) = match node.word("mode") {
            None | Some("DCR") => (vec![block, block, rest, h, w], vec![2, 3, 0, 4, 1]),
            Some("CRD") => (vec![rest, block, block, h, w], vec![0, 3, 1, 4, 2]),
            Some(other) => return Err(Fail::wrong(format!("its mode {other} is not known"))),
        };
        let x = self.reshaped(node, x, split)?;
        let x = self.add(node, Transpose { order }, &[x], Vec::new())?;
        self.reshaped(node, x, vec![rest, h * block, w * block])
    }

    /// Blocks of pixels as channels.
    pub(super) fn space_to_depth(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let (block, [channels, h, w]) = self.blocks(node, x)?;
        if !h.is_multiple_of(block) || !w.is_multiple_of(block) {
            return Err(Fail::wrong(format!("cannot make blocks of {block}×{block} from {h}×{w} pixels")));
        }
        let x = self.reshaped(node, x, vec![channels, h / block, block, w / block, block])?;
        let x = self.add(node, Transpose { order: vec![2, 4, 0, 1, 3] }, &[x], Vec::new())?;
        self.reshaped(node, x, vec![channels * block * block, h / block, w / block])
    }

    fn blocks(&self, node: &NodeProto, x: NodeId) -> Res<(usize, [usize; 3])> {
        let block = node.int("blocksize").and_then(|n| usize::try_from(n).ok());
        let block = block.filter(|n| (1..=1 << 10).contains(n)).ok_or_else(|| Fail::wrong("has no blocksize"))?;
        let shape = self.built.shape(x)?;
        let map =
            shape.as_chw().ok_or_else(|| Fail::wrong(format!("reads a value of {shape}; maps C×H×W are read")))?;
        Ok((block, map))
    }
}
