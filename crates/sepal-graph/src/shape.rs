//! Shapes of activations.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, limits};

/// The shape of one image's activation, without a batch dimension: `[C, H, W]` or `[F]`, others in
/// networks with tokens.
///
/// Always has 1 to [`limits::MAX_RANK`] dimensions, each at least 1 and within [`limits`], and a product within
/// [`limits::MAX_ELEMENTS`]. Displays as `32×112×112`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<usize>", into = "Vec<usize>")]
pub struct Shape(Vec<usize>);

impl Shape {
    /// A shape of the given dimensions.
    ///
    /// # Errors
    /// No dimension or too many, a zero, or more elements than [`limits`] allow.
    pub fn new(dims: Vec<usize>) -> Result<Self> {
        if dims.is_empty() || dims.len() > limits::MAX_RANK {
            return Err(Error::Rank { rank: dims.len() });
        }
        limits::elements(&dims)?;
        Ok(Self(dims))
    }

    /// The shape of a feature map: channels, height, width.
    ///
    /// # Errors
    /// As [`Shape::new`].
    pub fn chw(channels: usize, height: usize, width: usize) -> Result<Self> {
        Self::new(vec![channels, height, width])
    }

    /// The shape of a feature vector.
    ///
    /// # Errors
    /// As [`Shape::new`].
    pub fn features(n: usize) -> Result<Self> {
        Self::new(vec![n])
    }

    /// All dimensions.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// Number of dimensions.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The first dimension: channels of a map, features of a vector.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.0.first().copied().unwrap_or(1)
    }

    /// Height and width; `[1, 1]` for a vector.
    #[must_use]
    pub fn size(&self) -> [usize; 2] {
        self.as_chw().map_or([1, 1], |[_, h, w]| [h, w])
    }

    /// Channels, height, width, if this is a feature map.
    #[must_use]
    pub fn as_chw(&self) -> Option<[usize; 3]> {
        self.0.as_slice().try_into().ok()
    }

    /// Number of scalars per image.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.0.iter().product()
    }
}

impl TryFrom<Vec<usize>> for Shape {
    type Error = Error;

    fn try_from(dims: Vec<usize>) -> Result<Self> {
        Self::new(dims)
    }
}

impl From<Shape> for Vec<usize> {
    fn from(shape: Shape) -> Self {
        shape.0
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&show_dims(&self.0))
    }
}

/// Dimensions as `32×3×3`.
pub(crate) fn show_dims(dims: &[usize]) -> String {
    let dims: Vec<String> = dims.iter().map(usize::to_string).collect();
    dims.join("×")
}
