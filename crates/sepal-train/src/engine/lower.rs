//! From a node of the graph to what its unit computes.

use sepal_graph::{
    AvgPool, Concat, Conv2d, ConvTranspose2d, MaxPool, Node, NodeId, Op, Pad, PadMode, Role, Shape, Slice,
};
use sepal_kernels::arrange::{Channels, Gather, Taps};
use sepal_kernels::elementwise::Binary;
use sepal_kernels::pooling::{self, Pool};
use sepal_kernels::{Conv, Dims};
use sepal_runtime::taps;

use super::kind::Kind;
use super::plan::{Source, dims, takes_pixels};
use crate::error::{Error, Result};

/// A node, and the shapes it deals with.
struct Lowering<'a> {
    node: &'a Node,
    inputs: Vec<&'a Shape>,
    output: &'a Shape,
    batch: usize,
}

/// What node `id` computes in batches of that size.
///
/// # Errors
/// Training cannot do it: the node, and what it would take.
pub(super) fn lower(source: &Source<'_>, id: NodeId, batch: usize) -> Result<Kind> {
    let node = &source.graph.nodes[id.index()];
    let shape = |id: NodeId| &source.shapes[id.index()];
    let lowering =
        Lowering { node, inputs: node.inputs.iter().map(|&id| shape(id)).collect(), output: shape(id), batch };
    let (input, output) = (lowering.input(), dims(lowering.output, batch));
    let range = |role| source.params.slot(id, role).map(|slot| slot.range.clone());
    let weight = |role| range(role).unwrap_or_default();
    let padded = |role| source.params.slot(id, role).map(|slot| slot.padded());
    let bias = padded(Role::Bias);
    Ok(match &node.op {
        Op::Input(_) => Kind::Input { pixels: takes_pixels(source, id, output) },
        Op::Conv2d(op) => {
            let conv = convolution(op, input, output);
            if op.is_depthwise(input.c) && input.c > 1 {
                Kind::Depthwise { conv, weight: weight(Role::DepthwiseWeight), bias }
            } else {
                Kind::Conv { conv, weight: weight(Role::ConvWeight), bias }
            }
        }
        Op::ConvTranspose2d(op) => {
            Kind::Transposed { conv: transposed(op, input, output), weight: weight(Role::ConvWeight), bias }
        }
        Op::Linear(op) => {
            lowering.on_channels("a linear layer", lowering.rank() - 1)?;
            Kind::Conv { conv: Conv::pointwise(input, op.out_features), weight: weight(Role::LinearWeight), bias }
        }
        Op::Add(_) => lowering.binary(Binary::Add)?,
        Op::Subtract(_) => lowering.binary(Binary::Subtract)?,
        Op::Multiply(_) => lowering.binary(Binary::Multiply)?,
        Op::Divide(_) => lowering.binary(Binary::Divide)?,
        Op::GatedSum(_) => Kind::GatedSum,
        Op::Constant(op) => {
            Kind::Constant { values: weight(if op.learnt { Role::Value } else { Role::Constant }), learnt: op.learnt }
        }
        Op::Concat(op) => lowering.concat(op)?,
        Op::Slice(op) => lowering.slice(op),
        Op::Pad(op) => lowering.pad(op),
        Op::Interpolate(op) => resample(taps::interpolate(op, [input.h, input.w], [output.h, output.w])),
        Op::Reshape(_) | Op::Flatten(_) => lowering.gather(0.0, Some),
        Op::Transpose(op) => lowering.gather_indices(0.0, |to, from| {
            op.order.iter().zip(to).for_each(|(&axis, &index)| from[axis] = index);
            true
        }),
        Op::Softmax(op) => {
            lowering.on_channels("softmax", op.axis)?;
            Kind::Softmax
        }
        Op::LayerNorm(op) => {
            lowering.on_channels("layer norm", lowering.rank() - 1)?;
            Kind::LayerNorm { gamma: padded(Role::NormScale), beta: padded(Role::NormShift), eps: op.eps }
        }
        Op::Mean(op) if lowering.rank() == 3 && op.axes == [1, 2] => Kind::GlobalAvgPool { input },
        Op::Mean(op) => {
            return Err(
                lowering.refused(format!("mean over {:?} cannot be trained, only that over [1, 2] of a map", op.axes))
            );
        }
        Op::GlobalAvgPool(_) => Kind::GlobalAvgPool { input },
        Op::MaxPool(MaxPool { kernel, stride, padding }) => {
            Kind::Pool(pool(pooling::Kind::Max, input, output, *kernel, *stride, *padding))
        }
        Op::AvgPool(AvgPool { kernel, stride, padding, count_include_pad }) => {
            let kind = pooling::Kind::Average { count_include_pad: *count_include_pad };
            Kind::Pool(pool(kind, input, output, *kernel, *stride, *padding))
        }
        Op::Dropout(op) => Kind::Dropout { p: op.p },
        Op::BatchNorm(_) | Op::Activation(_) => Kind::Copy,
    })
}

impl Lowering<'_> {
    /// Size of the first input; of the output where there is none.
    fn input(&self) -> Dims {
        dims(self.inputs.first().unwrap_or(&self.output), self.batch)
    }

    fn rank(&self) -> usize {
        self.inputs.first().unwrap_or(&self.output).rank()
    }

    fn refused(&self, what: String) -> Error {
        Error::Unsupported { path: self.node.path.clone(), what }
    }

    /// Only what runs over the channels is trained.
    fn on_channels(&self, what: &str, axis: usize) -> Result<()> {
        match axis {
            0 => Ok(()),
            _ => Err(self.refused(format!("{what} over dimension {axis} cannot be trained, only over the first"))),
        }
    }

    fn binary(&self, op: Binary) -> Result<Kind> {
        let [a, b] = [0, 1].map(|at| self.inputs.get(at).unwrap_or(&self.output));
        if a == b {
            return Ok(Kind::Binary(op));
        }
        let scales = |map: &Shape, other: &Shape| {
            map == self.output && other.channels() == map.channels() && other.elements() == other.channels()
        };
        match op {
            Binary::Multiply if scales(a, b) => Ok(Kind::Scale { map: 0 }),
            Binary::Multiply if scales(b, a) => Ok(Kind::Scale { map: 1 }),
            _ => Err(self.refused(format!(
                "{} of {a} and {b} cannot be trained, only of two values of one shape, and multiply of a map C×H×W and C×1×1",
                self.node.op.kind()
            ))),
        }
    }

    fn concat(&self, op: &Concat) -> Result<Kind> {
        self.on_channels("concat", op.axis)?;
        let to = dims(self.output, self.batch);
        let mut at = 0;
        let part = |shape: &&Shape| {
            let from = dims(shape, self.batch);
            at += from.c;
            Channels { from, first: 0, to, at: at - from.c, count: from.c }
        };
        Ok(Kind::Channels { parts: self.inputs.iter().map(part).collect(), fills: Vec::new(), value: 0.0 })
    }

    fn slice(&self, op: &Slice) -> Kind {
        let (from, to) = (self.input(), dims(self.output, self.batch));
        if op.axis == 0 && op.step == 1 {
            let parts = vec![Channels { from, first: op.start, to, at: 0, count: to.c }];
            return Kind::Channels { parts, fills: Vec::new(), value: 0.0 };
        }
        if op.axis > 0 && self.rank() == 3 {
            let count = self.output.dims()[op.axis];
            return resample(taps::slice(op.axis, op.start, op.step, count, [from.h, from.w]));
        }
        self.gather_indices(0.0, |to, from| {
            from.copy_from_slice(to);
            from[op.axis] = op.start + to[op.axis] * op.step;
            true
        })
    }

    fn pad(&self, op: &Pad) -> Kind {
        let (from, to) = (self.input(), dims(self.output, self.batch));
        let others = (1..self.rank()).any(|axis| op.before[axis] + op.after[axis] > 0);
        let channels = op.before[0] + op.after[0] > 0;
        match op.mode {
            PadMode::Constant(value) if !others => {
                let at = op.before[0];
                let parts = vec![Channels { from, first: 0, to, at, count: from.c }];
                let fills = [0..at, at + from.c..to.c].into_iter().filter(|fill| !fill.is_empty()).collect();
                Kind::Channels { parts, fills, value }
            }
            _ if !channels && self.rank() == 3 => resample(taps::pad(op, [from.h, from.w])),
            mode => {
                let outside = if let PadMode::Constant(value) = mode { value } else { 0.0 };
                let sizes = self.inputs.first().map_or(&[][..], |shape| shape.dims());
                self.gather_indices(outside, |to, from| {
                    for (axis, from) in from.iter_mut().enumerate() {
                        match taps::padded(mode, to[axis], op.before[axis], sizes[axis]) {
                            Some(at) => *from = at,
                            None => return false,
                        }
                    }
                    true
                })
            }
        }
    }

    /// Elements by their position in the order of the shape.
    fn gather(&self, outside: f32, source: impl Fn(usize) -> Option<usize>) -> Kind {
        let (input, output) = (self.input(), dims(self.output, self.batch));
        let gather = Gather::new(input, output, outside, source);
        Kind::Gather { input, back: gather.transposed(), gather }
    }

    /// Elements by their indices: `place` writes those of the element read, or says that there is none.
    fn gather_indices(&self, outside: f32, place: impl Fn(&[usize], &mut [usize]) -> bool) -> Kind {
        let (own, to) = (self.inputs.first().unwrap_or(&self.output).dims(), self.output.dims());
        self.gather(outside, |mut element| {
            let (mut index, mut from) = (vec![0; to.len()], vec![0; own.len()]);
            for (index, size) in index.iter_mut().zip(to).rev() {
                (*index, element) = (element % size, element / size);
            }
            place(&index, &mut from).then(|| from.iter().zip(own).fold(0, |offset, (i, size)| offset * size + i))
        })
    }
}

fn resample(taps: Taps) -> Kind {
    Kind::Resample { back: taps.transposed(), taps }
}

fn convolution(op: &Conv2d, input: Dims, output: Dims) -> Conv {
    let padding = [op.padding[0], op.padding[1]];
    Conv { input, output, kernel: op.kernel, stride: op.stride, padding, dilation: op.dilation, groups: op.groups }
}

/// The convolution that is transposed: from the operator's output to its input.
fn transposed(op: &ConvTranspose2d, input: Dims, output: Dims) -> Conv {
    let padding = [op.padding[0], op.padding[1]];
    let (input, output) = (output, input);
    Conv { input, output, kernel: op.kernel, stride: op.stride, padding, dilation: op.dilation, groups: op.groups }
}

fn pool(
    kind: pooling::Kind,
    input: Dims,
    output: Dims,
    kernel: [usize; 2],
    stride: [usize; 2],
    [top, left, bottom, right]: [usize; 4],
) -> Pool {
    Pool { kind, input, output, kernel, stride, padding: [top, left], padding_end: [bottom, right] }
}
