//! The orthonormal regulariser of BSConv-S: Haase & Amthor 2020, arXiv:2003.13549, §3.3.
//!
//! W = Wᴬ·Wᴮ is a product of two factors; the rows of the factor that is applied first, Wᴮ (M'×M), are drawn to
//! be orthonormal by α·Σ ‖Wᴮ(Wᴮ)ᵀ − I‖_F over all blocks, which is added to the loss. The norm is not squared, and
//! its gradient is 2·(Wᴮ(Wᴮ)ᵀ − I)·Wᴮ / ‖Wᴮ(Wᴮ)ᵀ − I‖_F.

use std::ops::Range;

use sepal_graph::limits::MAX_ELEMENTS;
use sepal_kernels::{Buffer, Conv, Dims, Epilogue, Exec, Input, Source, conv, from_nchw, to_nchw};

use crate::error::{Error, Result};
use crate::groups::Globs;
use crate::params::{Params, Slot};
use crate::recipe::Ortho;

/// The field of the recipe.
const FIELD: &str = "ortho.paths";

/// The regulariser of a network, with its working memory.
pub(crate) struct Regulariser {
    alpha: f64,
    factors: Vec<Factor>,
    /// The factor in channel blocks, or the difference from the identity.
    left: Buffer,
    packed: Buffer,
    product: Buffer,
    scratch: Buffer,
    /// Matrices in the order of their rows: the difference from the identity, the transposed factor, the gradient.
    flat: [Vec<f32>; 3],
}

/// One of the matrices, `rows` × `columns`.
struct Factor {
    range: Range<usize>,
    rows: usize,
    columns: usize,
}

impl Factor {
    /// W·Wᵀ as a pointwise convolution: an image for each row of the left matrix.
    fn square(&self) -> Conv {
        Conv::pointwise(Dims::new(self.rows, self.columns, 1, 1), self.rows)
    }

    /// A·W with A of `rows` × `rows`.
    fn back(&self) -> Conv {
        Conv::pointwise(Dims::new(self.rows, self.rows, 1, 1), self.columns)
    }
}

impl Regulariser {
    /// The recipe's regulariser, for `threads` workers.
    ///
    /// # Errors
    /// [`Error::Glob`] for paths that match no parameter, or one that is no matrix.
    pub(crate) fn new(ortho: &Ortho, params: &Params, threads: usize) -> Result<Self> {
        let globs = Globs::new(FIELD, &ortho.globs())?;
        if ortho.paths.is_some() {
            globs.check_used(&params.slots)?;
        }
        let matching = params.slots.iter().filter(|slot| globs.matches(&slot.path));
        let factors = matching.map(factor).collect::<Result<Vec<_>>>()?;
        if factors.is_empty() {
            let problem = "match no parameter: the network has no BSConv-S or inverted residual block; \
                           name the pointwise weights in ortho.paths";
            return Err(Error::Glob { field: FIELD, glob: ortho.globs().join("', '"), problem: problem.into() });
        }
        let convs = || factors.iter().flat_map(|factor| [factor.square(), factor.back()]);
        let most = |len: &dyn Fn(&Conv) -> usize| convs().map(|conv| len(&conv)).max().unwrap_or(0);
        let flat = factors.iter().map(|factor| factor.rows * factor.rows.max(factor.columns)).max().unwrap_or(0);
        Ok(Self {
            alpha: ortho.alpha,
            left: Buffer::zeroed(most(&|conv| conv.input.len())),
            packed: Buffer::zeroed(most(&conv::packed_len)),
            product: Buffer::zeroed(most(&|conv| conv.output.len())),
            scratch: Buffer::zeroed(most(&|conv| conv::forward_scratch(conv, threads))),
            flat: std::array::from_fn(|_| vec![0.0; flat]),
            factors,
        })
    }

    /// Bytes of the working memory.
    pub(crate) fn bytes(&self) -> usize {
        let buffers = [&self.left, &self.packed, &self.product, &self.scratch];
        let floats = buffers.iter().map(|buffer| buffer.len()).sum::<usize>() + 3 * self.flat[0].len();
        floats * size_of::<f32>()
    }

    /// The regulariser's term of the loss; adds its gradient to that of the parameters.
    pub(crate) fn step(&mut self, exec: Exec<'_>, params: &mut Params) -> f64 {
        let mut sum = 0.0;
        for at in 0..self.factors.len() {
            sum += self.factor(exec, params, at);
        }
        self.alpha * sum
    }

    /// ‖WWᵀ − I‖_F of one factor.
    fn factor(&mut self, exec: Exec<'_>, params: &mut Params, at: usize) -> f64 {
        let Self { alpha, factors, left, packed, product, scratch, flat: [difference, transposed, result] } = self;
        let Factor { range, rows, columns } = &factors[at];
        let (rows, columns) = (*rows, *columns);
        let (square, back) = (factors[at].square(), factors[at].back());
        let weight = &params.values[range.clone()];
        let mut multiply = |conv: &Conv, left_rows: &[f32], weight: &[f32], result: &mut [f32]| {
            from_nchw(exec, conv.input, left_rows, left);
            conv::pack(exec, conv, weight, packed);
            let input = Input::Blocked(Source::plain(left));
            conv::forward(exec, conv, input, packed, Epilogue::default(), product, None, scratch);
            to_nchw(exec, conv.output, product, result);
        };
        let difference = &mut difference[..rows * rows];
        multiply(&square, weight, weight, difference);
        difference.iter_mut().step_by(rows + 1).for_each(|diagonal| *diagonal -= 1.0);
        let norm = difference.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt();
        // At the minimum the norm has no gradient; zero is one of its subgradients.
        if norm > 0.0 {
            for (row, values) in weight.chunks_exact(columns).enumerate() {
                for (column, value) in values.iter().enumerate() {
                    transposed[column * rows + row] = *value;
                }
            }
            multiply(&back, difference, &transposed[..rows * columns], result);
            let factor = (2.0 * *alpha / norm) as f32;
            let gradient = params.grads[range.clone()].iter_mut();
            gradient.zip(&*result).for_each(|(gradient, value)| *gradient += factor * value);
        }
        norm
    }
}

/// A parameter as a matrix.
fn factor(slot: &Slot) -> Result<Factor> {
    let refused = |problem: String| Err(Error::Glob { field: FIELD, glob: slot.path.clone(), problem });
    match *slot.shape {
        [rows, ..] if (rows as u64).pow(2) > MAX_ELEMENTS => refused(format!("has too many rows, {rows}")),
        [rows, columns] | [rows, columns, 1, 1] => Ok(Factor { range: slot.range.clone(), rows, columns }),
        _ => refused(format!("has the shape {:?}: only weights of pointwise convolutions have rows", slot.shape)),
    }
}

#[cfg(test)]
mod tests;
