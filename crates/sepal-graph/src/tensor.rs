//! Tensors of weights.

use crate::{Error, Result, limits};

/// A dense f32 tensor, row-major. Its data always have the length that its shape asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Vec<f32>,
}

impl Tensor {
    /// A tensor from its parts. An empty shape is a scalar.
    ///
    /// # Errors
    /// `data` is not as long as the product of `shape`, or the shape is beyond [`limits`].
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Result<Self> {
        let expected = limits::elements(&shape)?;
        if data.len() as u64 != expected {
            return Err(Error::DataLength { dims: shape, expected, actual: data.len() });
        }
        Ok(Self { shape, data })
    }

    /// A tensor filled with one value.
    ///
    /// # Errors
    /// The shape is beyond [`limits`].
    pub fn full(shape: Vec<usize>, value: f32) -> Result<Self> {
        let n = limits::elements(&shape)?;
        let data = vec![value; n as usize];
        Ok(Self { shape, data })
    }

    /// Dimensions.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// All values, row-major.
    #[must_use]
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// All values, row-major, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The values alone.
    #[must_use]
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there are no values; no tensor that [`Tensor::new`] accepts is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }
}
