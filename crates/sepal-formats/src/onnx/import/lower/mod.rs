//! What each operator of the file becomes.

mod arithmetic;
mod layers;
mod resize;
mod shape;
mod window;

use sepal_graph::{Activation, Dropout, NodeId};

use super::{Fail, Importer, Res, Value};
use crate::onnx::proto::{NodeProto, dtype};

/// Operators that are read: on their own, in patterns, or where they compute constants.
pub(super) const OPERATORS: &[&str] = &[
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Ceil",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "Div",
    "Dropout",
    "Elu",
    "Equal",
    "Erf",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LayerNormalization",
    "LeakyRelu",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "Reciprocal",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Resize",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Swish",
    "Tanh",
    "Transpose",
    "Unsqueeze",
    "Upsample",
    "Where",
];

impl<'a> Importer<'a> {
    /// Makes operators of the graph of a node.
    pub(super) fn lower(&mut self, node: &'a NodeProto) -> Res<Vec<Value<'a>>> {
        let id = match node.op() {
            "Split" => return self.split(node),
            "Conv" => self.conv(node)?,
            "ConvTranspose" => self.conv_transpose(node)?,
            "BatchNormalization" => self.batch_norm(node)?,
            "LayerNormalization" => self.layer_norm(node)?,
            "Gemm" => self.gemm(node)?,
            "MatMul" => self.matmul(node)?,
            "Relu" => self.act(node, Activation::Relu)?,
            "Sigmoid" => self.act(node, Activation::Sigmoid)?,
            "Tanh" => self.act(node, Activation::Tanh)?,
            "HardSwish" => self.act(node, Activation::HardSwish)?,
            "Mish" => self.act(node, Activation::Mish)?,
            "LeakyRelu" => self.act(node, Activation::LeakyRelu { slope: node.float("alpha").unwrap_or(0.01) })?,
            "Elu" => self.act(node, Activation::Elu { alpha: node.float("alpha").unwrap_or(1.0) })?,
            "Gelu" => match node.word("approximate") {
                Some("tanh") => self.act(node, Activation::GeluTanh)?,
                _ => self.act(node, Activation::Gelu)?,
            },
            "Swish" if node.float("alpha").unwrap_or(1.0) == 1.0 => self.act(node, Activation::Silu)?,
            "HardSigmoid" => self.hard_sigmoid(node)?,
            "PRelu" => self.prelu(node)?,
            "Clip" => self.clip(node)?,
            "Min" | "Max" => self.bound(node)?,
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(node)?,
            "Sum" => self.sum(node)?,
            "Pow" => self.power(node)?,
            "Neg" => {
                let x = self.input(node, 0)?;
                let minus = self.number(super::build::name_of(node), -1.0, x)?;
                self.add(node, sepal_graph::Multiply {}, &[x, minus], Vec::new())?
            }
            "MaxPool" => self.max_pool(node)?,
            "AveragePool" => self.average_pool(node)?,
            "GlobalAveragePool" => self.global_average_pool(node)?,
            "GlobalMaxPool" => self.global_max_pool(node)?,
            "ReduceMean" => self.reduce_mean(node)?,
            "Softmax" => self.softmax(node)?,
            "Pad" => self.pad(node)?,
            "Resize" | "Upsample" => self.resize(node)?,
            "Concat" => self.concat(node)?,
            "Slice" => self.slice(node)?,
            "Gather" => self.gather(node)?,
            "Flatten" => self.flatten(node)?,
            "Reshape" => self.reshape(node)?,
            "Squeeze" => self.squeeze(node)?,
            "Unsqueeze" => self.unsqueeze(node)?,
            "Transpose" => self.transpose(node)?,
            "DepthToSpace" => self.depth_to_space(node)?,
            "SpaceToDepth" => self.space_to_depth(node)?,
            "Expand" => self.expand(node)?,
            "Identity" => self.input(node, 0)?,
            "Dropout" => self.dropout(node)?,
            "Cast" => match node.int("to").and_then(|to| i32::try_from(to).ok()) {
                // Everything is computed in f32.
                Some(dtype::FLOAT | dtype::FLOAT16 | dtype::BFLOAT16 | dtype::DOUBLE) => self.input(node, 0)?,
                to => return Err(Fail::Missing(format!("Cast of an activation to {}", dtype::name(to.unwrap_or(0))))),
            },
            other => {
                // Part of a pattern that did not match, unless what it reads is missing already.
                self.input(node, 0)?;
                return Err(Fail::Missing(other.to_owned()));
            }
        };
        Ok(vec![Value::Node(id)])
    }

    fn act(&mut self, node: &'a NodeProto, act: Activation) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        self.add(node, act, &[x], Vec::new())
    }

    fn dropout(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let given = node.given(1).and_then(|name| self.scalar(name));
        let p = given.or(node.float("ratio")).unwrap_or(0.5);
        self.add(node, Dropout { p }, &[x], Vec::new())
    }
}
