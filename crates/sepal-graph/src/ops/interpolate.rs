//! Resizing of feature maps.

use serde::{Deserialize, Serialize};

use super::{Operator, map_input};
use crate::{Error, Result, Shape, limits};

/// Interpolation of a feature map to another size: `[C, H, W]` to `[C, H', W']`. Nothing is antialiased.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interpolate {
    /// To which size.
    pub to: ResizeTo,
    /// From which pixels.
    pub mode: Interpolation,
    /// Where an output pixel lies in the input.
    pub coordinates: Coordinates,
}

/// The size of a resized map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ResizeTo {
    /// Factors of height and width; sizes are rounded down. The factor is also what coordinates are
    /// computed with.
    Scale([f32; 2]),
    /// Height and width; the factors are the ratios of the sizes.
    Size([usize; 2]),
}

/// Which input pixels an output pixel is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Interpolation {
    /// One, the coordinate rounded as said.
    Nearest(Rounding),
    /// Two in each direction, by distance.
    Bilinear,
    /// Four in each direction: the cubic convolution of Keys 1981 with a = −0.75, as PyTorch has it.
    Bicubic,
}

/// How a coordinate becomes an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Down; with [`Coordinates::Asymmetric`] PyTorch's "nearest".
    Floor,
    /// Up.
    Ceil,
    /// To the nearest, halves down: ONNX' default.
    HalfDown,
    /// To the nearest, halves up.
    HalfUp,
}

/// How the coordinate `x` of an output pixel becomes that of an input pixel, with the factor `s` from
/// input to output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coordinates {
    /// (x + ½)/s − ½: pixels are areas.
    HalfPixel,
    /// As `HalfPixel`, but 0 where the output is one pixel.
    PytorchHalfPixel,
    /// x·(in − 1)/(out − 1): the corners' centres stay; 0 where the output is one pixel.
    AlignCorners,
    /// x/s.
    Asymmetric,
}

impl Interpolate {
    /// PyTorch's `interpolate(scale_factor=scale, mode="nearest")`.
    #[must_use]
    pub fn nearest(scale: f32) -> Self {
        let mode = Interpolation::Nearest(Rounding::Floor);
        Self { to: ResizeTo::Scale([scale, scale]), mode, coordinates: Coordinates::Asymmetric }
    }

    /// PyTorch's `interpolate(scale_factor=scale, mode="bilinear", align_corners=False)`.
    #[must_use]
    pub fn bilinear(scale: f32) -> Self {
        let coordinates = Coordinates::HalfPixel;
        Self { to: ResizeTo::Scale([scale, scale]), mode: Interpolation::Bilinear, coordinates }
    }

    /// Height and width of the output, for those of an input.
    ///
    /// # Errors
    /// A size of zero, or beyond [`limits`].
    pub fn size(&self, input: [usize; 2]) -> Result<[usize; 2]> {
        match self.to {
            ResizeTo::Size(size) => Ok(size),
            ResizeTo::Scale(scale) => {
                let size = |i: usize| (input[i] as f64 * f64::from(scale[i])).floor();
                let [h, w] = [size(0), size(1)];
                if !(1.0..=limits::MAX_DIM as f64).contains(&h) || !(1.0..=limits::MAX_DIM as f64).contains(&w) {
                    return Err(Error::Attribute {
                        attribute: "scale",
                        value: format!("{}×{}", scale[0], scale[1]),
                        expected: format!(
                            "such that a map of {}×{} has 1 to {} pixels",
                            input[0],
                            input[1],
                            limits::MAX_DIM
                        ),
                    });
                }
                Ok([h as usize, w as usize])
            }
        }
    }
}

impl Operator for Interpolate {
    fn title(&self, _: &[&Shape]) -> String {
        let mode = match self.mode {
            Interpolation::Nearest(_) => "nearest",
            Interpolation::Bilinear => "bilinear",
            Interpolation::Bicubic => "bicubic",
        };
        format!("Interpolate ({mode})")
    }

    fn check(&self) -> Result<()> {
        match self.to {
            ResizeTo::Scale(scale) => {
                scale.iter().try_for_each(|&s| limits::real("scale", s, s > 0.0, "a positive number"))
            }
            ResizeTo::Size(size) => size.iter().try_for_each(|&size| limits::count("size", size)),
        }
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        self.check()?;
        let [c, h, w] = map_input("interpolate", inputs)?;
        let [h, w] = self.size([h, w])?;
        Shape::chw(c, h, w)
    }
}
