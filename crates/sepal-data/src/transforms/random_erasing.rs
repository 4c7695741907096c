//! A random rectangle loses its content (Zhong et al. 2017, arXiv:1708.04896), drawn as torchvision's `RandomErasing`
//! draws it. It comes after normalisation.

use serde::{Deserialize, Serialize};

use crate::error::{DataError, Result};
use crate::random::Stream;

const ATTEMPTS: usize = 10;

/// Which rectangle, and what it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomErasing {
    /// Probability that a picture loses one.
    pub p: f32,
    /// Its share of the picture's area, least and most, above 0 and below 1.
    pub scale: [f32; 2],
    /// Its height ÷ width, least and most; uniform in its logarithm.
    pub ratio: [f32; 2],
    /// What it becomes.
    pub fill: ErasingFill,
}

/// What a rectangle becomes that is erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErasingFill {
    /// Zeros, which are the mean colour of the preprocessing.
    #[default]
    Mean,
    /// Normally distributed numbers with the preprocessing's mean and deviation.
    Noise,
}

impl Default for RandomErasing {
    /// Half of the pictures, area 0.02 to 0.33, ratio 0.3 to 3.3, zeros.
    fn default() -> Self {
        Self { p: 0.5, scale: [0.02, 0.33], ratio: [0.3, 3.3], fill: ErasingFill::Mean }
    }
}

impl RandomErasing {
    /// The name of its stream.
    pub(super) const NAME: &str = "random_erasing";

    pub(super) fn validate(&self) -> Result<()> {
        let bad = |name, value: String, expected| Err(DataError::Option { name, value, expected });
        if !(0.0..=1.0).contains(&self.p) {
            return bad("random_erasing.p", self.p.to_string(), "a probability from 0 to 1");
        }
        let [low, high] = self.scale;
        if !(low > 0.0 && low <= high && high < 1.0) {
            let expected = "two shares in order, above 0 and below 1";
            return bad("random_erasing.scale", format!("{:?}", self.scale), expected);
        }
        let [low, high] = self.ratio;
        if !(low > 0.0 && low <= high && high.is_finite()) {
            return bad("random_erasing.ratio", format!("{:?}", self.ratio), "two positive numbers in order");
        }
        Ok(())
    }

    /// Changes the three planes of `picture`, `size` being height and width. Where ten draws do not fit, nothing is lost.
    pub(super) fn apply(&self, picture: &mut [f32], size: [usize; 2], random: &mut Stream) {
        if !random.chance(self.p) {
            return;
        }
        let Some([top, left, height, width]) = self.draw(size, random) else { return };
        for plane in picture.chunks_exact_mut(size[0] * size[1]) {
            for row in plane.chunks_exact_mut(size[1]).skip(top).take(height) {
                let part = &mut row[left..left + width];
                match self.fill {
                    ErasingFill::Mean => part.fill(0.0),
                    ErasingFill::Noise => part.iter_mut().for_each(|value| *value = random.normal() as f32),
                }
            }
        }
    }

    /// Top, left, height and width.
    fn draw(&self, [height, width]: [usize; 2], random: &mut Stream) -> Option<[usize; 4]> {
        let area = (height * width) as f32;
        for _ in 0..ATTEMPTS {
            let target = area * random.range(self.scale[0], self.scale[1]);
            let ratio = random.range(self.ratio[0].ln(), self.ratio[1].ln()).exp();
            let h = (target * ratio).sqrt().round_ties_even() as usize;
            let w = (target / ratio).sqrt().round_ties_even() as usize;
            if h < height && w < width {
                let mut place = |room: usize| random.below(room as u32 + 1) as usize;
                return Some([place(height - h), place(width - w), h, w]);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erased(erasing: &RandomErasing, size: [usize; 2], index: u64) -> Vec<f32> {
        let mut picture = vec![7.0; 3 * size[0] * size[1]];
        erasing.apply(&mut picture, size, &mut Stream::new(1, 2, index, RandomErasing::NAME));
        picture
    }

    #[test]
    fn a_rectangle_within_the_ranges_becomes_zero_in_all_planes() {
        let erasing = RandomErasing { p: 1.0, ..RandomErasing::default() };
        let size = [20, 30];
        let mut places = std::collections::HashSet::new();
        for index in 0..500 {
            let picture = erased(&erasing, size, index);
            let planes: Vec<&[f32]> = picture.chunks(600).collect();
            assert!(planes[0] == planes[1] && planes[1] == planes[2]);
            let lost: Vec<usize> = (0..600).filter(|&at| planes[0][at] == 0.0).collect();
            let (Some(first), Some(last)) = (lost.first(), lost.last()) else { panic!("nothing was erased") };
            let (height, width) = (last / 30 - first / 30 + 1, last % 30 - first % 30 + 1);
            assert_eq!(lost.len(), height * width, "a rectangle");
            // Rounding of both sides may leave the ranges a little.
            let (share, ratio) = (lost.len() as f32 / 600.0, height as f32 / width as f32);
            assert!((0.01..0.37).contains(&share) && (0.2..4.4).contains(&ratio), "{share} {ratio}");
            places.insert((first / 30, first % 30, height, width));
        }
        assert!(places.len() > 300);
    }

    #[test]
    fn noise_is_normal_and_the_probability_is_kept() {
        let erasing = RandomErasing { p: 0.25, fill: ErasingFill::Noise, ..RandomErasing::default() };
        let (mut hit, mut noise) = (0, Vec::new());
        for index in 0..2000 {
            let lost: Vec<f32> = erased(&erasing, [16, 16], index).into_iter().filter(|&value| value != 7.0).collect();
            hit += usize::from(!lost.is_empty());
            noise.extend(lost);
        }
        assert!(hit.abs_diff(500) < 80, "{hit}");
        let count = noise.len() as f32;
        let mean = noise.iter().sum::<f32>() / count;
        let deviation = (noise.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / count).sqrt();
        assert!(mean.abs() < 0.02 && (deviation - 1.0).abs() < 0.02, "{mean} {deviation}");
    }
}
