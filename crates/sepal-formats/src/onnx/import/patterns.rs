//! Several nodes of the file that are one operator of the graph.
//!
//! A pattern is looked for at its last node, backwards by the names of values. Its other nodes may have become
//! operators of their own by then; if nothing else reads them they are dropped at the end.

use sepal_graph::{Activation, GatedSum, LayerNorm, NodeId, Transpose};

use super::node::image_axis;
use super::{Importer, Res, Value};
use crate::onnx::proto::NodeProto;

/// Whether a constant of a file, perhaps rounded to sixteen bits on its way, is the number.
pub(super) fn near(value: f32, number: f32) -> bool {
    (value - number).abs() <= 1e-3 * number.abs()
}

impl<'a> Importer<'a> {
    /// The operator that ends at this node, if one does.
    pub(super) fn pattern(&mut self, node: &'a NodeProto) -> Res<Option<NodeId>> {
        if !matches!(node.op(), "Mul" | "Div") {
            return Ok(None);
        }
        if let Some((x, act)) = self.activation(node)
            && let Some(Value::Node(x)) = self.value(x).cloned()
        {
            return self.add(node, act, &[x], Vec::new()).map(Some);
        }
        if node.op() == "Div" { self.standardised(node) } else { Ok(None) }
    }

    /// The node of that operator that makes a value.
    fn maker(&self, name: &str, op: &str) -> Option<&'a NodeProto> {
        self.nodes.get(*self.producers.get(name)?).filter(|node| node.op() == op)
    }

    /// The two inputs of a node, in both orders.
    fn pairs(node: &'a NodeProto) -> Option<[[&'a str; 2]; 2]> {
        let [a, b] = node.input.as_slice() else { return None };
        Some([[a, b], [b, a]])
    }

    /// The value that a node multiplies with a number or divides by one, and the factor.
    fn scaled(&mut self, node: &'a NodeProto) -> Option<(&'a str, f32)> {
        match node.op() {
            "Mul" => Self::pairs(node)?.into_iter().find_map(|[x, by]| Some((x, self.scalar(by)?))),
            "Div" => Some((node.given(0)?, 1.0 / self.scalar(node.given(1)?)?)),
            _ => None,
        }
    }

    fn scaled_value(&mut self, name: &str) -> Option<(&'a str, f32)> {
        let node = self.maker(name, "Mul").or_else(|| self.maker(name, "Div"))?;
        self.scaled(node)
    }

    /// The other term of a sum with this number.
    fn plus(&mut self, name: &str, number: f32) -> Option<&'a str> {
        let node = self.maker(name, "Add")?;
        let pairs = Self::pairs(node)?;
        pairs.into_iter().find_map(|[x, term]| self.scalar(term).is_some_and(|v| near(v, number)).then_some(x))
    }

    fn activation(&mut self, node: &'a NodeProto) -> Option<(&'a str, Activation)> {
        // (x·gate(x))·c, also where the number stands first, and the gate alone times a number.
        if let Some((product, factor)) = self.scaled(node) {
            if let Some(inner) = self.maker(product, "Mul") {
                for [x, gate] in Self::pairs(inner)? {
                    if let Some((act, by)) = self.gate(gate, x)
                        && near(factor, by)
                    {
                        return Some((x, act));
                    }
                }
            }
            if near(factor, 1.0 / 6.0)
                && let Some(x) = self.relu6_plus_3(product)
            {
                return Some((x, Activation::HardSigmoid));
            }
            return None;
        }
        if node.op() != "Mul" {
            return None;
        }
        for [x, y] in Self::pairs(node)? {
            if self.maker(y, "Sigmoid").is_some_and(|gate| gate.given(0) == Some(x)) {
                return Some((x, Activation::Silu));
            }
            if let Some(gate) = self.maker(y, "HardSigmoid") {
                let sixth = near(gate.float("alpha").unwrap_or(0.2), 1.0 / 6.0);
                if gate.given(0) == Some(x) && sixth && gate.float("beta").unwrap_or(0.5) == 0.5 {
                    return Some((x, Activation::HardSwish));
                }
            }
            let softplus = self.maker(y, "Tanh").and_then(|tanh| self.maker(tanh.given(0)?, "Softplus"));
            if softplus.is_some_and(|softplus| softplus.given(0) == Some(x)) {
                return Some((x, Activation::Mish));
            }
            // x·(gate(x)·c) and (x·c)·gate(x).
            if let Some((inner, factor)) = self.scaled_value(y) {
                if let Some((act, by)) = self.gate(inner, x)
                    && near(factor, by)
                {
                    return Some((x, act));
                }
                if let Some((act, by)) = self.gate(x, inner)
                    && near(factor, by)
                {
                    return Some((inner, act));
                }
            }
        }
        None
    }

    /// An activation that is `x` times the value `gate` times a number.
    fn gate(&mut self, gate: &str, x: &str) -> Option<(Activation, f32)> {
        if self.relu6_plus_3(gate) == Some(x) {
            return Some((Activation::HardSwish, 1.0 / 6.0));
        }
        let unit = self.plus(gate, 1.0)?;
        if let Some(erf) = self.maker(unit, "Erf") {
            let (inner, factor) = self.scaled_value(erf.given(0)?)?;
            return (inner == x && near(factor, std::f32::consts::FRAC_1_SQRT_2)).then_some((Activation::Gelu, 0.5));
        }
        let tanh = self.maker(unit, "Tanh")?;
        let (sum, factor) = self.scaled_value(tanh.given(0)?)?;
        let root = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
        if !near(factor, root) {
            return None;
        }
        let pairs = Self::pairs(self.maker(sum, "Add")?)?;
        let cubic = pairs.into_iter().any(|[term, cube]| {
            let scaled = self.scaled_value(cube);
            term == x && scaled.is_some_and(|(cube, by)| near(by, 0.044_715) && self.is_cube(cube, x))
        });
        cubic.then_some((Activation::GeluTanh, 0.5))
    }

    fn is_cube(&mut self, name: &str, x: &str) -> bool {
        if let Some(power) = self.maker(name, "Pow") {
            return power.given(0) == Some(x) && power.given(1).and_then(|e| self.scalar(e)) == Some(3.0);
        }
        let pairs = self.maker(name, "Mul").and_then(Self::pairs);
        pairs.into_iter().flatten().any(|[y, square]| y == x && self.is_square(square, x))
    }

    fn is_square(&mut self, name: &str, x: &str) -> bool {
        if let Some(power) = self.maker(name, "Pow") {
            return power.given(0) == Some(x) && power.given(1).and_then(|e| self.scalar(e)) == Some(2.0);
        }
        self.maker(name, "Mul").is_some_and(|product| product.input.iter().all(|input| input == x))
    }

    /// The x of min(max(x + 3, 0), 6).
    fn relu6_plus_3(&mut self, name: &str) -> Option<&'a str> {
        let clip = self.maker(name, "Clip")?;
        let mut bound = |i: usize, attribute: &str| match clip.given(i) {
            Some(input) => self.scalar(input),
            None => clip.float(attribute),
        };
        if (bound(1, "min")?, bound(2, "max")?) != (0.0, 6.0) {
            return None;
        }
        self.plus(clip.given(0)?, 3.0)
    }

    /// (x − mean(x)) / √(mean((x − mean(x))²) + ε) as a layer norm that learns nothing; a scale and shift that follow
    /// join it later. Over the channels of a map it stands between two transpositions.
    fn standardised(&mut self, node: &'a NodeProto) -> Res<Option<NodeId>> {
        let Some((x, axis, eps)) = self.layer_norm_parts(node) else { return Ok(None) };
        let Some(Value::Node(x)) = self.value(x).cloned() else { return Ok(None) };
        let rank = self.dims(x)?.len();
        let norm = LayerNorm { eps, affine: false };
        let axis = image_axis(axis, rank)?;
        if axis + 1 == rank {
            return self.add(node, norm, &[x], Vec::new()).map(Some);
        }
        let last: Vec<usize> = (0..rank).filter(|&i| i != axis).chain([axis]).collect();
        let back = (0..rank).filter_map(|i| last.iter().position(|&j| j == i)).collect();
        let x = self.add(node, Transpose { order: last }, &[x], Vec::new())?;
        let x = self.add(node, norm, &[x], Vec::new())?;
        self.add(node, Transpose { order: back }, &[x], Vec::new()).map(Some)
    }

    fn layer_norm_parts(&mut self, node: &'a NodeProto) -> Option<(&'a str, i64, f32)> {
        let (x, mean, axis) = self.centred(node.given(0)?)?;
        let root = self.maker(node.given(1)?, "Sqrt")?;
        let sum = self.maker(root.given(0)?, "Add")?;
        let (variance, eps) = Self::pairs(sum)?.into_iter().find_map(|[v, eps]| Some((v, self.scalar(eps)?)))?;
        let (squared, same) = self.mean_over(variance)?;
        let centred = match (self.maker(squared, "Pow"), self.maker(squared, "Mul")) {
            (Some(power), _) if self.scalar(power.given(1)?) == Some(2.0) => power.given(0)?,
            (_, Some(product)) if product.given(0) == product.given(1) => product.given(0)?,
            _ => return None,
        };
        let again = self.centred(centred)?;
        (same == axis && again == (x, mean, axis)).then_some((x, axis, eps))
    }

    /// The parts of x − mean(x), and the axis of the mean.
    fn centred(&mut self, name: &str) -> Option<(&'a str, &'a str, i64)> {
        let difference = self.maker(name, "Sub")?;
        let (x, mean) = (difference.given(0)?, difference.given(1)?);
        let (of, axis) = self.mean_over(mean)?;
        (of == x).then_some((x, mean, axis))
    }

    /// What a mean over a single axis, which is kept, is of.
    fn mean_over(&mut self, name: &str) -> Option<(&'a str, i64)> {
        let mean = self.maker(name, "ReduceMean")?;
        let axes = match mean.ints("axes") {
            Some(axes) => axes.to_vec(),
            None => self.known_ints(mean, 1, "axes").ok().flatten()?,
        };
        match axes.as_slice() {
            &[axis] if mean.int("keepdims").unwrap_or(1) != 0 => Some((mean.given(0)?, axis)),
            _ => None,
        }
    }

    /// Σ g_d·x_d, as our export writes it: every term times an element of one gate.
    pub(super) fn gated_sum(&mut self, node: &'a NodeProto) -> Res<Option<NodeId>> {
        let mut terms = Vec::with_capacity(node.input.len());
        let mut gate = None;
        for (d, name) in node.input.iter().enumerate() {
            let Some((term, of)) = self.gated(name, d as i64) else { return Ok(None) };
            if gate.is_some_and(|gate| gate != of) {
                return Ok(None);
            }
            gate = Some(of);
            terms.push(term);
        }
        let Some(gate) = gate else { return Ok(None) };
        let mut inputs = Vec::with_capacity(terms.len() + 1);
        for name in std::iter::once(gate).chain(terms) {
            match self.value(name).cloned() {
                Some(Value::Node(id)) => inputs.push(id),
                Some(Value::Constant(constant)) => match self.dims_of(&constant)?.split_first() {
                    Some((1, dims)) if !dims.is_empty() => inputs.push(self.constant_node(&constant, dims.to_vec())?),
                    _ => return Ok(None),
                },
                Some(Value::Missing) | None => return Ok(None),
            }
        }
        let fits = inputs.first().map(|gate| self.dims(*gate)).transpose()? == Some(vec![node.input.len()]);
        if fits { self.add(node, GatedSum {}, &inputs, Vec::new()).map(Some) } else { Ok(None) }
    }

    /// The term and the gate of a product with the gate's `d`-th element.
    fn gated(&mut self, name: &str, d: i64) -> Option<(&'a str, &'a str)> {
        let product = self.maker(name, "Mul")?;
        let (term, weight) = (product.given(0)?, product.given(1)?);
        let slice = self.maker(self.maker(weight, "Reshape")?.given(0)?, "Slice")?;
        let mut is = |i: usize, number: i64| {
            self.known_ints(slice, i, "range").ok().flatten().is_some_and(|list| list == [number])
        };
        (is(1, d) && is(2, d + 1) && is(3, 1)).then_some((term, slice.given(0)?))
    }
}
