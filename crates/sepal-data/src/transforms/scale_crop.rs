//! A random part of a picture at a random scale, as segmenters are trained: what lies beyond the picture is black, and no class.

use serde::{Deserialize, Serialize};

use crate::error::{DataError, Result};
use crate::picture::Picture;
use crate::preprocess::SourceBox;
use crate::random::Stream;

/// The range of scales.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScaleCrop {
    /// Least and most by which the picture grows, uniform in its logarithm, before a part of the input's size is cut out at
    /// random. Above 0 to 16.
    pub scale: [f32; 2],
}

impl Default for ScaleCrop {
    /// ½ to 2.
    fn default() -> Self {
        Self { scale: [0.5, 2.0] }
    }
}

impl ScaleCrop {
    /// The name of its stream.
    pub(super) const NAME: &str = "scale_crop";
    const MAX: f32 = 16.0;

    pub(super) fn validate(&self) -> Result<()> {
        let [low, high] = self.scale;
        if low > 0.0 && low <= high && high <= Self::MAX {
            return Ok(());
        }
        let expected = "two numbers in order, above 0 and at most 16";
        Err(DataError::Option { name: "scale_crop.scale", value: format!("{:?}", self.scale), expected })
    }

    /// Draws the part of `picture` that becomes an input of this height and width. Along a side where the grown picture is
    /// smaller than the input, the part reaches beyond it.
    pub(super) fn draw(&self, picture: &Picture, [height, width]: [usize; 2], random: &mut Stream) -> SourceBox {
        let scale = f64::from(random.range(self.scale[0].ln(), self.scale[1].ln()).exp());
        let mut along = |full: u32, input: usize| {
            let part = input as f64 / scale;
            let room = f64::from(full) - part;
            (room * f64::from(random.unit()), part)
        };
        let (top, height) = along(picture.height, height);
        let (left, width) = along(picture.width, width);
        SourceBox { left, top, width, height }
    }
}
