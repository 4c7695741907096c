//! Norms and products with weights.

use sepal_graph::{BatchNorm, LayerNorm, Linear, NodeId};

use super::super::build::{Param, Source};
use super::super::node::image_axis;
use super::super::{Constant, Fail, Importer, Origin, Res};
use crate::onnx::proto::NodeProto;

impl<'a> Importer<'a> {
    pub(super) fn batch_norm(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        if node.int("training_mode").unwrap_or(0) != 0 {
            return Err(Fail::Missing("BatchNormalization in training mode".into()));
        }
        if node.int("spatial").unwrap_or(1) == 0 {
            return Err(Fail::Missing("BatchNormalization of every pixel on its own".into()));
        }
        let parts = [(1, "weight"), (2, "bias"), (3, "running_mean"), (4, "running_var")];
        let mut params = Vec::with_capacity(4);
        for (i, what) in parts {
            params.push(Param::of(what, self.weight(node, i, what)?));
        }
        let affine = !(self.is_plain(node, 1, "scale", 1.0)? && self.is_plain(node, 2, "shift", 0.0)?);
        if !affine {
            params.drain(..2);
        }
        let momentum = complement(node.float("momentum").unwrap_or(0.9));
        let eps = node.float("epsilon").unwrap_or(1e-5);
        self.add(node, BatchNorm { eps, momentum, affine }, &[x], params)
    }

    /// Whether a constant is the number that our export writes where a norm learns nothing, by its name `…/what`.
    fn is_plain(&mut self, node: &'a NodeProto, i: usize, what: &str, number: f32) -> Res<bool> {
        let constant = self.weight(node, i, what)?;
        if constant.label.rsplit_once('/').is_none_or(|(_, last)| last != what) {
            return Ok(false);
        }
        Ok(self.array(&constant)?.to_floats().is_some_and(|values| values.iter().all(|v| *v == number)))
    }

    pub(super) fn layer_norm(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let rank = self.dims(x)?.len();
        if image_axis(node.int("axis").unwrap_or(-1), rank)? + 1 != rank {
            return Err(Fail::Missing("LayerNormalization over more than the last dimension".into()));
        }
        let mut params = vec![Param::of("weight", self.weight(node, 1, "weight")?)];
        if node.given(2).is_some() {
            params.push(Param::of("bias", self.weight(node, 2, "bias")?));
        } else if self.is_plain(node, 1, "scale", 1.0)? {
            params.clear();
        } else {
            params.push(Param { name: "bias", source: Source::Fill(0.0) });
        }
        let eps = node.float("epsilon").unwrap_or(1e-5);
        self.add(node, LayerNorm { eps, affine: !params.is_empty() }, &[x], params)
    }

    pub(super) fn gemm(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let dims = self.dims(x)?;
        let &[features] = dims.as_slice() else {
            return Err(Fail::wrong(format!("reads values of {dims:?} per image; vectors are read")));
        };
        if node.int("transA").unwrap_or(0) != 0 {
            return Err(Fail::wrong("transposes its first input, and so mixes images"));
        }
        let weight = self.weight(node, 1, "weight")?;
        let turned = node.int("transB").unwrap_or(0) == 0;
        let out_features = self.matrix(&weight, features, turned)?;
        let alpha = node.float("alpha").unwrap_or(1.0);
        let source = if turned { Source::Transposed(weight, alpha) } else { Source::Scaled(weight, alpha) };
        let mut params = vec![Param { name: "weight", source }];
        if node.given(2).is_some() {
            let bias = self.weight(node, 2, "bias")?;
            let dims = self.dims_of(&bias)?;
            let vector = dims.iter().rev().skip(1).all(|&size| size == 1);
            if !vector || dims.last().is_some_and(|&size| size != 1 && size != out_features) {
                return Err(Fail::wrong(format!("its bias has the dimensions {dims:?} where {out_features} are made")));
            }
            let beta = node.float("beta").unwrap_or(1.0);
            params.push(Param { name: "bias", source: Source::Scaled(bias, beta) });
        }
        self.add(node, Linear { out_features, bias: params.len() > 1 }, &[x], params)
    }

    pub(super) fn matmul(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let weight = match self.constant(node, 1) {
            Some(weight) => weight,
            None => {
                self.input(node, 1)?;
                return Err(Fail::Missing("MatMul of two activations".into()));
            }
        };
        if self.constant(node, 0).is_some() {
            return Err(Fail::Missing("MatMul with a constant on the left".into()));
        }
        let features = self.dims(x)?.last().copied().unwrap_or(1);
        let out_features = self.matrix(&weight, features, true)?;
        let params = vec![Param { name: "weight", source: Source::Transposed(weight, 1.0) }];
        self.add(node, Linear { out_features, bias: false }, &[x], params)
    }

    /// The outputs of a matrix that reads so many features, stored as inputs × outputs if `turned`.
    fn matrix(&self, weight: &Constant<'a>, features: usize, turned: bool) -> Res<usize> {
        let dims = self.dims_of(weight)?;
        match (dims.as_slice(), turned) {
            (&[rows, columns], true) if rows == features => Ok(columns),
            (&[rows, columns], false) if columns == features => Ok(rows),
            _ => Err(Fail::wrong(format!("its weight has the dimensions {dims:?} where {features} features are read"))),
        }
    }

    /// The layer `x` with a constant added to or multiplied with its last dimension, if the two are one layer: the bias
    /// of a product, the scale or shift of a layer norm.
    pub(super) fn joined(&mut self, node: &'a NodeProto, x: NodeId, constant: &Constant<'a>) -> Res<Option<NodeId>> {
        let shape = self.dims(x)?;
        let dims = self.dims_of(constant)?;
        let last = shape.last().copied().unwrap_or(1);
        let along = dims.last() == Some(&last) && dims.iter().rev().skip(1).all(|&size| size == 1);
        if !along || dims.len() > shape.len() + 1 || matches!(constant.from, Origin::Array(_)) && last == 1 {
            return Ok(None);
        }
        let made = self.built.get(x)?;
        let mut params = made.params.clone();
        let inputs = made.inputs.clone();
        let add = |importer: &mut Self, op: sepal_graph::Op, params| importer.add(node, op, &inputs, params).map(Some);
        match (node.op(), made.op.clone()) {
            ("Add", sepal_graph::Op::Linear(linear)) if !linear.bias => {
                params.push(Param::of("bias", constant.clone()));
                add(self, Linear { bias: true, ..linear }.into(), params)
            }
            ("Mul", sepal_graph::Op::LayerNorm(norm)) if !norm.affine => {
                params.push(Param::of("weight", constant.clone()));
                params.push(Param { name: "bias", source: Source::Fill(0.0) });
                add(self, LayerNorm { affine: true, ..norm }.into(), params)
            }
            ("Add", sepal_graph::Op::LayerNorm(norm)) => match params.pop() {
                Some(Param { source: Source::Fill(_), .. }) => {
                    params.push(Param::of("bias", constant.clone()));
                    add(self, norm.into(), params)
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }
}

/// The weight of the newest batch in a norm whose file says that of the old statistics: the decimal number of fewest
/// digits that the file can have meant.
fn complement(old: f32) -> f32 {
    let exact = 1.0 - f64::from(old);
    let rounded = (1..9).map(|digits| {
        let scale = 10_f64.powi(digits);
        ((exact * scale).round() / scale) as f32
    });
    rounded.into_iter().find(|new| 1.0 - new == old).unwrap_or(exact as f32)
}

#[cfg(test)]
mod tests {
    use super::complement;

    #[test]
    fn momentum_comes_back() {
        for momentum in [0.1_f32, 0.01, 0.03, 0.001, 0.5, 1.0, 0.0, 0.25, 0.0003, 0.9] {
            assert_eq!(complement(1.0 - momentum), momentum);
        }
    }
}
