//! Folding of batch norms into the layer before them.

use super::surgery::compact;
use crate::{BatchNorm, Model, Node, Op, Result, Tensor, Weights};

/// The same network, as far as inference goes, with fewer batch norms.
///
/// A batch norm whose input comes from a convolution or linear layer that nothing else reads is
/// an affine map of that layer's filters: `w' = w·γ/√(σ² + ε)`, `b' = (b − μ)·γ/√(σ² + ε) + β`,
/// with the running statistics, computed in f64. The layer keeps its path and has a bias; the
/// norm and its tensors are gone. Other norms stay. Metadata are kept.
///
/// # Errors
/// The graph is not valid or a tensor is missing.
pub fn fold_norms(model: &Model) -> Result<Model> {
    fold_norms_of(model.clone())
}

/// As [`fold_norms`], without a second copy of the weights.
///
/// # Errors
/// As [`fold_norms`].
pub fn fold_norms_of(model: Model) -> Result<Model> {
    fold_norms_where(model, |_, _| true)
}

/// As [`fold_norms_of`], of those norms for which `may` says so, given the layer and the norm. What a layer could take in
/// but may not stays, and so does what follows it.
///
/// # Errors
/// As [`fold_norms`].
pub fn fold_norms_where(model: Model, may: impl Fn(&Node, &Node) -> bool) -> Result<Model> {
    model.graph.validate()?;
    model.weights.check(&model.graph)?;
    let Model { mut graph, mut weights, meta } = model;

    let shapes = graph.shapes()?;
    let mut reads = graph.reads();
    // The node that computes what each node did: itself, or the layer it was folded into.
    let mut stands_for: Vec<usize> = (0..graph.nodes.len()).collect();
    for index in 0..graph.nodes.len() {
        let Op::BatchNorm(norm) = graph.nodes[index].op.clone() else { continue };
        let layer = stands_for[graph.nodes[index].inputs[0].index()];
        if reads[layer] != 1 || !may(&graph.nodes[layer], &graph.nodes[index]) {
            continue;
        }
        let had_bias = match &mut graph.nodes[layer].op {
            Op::Conv2d(conv) => std::mem::replace(&mut conv.bias, true),
            Op::ConvTranspose2d(conv) => std::mem::replace(&mut conv.bias, true),
            Op::Linear(linear) if shapes[layer].rank() == 1 => std::mem::replace(&mut linear.bias, true),
            // A norm's channels are the first dimension, this layer's filters make the last.
            Op::Linear(_) => continue,
            Op::Input(_)
            | Op::BatchNorm(_)
            | Op::Activation(_)
            | Op::Add(_)
            | Op::Subtract(_)
            | Op::Multiply(_)
            | Op::Divide(_)
            | Op::Constant(_)
            | Op::Concat(_)
            | Op::Slice(_)
            | Op::Pad(_)
            | Op::Interpolate(_)
            | Op::Reshape(_)
            | Op::Transpose(_)
            | Op::Softmax(_)
            | Op::Mean(_)
            | Op::LayerNorm(_)
            | Op::GatedSum(_)
            | Op::MaxPool(_)
            | Op::AvgPool(_)
            | Op::GlobalAvgPool(_)
            | Op::Dropout(_)
            | Op::Flatten(_) => continue,
        };
        let affine = Affine::take(&norm, &graph.nodes[index].path, &mut weights)?;
        let groups = match &graph.nodes[layer].op {
            Op::ConvTranspose2d(conv) => Some(conv.groups),
            _ => None,
        };
        affine.apply(&graph.nodes[layer].path, groups, had_bias, &mut weights)?;
        stands_for[index] = layer;
        reads[layer] = reads[index];
    }

    let kept: Vec<bool> = stands_for.iter().enumerate().map(|(index, &by)| by == index).collect();
    compact(&mut graph, &stands_for, &kept);
    graph.validate()?;
    Ok(Model { graph, weights, meta })
}

/// A batch norm as `scale·x + shift` per channel.
struct Affine {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl Affine {
    /// Takes a norm's tensors out of the weights.
    fn take(norm: &BatchNorm, path: &str, weights: &mut Weights) -> Result<Self> {
        let mut take = |name: &str| -> Result<Vec<f64>> {
            let path = format!("{path}.{name}");
            let values = weights.get(&path)?.data().iter().map(|&value| f64::from(value)).collect();
            weights.remove(&path);
            Ok(values)
        };
        let (mean, var) = (take("running_mean")?, take("running_var")?);
        let mut scale: Vec<f64> = var.iter().map(|var| 1.0 / (var + f64::from(norm.eps)).sqrt()).collect();
        let mut shift = vec![0.0; mean.len()];
        if norm.affine {
            scale.iter_mut().zip(take("weight")?).for_each(|(scale, gamma)| *scale *= gamma);
            shift = take("bias")?;
        }
        for ((shift, scale), mean) in shift.iter_mut().zip(&scale).zip(&mean) {
            *shift -= scale * mean;
        }
        Ok(Self { scale, shift })
    }

    /// Applies it to the filters of the layer at `path`, whose weights are `[O, I/groups, …]`, or
    /// `[I, O/groups, …]` where it is a transposed convolution of `transposed` groups.
    fn apply(self, path: &str, transposed: Option<usize>, had_bias: bool, weights: &mut Weights) -> Result<()> {
        let weight = weights.get_mut(&format!("{path}.weight"))?;
        let outputs = self.scale.len().max(1);
        let scale_all = |values: &mut [f32], scale: f64| {
            values.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
        };
        match transposed {
            None => {
                let filter = (weight.len() / outputs).max(1);
                for (values, scale) in weight.data_mut().chunks_exact_mut(filter).zip(&self.scale) {
                    scale_all(values, *scale);
                }
            }
            Some(groups) => {
                let (inputs, outputs) = (weight.shape()[0], outputs / groups);
                let area = (weight.len() / inputs / outputs).max(1);
                for (index, values) in weight.data_mut().chunks_exact_mut(area).enumerate() {
                    let (input, output) = (index / outputs, index % outputs);
                    scale_all(values, self.scale[input / (inputs / groups) * outputs + output]);
                }
            }
        }
        let bias_path = format!("{path}.bias");
        let mut bias = self.shift;
        if had_bias {
            for ((bias, scale), before) in bias.iter_mut().zip(&self.scale).zip(weights.get(&bias_path)?.data()) {
                *bias += scale * f64::from(*before);
            }
        }
        let bias: Vec<f32> = bias.into_iter().map(|value| value as f32).collect();
        weights.insert(bias_path, Tensor::new(vec![bias.len()], bias)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeId;
    use crate::{Activation, Builder, Conv2d, Linear, Meta, Shape};

    /// Weights that differ everywhere, variances positive.
    fn model(build: impl FnOnce(&mut Builder, NodeId) -> Result<NodeId>) -> Model {
        let mut b = Builder::new("test");
        let x = b.input("input", Shape::chw(2, 3, 3).unwrap()).unwrap();
        let y = build(&mut b, x).unwrap();
        let graph = b.finish(&[y]).unwrap();
        let mut seed = 1_u32;
        let mut weights = Weights::new();
        for spec in graph.params().unwrap() {
            let mut next = || {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 8) as f32 / (1 << 24) as f32 + 0.25
            };
            let data = (0..spec.elements()).map(|_| next()).collect();
            weights.insert(spec.path, Tensor::new(spec.shape, data).unwrap());
        }
        Model::new(graph, weights, Meta::default()).unwrap()
    }

    /// What the two layers compute for an all-ones input of a 1×1 convolution.
    fn dense(model: &Model, conv: &str, norm: Option<&str>) -> Vec<f64> {
        let at = |path: String| model.weights.get(&path).unwrap().data().to_vec();
        let weight = at(format!("{conv}.weight"));
        let bias = model.weights.get(&format!("{conv}.bias")).map_or(vec![0.0; 3], |bias| bias.data().to_vec());
        let mut y: Vec<f64> = (weight.chunks(weight.len() / 3).zip(bias))
            .map(|(filter, bias)| filter.iter().map(|&w| f64::from(w)).sum::<f64>() + f64::from(bias))
            .collect();
        if let Some(norm) = norm {
            let [gamma, beta, mean, var] =
                ["weight", "bias", "running_mean", "running_var"].map(|name| at(format!("{norm}.{name}")));
            for (c, y) in y.iter_mut().enumerate() {
                let normed = (*y - f64::from(mean[c])) / (f64::from(var[c]) + f64::from(1e-5_f32)).sqrt();
                *y = f64::from(gamma[c]) * normed + f64::from(beta[c]);
            }
        }
        y
    }

    #[test]
    fn a_norm_after_a_convolution_becomes_its_filters() {
        for bias in [false, true] {
            let before = model(|b, x| {
                let x = b.conv("conv", x, Conv2d::pointwise(3).bias(bias))?;
                let x = b.batch_norm("bn", x)?;
                b.activation("act", x, Activation::Relu)
            });
            let after = fold_norms(&before).unwrap();
            after.check().unwrap();
            assert_eq!(
                after.graph.nodes.iter().map(|node| node.path.as_str()).collect::<Vec<_>>(),
                ["input", "conv", "act"]
            );
            for (a, b) in dense(&before, "conv", Some("bn")).iter().zip(dense(&after, "conv", None)) {
                assert!((a - b).abs() < 1e-6, "{a} {b}");
            }
        }
    }

    #[test]
    fn a_chain_of_norms_folds_into_a_linear_layer() {
        let before = model(|b, x| {
            let x = b.global_avg_pool("pool", x)?;
            let x = b.node("fc", Linear { out_features: 3, bias: false }, &[x])?;
            let x = b.batch_norm("bn1", x)?;
            b.batch_norm("bn2", x)
        });
        let after = fold_norms(&before).unwrap();
        after.check().unwrap();
        assert_eq!(after.graph.nodes.len(), 3);
        assert_eq!(after.graph.outputs, [NodeId::new(2)]);
    }

    #[test]
    fn norms_of_shared_or_other_values_stay() {
        let before = model(|b, x| {
            let x = b.batch_norm("first", x)?;
            let x = b.conv("conv", x, Conv2d::pointwise(3))?;
            let y = b.batch_norm("bn", x)?;
            let x = b.add("add", x, y)?;
            b.batch_norm("last", x)
        });
        assert_eq!(fold_norms(&before).unwrap(), before);
    }

    #[test]
    fn a_missing_tensor_is_an_error() {
        let mut broken = model(|b, x| {
            let x = b.conv("conv", x, Conv2d::pointwise(3))?;
            b.batch_norm("bn", x)
        });
        broken.weights.remove("bn.running_var");
        assert!(fold_norms(&broken).is_err());
    }
}
