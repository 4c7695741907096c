//! Elementwise arithmetic and the activations that take numbers.

use sepal_graph::{Activation, Add, Divide, Multiply, NodeId, Op, Subtract};

use super::super::build::{Param, name_of};
use super::super::{Constant, Fail, Importer, Res};
use crate::onnx::proto::NodeProto;

impl<'a> Importer<'a> {
    pub(super) fn arithmetic(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let constants = [self.constant(node, 0), self.constant(node, 1)];
        let inputs = match constants {
            [None, None] => [self.input(node, 0)?, self.input(node, 1)?],
            [Some(a), Some(b)] => {
                // Computed already unless one of them is a row for each image.
                let a = self.single(&a)?;
                let b = self.beside(&b, a)?;
                [a, b]
            }
            [None, Some(constant)] => {
                let x = self.input(node, 0)?;
                if let Some(id) = self.joined(node, x, &constant)? {
                    return Ok(id);
                }
                [x, self.beside(&constant, x)?]
            }
            [Some(constant), None] => {
                let x = self.input(node, 1)?;
                if matches!(node.op(), "Add" | "Mul")
                    && let Some(id) = self.joined(node, x, &constant)?
                {
                    return Ok(id);
                }
                [self.beside(&constant, x)?, x]
            }
        };
        let op: Op = match node.op() {
            "Add" => Add {}.into(),
            "Sub" => Subtract {}.into(),
            "Mul" => Multiply {}.into(),
            _ => Divide {}.into(),
        };
        self.add(node, op, &inputs, Vec::new())
    }

    /// A constant with a single row as a node.
    fn single(&mut self, constant: &Constant<'a>) -> Res<NodeId> {
        match self.dims_of(constant)?.split_first() {
            Some((1, rest)) if !rest.is_empty() => self.constant_node(constant, rest.to_vec()),
            _ => Err(Fail::wrong("reads constants alone")),
        }
    }

    /// A constant as a node that is broadcast against `x`: aligned with its last dimension, and the same for all images.
    fn beside(&mut self, constant: &Constant<'a>, x: NodeId) -> Res<NodeId> {
        let rank = self.dims(x)?.len();
        let mut dims = self.dims_of(constant)?;
        if dims.len() > rank {
            let rest = dims.split_off(dims.len() - rank);
            if dims.iter().any(|&size| size != 1) {
                return Err(Fail::wrong(format!(
                    "the constant `{}` differs from image to image: its first dimensions are {dims:?}",
                    constant.label
                )));
            }
            dims = rest;
        }
        let missing = rank - dims.len();
        dims.splice(..0, std::iter::repeat_n(1, missing));
        self.constant_node(constant, dims)
    }

    pub(super) fn sum(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        if let Some(id) = self.gated_sum(node)? {
            return Ok(id);
        }
        let mut sum = self.input(node, 0)?;
        for i in 1..node.input.len() {
            let next = self.input(node, i)?;
            sum = self.add(node, Add {}, &[sum, next], Vec::new())?;
        }
        Ok(sum)
    }

    pub(super) fn power(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let exponent = node.given(1).and_then(|name| self.scalar(name));
        match exponent {
            Some(1.0) => Ok(x),
            Some(2.0) => self.add(node, Multiply {}, &[x, x], Vec::new()),
            Some(3.0) => {
                let square = self.add(node, Multiply {}, &[x, x], Vec::new())?;
                self.add(node, Multiply {}, &[square, x], Vec::new())
            }
            Some(exponent) => Err(Fail::Missing(format!("Pow with exponent {exponent}"))),
            None => Err(Fail::Missing("Pow with a computed exponent".into())),
        }
    }

    pub(super) fn hard_sigmoid(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let (alpha, beta) = (node.float("alpha").unwrap_or(0.2), node.float("beta").unwrap_or(0.5));
        if super::super::patterns::near(alpha, 1.0 / 6.0) && beta == 0.5 {
            return self.add(node, Activation::HardSigmoid, &[x], Vec::new());
        }
        let alpha = self.number(name_of(node), alpha, x)?;
        let x = self.add(node, Multiply {}, &[x, alpha], Vec::new())?;
        let beta = self.number(name_of(node), beta, x)?;
        let x = self.add(node, Add {}, &[x, beta], Vec::new())?;
        self.add(node, Activation::Clip { min: 0.0, max: 1.0 }, &[x], Vec::new())
    }

    pub(super) fn prelu(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let slope = self.weight(node, 1, "slope")?;
        let (shape, dims) = (self.dims(x)?, self.dims_of(&slope)?);
        let channels = shape.first().copied().unwrap_or(1);
        let others: usize = dims.iter().product();
        // One slope for all, or one per channel: nothing but the channels' dimension may be larger than 1.
        let place = (dims.len() + 1).checked_sub(shape.len() + 1).unwrap_or(usize::MAX);
        let per_channel = dims.get(place) == Some(&channels) && others == channels;
        if others != 1 && !per_channel {
            return Err(Fail::Missing(format!("PRelu with a slope of dimensions {dims:?}")));
        }
        self.add(node, Activation::Prelu, &[x], vec![Param::of("weight", slope)])
    }

    pub(super) fn clip(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let mut bound = |i: usize, name: &str| match node.given(i) {
            None => Ok(node.float(name)),
            Some(input) => match self.scalar(input) {
                Some(value) => Ok(Some(value)),
                None => Err(Fail::Missing(format!("Clip with a computed {name}"))),
            },
        };
        let (min, max) = (bound(1, "min")?, bound(2, "max")?);
        self.clipped(node, x, min, max)
    }

    pub(super) fn bound(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let (mut x, mut limit) = (None, None);
        for (i, name) in node.input.iter().enumerate() {
            match self.scalar(name) {
                Some(value) => limit = Some(value),
                None => x = Some(self.input(node, i)?),
            }
        }
        match (x, limit, node.input.len()) {
            (Some(x), Some(limit), 2) if node.op() == "Min" => self.clipped(node, x, None, Some(limit)),
            (Some(x), Some(limit), 2) => self.clipped(node, x, Some(limit), None),
            _ => Err(Fail::Missing(format!("{} of other than an activation and a number", node.op()))),
        }
    }

    /// Values between two limits, each of which may be left out.
    fn clipped(&mut self, node: &'a NodeProto, x: NodeId, min: Option<f32>, max: Option<f32>) -> Res<NodeId> {
        let min = min.filter(|v| *v > f32::MIN);
        let max = max.filter(|v| *v < f32::MAX);
        let act = match (min, max) {
            (Some(0.0), None) => Activation::Relu,
            (Some(0.0), Some(6.0)) => Activation::Relu6,
            (None, None) => return Ok(x),
            (min, max) => Activation::Clip { min: min.unwrap_or(f32::MIN), max: max.unwrap_or(f32::MAX) },
        };
        self.add(node, act, &[x], Vec::new())
    }
}
