//! Random brightness, contrast, saturation and hue, drawn as torchvision's `ColorJitter` draws them.

use serde::{Deserialize, Serialize};

use super::{Transform, color};
use crate::error::{DataError, Result};
use crate::picture::Picture;
use crate::random::Stream;

/// How far colours go. The four changes are made in a random order; 0 leaves one out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColorJitter {
    /// The factor is uniform in 1 ± this, and at least 0.
    pub brightness: f32,
    /// The same, of the distance to the mean grey.
    pub contrast: f32,
    /// The same, of each pixel's distance to its own grey.
    pub saturation: f32,
    /// Hues turn by a share of the circle that is uniform in ± this, at most 0.5.
    pub hue: f32,
}

impl ColorJitter {
    pub(super) fn validate(&self) -> Result<()> {
        let Self { brightness, contrast, saturation, hue } = *self;
        let factors = [
            ("color_jitter.brightness", brightness),
            ("color_jitter.contrast", contrast),
            ("color_jitter.saturation", saturation),
        ];
        for (name, value) in factors {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(DataError::Option { name, value: value.to_string(), expected: "a number of at least 0" });
            }
        }
        if !(0.0..=0.5).contains(&hue) {
            let expected = "a share of the circle from 0 to 0.5";
            return Err(DataError::Option { name: "color_jitter.hue", value: hue.to_string(), expected });
        }
        Ok(())
    }
}

impl Transform for ColorJitter {
    fn name(&self) -> &'static str {
        "color_jitter"
    }

    fn apply(&self, picture: &mut Picture, _spare: &mut Picture, random: &mut Stream) {
        let mut order = [0, 1, 2, 3];
        random.shuffle(&mut order);
        let mut factor = |by: f32| random.range((1.0 - by).max(0.0), 1.0 + by);
        let factors = [self.brightness, self.contrast, self.saturation].map(&mut factor);
        let turn = random.range(-self.hue, self.hue);
        for change in order {
            match change {
                0 if self.brightness > 0.0 => color::brightness(picture, factors[0]),
                1 if self.contrast > 0.0 => color::contrast(picture, factors[1]),
                2 if self.saturation > 0.0 => color::saturation(picture, factors[2]),
                3 if self.hue > 0.0 => color::hue(picture, turn),
                _ => {}
            }
        }
    }
}
