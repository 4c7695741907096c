//! The oracle: any graph, in f64, by straight loops.

mod activation;
mod arithmetic;
mod arrange;
mod conv;
mod interpolate;
mod norm;
mod tensor;
mod window;

use std::collections::BTreeMap;

use sepal_graph::{Graph, NodeId, Op, Result, Shape, Weights};

use crate::{finite_difference, softmax_cross_entropy};

/// Whether norms use the batch's statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Running statistics, no dropout.
    Eval,
    /// The batch's statistics, dropout as [`Naive::dropout`] says.
    Train,
}

/// A graph with its parameters in f64.
#[derive(Debug, Clone)]
pub struct Naive {
    graph: Graph,
    shapes: Vec<Shape>,
    /// Every parameter and running statistic by path, to be changed at will.
    pub params: BTreeMap<String, Vec<f64>>,
    /// What dropout multiplies its input with in train mode, by node path: 0 or 1/(1 − p) per
    /// value, N, C, H, W. A dropout that is not listed is the identity.
    pub dropout: BTreeMap<String, Vec<f64>>,
}

/// The values of one run.
#[derive(Debug, Clone)]
pub struct Pass {
    /// Every node's value, N, C, H, W, in node order.
    pub values: Vec<Vec<f64>>,
    /// The running statistics after the run, by path; changed in train mode only.
    pub running: BTreeMap<String, Vec<f64>>,
    output: usize,
}

impl Pass {
    /// The value of a node.
    ///
    /// # Panics
    /// The graph has no such node.
    #[must_use]
    pub fn value(&self, id: NodeId) -> &[f64] {
        &self.values[id.index()]
    }

    /// The value of the first output.
    #[must_use]
    pub fn output(&self) -> &[f64] {
        &self.values[self.output]
    }
}

impl Naive {
    /// An interpreter of the graph with these weights.
    ///
    /// # Errors
    /// The graph is not valid or the weights do not fit it.
    pub fn new(graph: &Graph, weights: &Weights) -> Result<Self> {
        graph.validate()?;
        weights.check(graph)?;
        let params = (weights.iter())
            .map(|(path, tensor)| (path.to_owned(), tensor.data().iter().map(|v| f64::from(*v)).collect()))
            .collect();
        Ok(Self { graph: graph.clone(), shapes: graph.shapes()?, params, dropout: BTreeMap::new() })
    }

    /// The graph.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The first output for `batch` images in eval mode, `[N, …]`.
    ///
    /// # Panics
    /// As [`Naive::run`].
    #[must_use]
    pub fn forward(&self, input: &[f64], batch: usize) -> Vec<f64> {
        self.run(input, batch, Mode::Eval).output().to_vec()
    }

    /// As [`Naive::forward`], from f32.
    ///
    /// # Panics
    /// As [`Naive::run`].
    #[must_use]
    pub fn forward_f32(&self, input: &[f32], batch: usize) -> Vec<f64> {
        let input: Vec<f64> = input.iter().map(|v| f64::from(*v)).collect();
        self.forward(&input, batch)
    }

    /// Every node's value for `batch` images, N, C, H, W. Changes nothing; see
    /// [`Naive::keep_running`].
    ///
    /// # Panics
    /// The graph has more than one input, `input` has another length than `batch` images, or a
    /// batch norm is trained on a single value per channel.
    #[must_use]
    pub fn run(&self, input: &[f64], batch: usize, mode: Mode) -> Pass {
        assert_eq!(self.graph.inputs.len(), 1, "the oracle runs graphs of one input");
        let mut values: Vec<Vec<f64>> = Vec::with_capacity(self.shapes.len());
        let mut running = BTreeMap::new();
        for (node, shape) in self.graph.nodes.iter().zip(&self.shapes) {
            let x = |i: usize| values[node.inputs[i].index()].as_slice();
            let in_shape = || self.shapes[node.inputs[0].index()].dims();
            let param = |name: &str| self.params.get(&format!("{}.{name}", node.path)).map(Vec::as_slice);
            let dims = full(shape.dims(), batch);
            let in_dims = |i: usize| full(self.shapes[node.inputs[i].index()].dims(), batch);
            let binary =
                |f: fn(f64, f64) -> f64| arithmetic::broadcast((x(0), &in_dims(0)), (x(1), &in_dims(1)), &dims, f);
            let need = |name: &str| param(name).unwrap_or_else(|| panic!("no {}.{name}", node.path));
            let value = match &node.op {
                Op::Input(_) => input.to_vec(),
                Op::Conv2d(op) => conv::conv2d(op, x(0), in_shape(), batch, need("weight"), param("bias")),
                Op::BatchNorm(op) => {
                    let channels = in_shape()[0];
                    let (mean, var) = match mode {
                        Mode::Eval => (need("running_mean").to_vec(), need("running_var").to_vec()),
                        Mode::Train => {
                            let stats = norm::batch_statistics(x(0), batch, channels);
                            let momentum = f64::from(op.momentum);
                            let moved = |old: &[f64], new: &[f64]| {
                                let step = |(o, n): (&f64, &f64)| o + momentum * (n - o);
                                old.iter().zip(new).map(step).collect::<Vec<_>>()
                            };
                            let mean = moved(need("running_mean"), &stats.mean);
                            let var = moved(need("running_var"), &stats.unbiased_var);
                            running.insert(format!("{}.running_mean", node.path), mean);
                            running.insert(format!("{}.running_var", node.path), var);
                            (stats.mean, stats.biased_var)
                        }
                    };
                    let eps = f64::from(op.eps);
                    norm::normalise(x(0), batch, &mean, &var, eps, param("weight"), param("bias"))
                }
                Op::Activation(act) => activation::activation(*act, x(0), batch, in_shape()[0], param("weight")),
                Op::Add(_) => binary(|a, b| a + b),
                Op::Subtract(_) => binary(|a, b| a - b),
                Op::Multiply(_) => binary(|a, b| a * b),
                Op::Divide(_) => binary(|a, b| a / b),
                Op::MaxPool(pool) => {
                    let window = (pool.kernel, pool.stride, pool.padding);
                    window::pool(x(0), in_shape(), batch, window, |inside, _| {
                        inside.iter().copied().fold(f64::NEG_INFINITY, f64::max)
                    })
                }
                Op::AvgPool(pool) => {
                    let window = (pool.kernel, pool.stride, pool.padding);
                    window::pool(x(0), in_shape(), batch, window, |inside, area| {
                        let count = if pool.count_include_pad { area } else { inside.len() };
                        inside.iter().sum::<f64>() / count as f64
                    })
                }
                Op::GlobalAvgPool(_) => {
                    let area = in_shape()[1] * in_shape()[2];
                    x(0).chunks(area).map(|map| map.iter().sum::<f64>() / area as f64).collect()
                }
                Op::Linear(linear) => conv::linear(
                    x(0),
                    in_shape()[in_shape().len() - 1],
                    linear.out_features,
                    need("weight"),
                    param("bias"),
                ),
                Op::Dropout(_) => match (mode, self.dropout.get(&node.path)) {
                    (Mode::Train, Some(mask)) => x(0).iter().zip(mask).map(|(v, m)| v * m).collect(),
                    (Mode::Train, None) | (Mode::Eval, _) => x(0).to_vec(),
                },
                Op::Flatten(_) | Op::Reshape(_) => x(0).to_vec(),
                Op::Constant(_) => need("value").repeat(batch),
                Op::Concat(op) => {
                    let inputs: Vec<_> = (0..node.inputs.len()).map(|i| (x(i), in_dims(i))).collect();
                    arrange::concat(&inputs, op.axis + 1, &dims)
                }
                Op::Slice(op) => arrange::slice(x(0), &in_dims(0), (op.axis + 1, op.start, op.step), &dims),
                Op::Pad(op) => arrange::pad(x(0), &in_dims(0), &op.before, op.mode, &dims),
                Op::Transpose(op) => arrange::transpose(x(0), &in_dims(0), &op.order, &dims),
                Op::ConvTranspose2d(op) => {
                    let size = shape.size();
                    conv::conv_transpose2d(op, x(0), in_shape(), batch, size, need("weight"), param("bias"))
                }
                Op::Interpolate(op) => interpolate::interpolate(op, x(0), [in_dims(0)[2], in_dims(0)[3]], &dims),
                Op::Softmax(op) => norm::softmax(x(0), &dims, op.axis + 1),
                Op::Mean(op) => {
                    let mut dims = in_dims(0);
                    op.axes.iter().fold(x(0).to_vec(), |x, axis| norm::mean(&x, &mut dims, axis + 1))
                }
                Op::LayerNorm(op) => {
                    let size = dims[dims.len() - 1];
                    norm::layer_norm(x(0), size, f64::from(op.eps), param("weight"), param("bias"))
                }
                Op::GatedSum(_) => {
                    let values: Vec<_> = (1..node.inputs.len()).map(x).collect();
                    arithmetic::gated_sum(x(0), &values, batch)
                }
            };
            assert_eq!(value.len(), batch * shape.elements(), "{}: length of the value", node.path);
            values.push(value);
        }
        Pass { values, running, output: self.graph.outputs[0].index() }
    }

    /// Makes the running statistics of a training pass the network's own.
    pub fn keep_running(&mut self, pass: &Pass) {
        for (path, values) in &pass.running {
            self.params.insert(path.clone(), values.clone());
        }
    }

    /// Mean cross-entropy of the first output over the batch; see [`softmax_cross_entropy`].
    ///
    /// # Panics
    /// As [`Naive::run`] and [`softmax_cross_entropy`].
    #[must_use]
    pub fn loss(&self, input: &[f64], labels: &[u32], smoothing: f64, mode: Mode) -> f64 {
        let pass = self.run(input, labels.len(), mode);
        softmax_cross_entropy(pass.output(), labels, smoothing)
    }

    /// The gradient of the training loss by one parameter, by central differences of step `eps`.
    /// Runs the network twice per scalar: for small parameters of small graphs.
    ///
    /// # Panics
    /// There is no such parameter, or as [`Naive::loss`].
    #[must_use]
    pub fn gradient(&self, path: &str, input: &[f64], labels: &[u32], smoothing: f64, eps: f64) -> Vec<f64> {
        let all: Vec<usize> = (0..self.param(path).len()).collect();
        self.gradient_at(path, &all, input, labels, smoothing, eps)
    }

    /// As [`Naive::gradient`], by the elements at `indices` only.
    ///
    /// # Panics
    /// There is no such parameter or element, or as [`Naive::loss`].
    #[must_use]
    pub fn gradient_at(
        &self,
        path: &str,
        indices: &[usize],
        input: &[f64],
        labels: &[u32],
        smoothing: f64,
        eps: f64,
    ) -> Vec<f64> {
        let original = self.param(path);
        let mut moved = self.clone();
        let mut gradient_by = |index: usize| {
            let loss = |x: &[f64]| {
                moved.params.insert(path.to_owned(), original.to_vec());
                if let Some(param) = moved.params.get_mut(path) {
                    param[index] = x[0];
                }
                moved.loss(input, labels, smoothing, Mode::Train)
            };
            finite_difference(loss, &[original[index]], eps)[0]
        };
        indices.iter().map(|index| gradient_by(*index)).collect()
    }

    fn param(&self, path: &str) -> &[f64] {
        self.params.get(path).unwrap_or_else(|| panic!("no parameter {path}"))
    }
}

/// Dimensions with the batch in front.
fn full(dims: &[usize], batch: usize) -> Vec<usize> {
    [&[batch], dims].concat()
}
