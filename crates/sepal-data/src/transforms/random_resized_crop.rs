//! A random part of a random size and shape (Szegedy et al. 2014, arXiv:1409.4842 §6), drawn as
//! torchvision's `RandomResizedCrop` draws it.

use serde::{Deserialize, Serialize};

use crate::error::{DataError, Result};
use crate::picture::Picture;
use crate::preprocess::SourceBox;
use crate::random::Stream;

const ATTEMPTS: usize = 10;

/// Ranges of the part that is cut out and resized to the network's input.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomResizedCrop {
    /// The part's share of the picture's area, least and most, in (0, 1].
    pub scale: [f32; 2],
    /// The part's width ÷ height, least and most; uniform in its logarithm.
    pub ratio: [f32; 2],
}

impl Default for RandomResizedCrop {
    /// Area 0.08 to 1, ratio 3/4 to 4/3.
    fn default() -> Self {
        Self { scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] }
    }
}

impl RandomResizedCrop {
    pub(super) fn validate(&self) -> Result<()> {
        let [low, high] = self.scale;
        if !(low > 0.0 && low <= high && high <= 1.0) {
            let expected = "two shares in order, above 0 and at most 1";
            return Err(DataError::Option { name: "scale", value: format!("{:?}", self.scale), expected });
        }
        let [low, high] = self.ratio;
        if !(low > 0.0 && low <= high && high.is_finite()) {
            let expected = "two positive numbers in order";
            return Err(DataError::Option { name: "ratio", value: format!("{:?}", self.ratio), expected });
        }
        Ok(())
    }

    /// Draws the part of `picture`. If ten draws do not fit in it, the largest middle part within the
    /// range of ratios.
    pub(super) fn draw(&self, picture: &Picture, random: &mut Stream) -> SourceBox {
        let (width, height) = (picture.width, picture.height);
        let area = f64::from(width) * f64::from(height);
        let [ratio_low, ratio_high] = self.ratio;
        for _ in 0..ATTEMPTS {
            let target = area * f64::from(random.range(self.scale[0], self.scale[1]));
            let ratio = f64::from(random.range(ratio_low.ln(), ratio_high.ln()).exp());
            let w = (target * ratio).sqrt().round_ties_even() as u32;
            let h = (target / ratio).sqrt().round_ties_even() as u32;
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                let top = random.below(height - h + 1);
                let left = random.below(width - w + 1);
                return part(left, top, w, h);
            }
        }
        let ratio = f64::from(width) / f64::from(height);
        let (w, h) = if ratio < f64::from(ratio_low) {
            (width, (f64::from(width) / f64::from(ratio_low)).round_ties_even() as u32)
        } else if ratio > f64::from(ratio_high) {
            ((f64::from(height) * f64::from(ratio_high)).round_ties_even() as u32, height)
        } else {
            (width, height)
        };
        let (w, h) = (w.clamp(1, width), h.clamp(1, height));
        part((width - w) / 2, (height - h) / 2, w, h)
    }
}

fn part(left: u32, top: u32, width: u32, height: u32) -> SourceBox {
    let [left, top, width, height] = [left, top, width, height].map(f64::from);
    SourceBox { left, top, width, height }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blank(width: u32, height: u32) -> Picture {
        Picture::new(width, height, vec![0; (width * height * 3) as usize]).unwrap()
    }

    #[test]
    fn parts_stay_in_the_picture_and_in_the_ranges() {
        let picture = blank(160, 120);
        let crop = RandomResizedCrop { scale: [0.2, 0.6], ..RandomResizedCrop::default() };
        let (mut least, mut most) = (1.0f64, 0.0f64);
        for index in 0..2000 {
            let part = crop.draw(&picture, &mut Stream::new(0, 0, index, "test"));
            assert!(part.left + part.width <= 160.0 && part.top + part.height <= 120.0);
            let ratio = part.width / part.height;
            assert!((0.73..1.37).contains(&ratio), "{part:?}");
            let share = part.width * part.height / 19_200.0;
            (least, most) = (least.min(share), most.max(share));
        }
        assert!((0.19..0.22).contains(&least) && (0.58..0.61).contains(&most), "{least} {most}");
    }

    #[test]
    fn pictures_no_part_fits_in_give_their_middle() {
        let crop = RandomResizedCrop { scale: [1.0, 1.0], ..RandomResizedCrop::default() };
        let random = &mut Stream::new(0, 0, 0, "test");
        assert_eq!(crop.draw(&blank(300, 30), random), part(130, 0, 40, 30));
        assert_eq!(crop.draw(&blank(30, 300), random), part(0, 130, 30, 40));
        assert_eq!(crop.draw(&blank(1, 1), random), part(0, 0, 1, 1));
    }
}
