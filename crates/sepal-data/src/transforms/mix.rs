//! Pictures of a batch mixed in pairs: mixup (Zhang et al. 2017, arXiv:1710.09412) and CutMix (Yun et al. 2019,
//! arXiv:1905.04899), drawn for a batch as timm draws them.

use serde::{Deserialize, Serialize};

use crate::error::{DataError, Result};
use crate::random::Stream;

/// How pictures of a batch are mixed: each with its opposite, the first with the last. Labels are mixed by the same share.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mix {
    /// Mixup's α: its share is drawn from the beta distribution of (α, α). 0 turns it off.
    pub mixup: f32,
    /// CutMix's α, of the area that is kept. 0 turns it off.
    pub cutmix: f32,
    /// Probability that a batch is mixed.
    pub p: f32,
    /// Where both are on, the probability that it is CutMix.
    pub switch: f32,
}

impl Default for Mix {
    /// Neither; where one is set, every batch, and one as often as the other.
    fn default() -> Self {
        Self { mixup: 0.0, cutmix: 0.0, p: 1.0, switch: 0.5 }
    }
}

/// What becomes of a batch.
#[derive(Clone, Debug, PartialEq)]
enum Draw {
    /// A share of the other picture.
    Blend(f32),
    /// Rows and columns that the other picture gives.
    Cut([std::ops::Range<usize>; 2]),
    Nothing,
}

impl Mix {
    /// The name of its stream.
    const NAME: &str = "mix";
    /// The largest α; the distribution has no width to speak of beyond.
    const MAX_ALPHA: f32 = 1000.0;

    pub(super) fn validate(&self) -> Result<()> {
        let bad = |name, value: f32, expected| Err(DataError::Option { name, value: value.to_string(), expected });
        for (name, alpha) in [("mix.mixup", self.mixup), ("mix.cutmix", self.cutmix)] {
            if !(0.0..=Self::MAX_ALPHA).contains(&alpha) {
                return bad(name, alpha, "a number from 0 to 1000");
            }
        }
        for (name, p) in [("mix.p", self.p), ("mix.switch", self.switch)] {
            if !(0.0..=1.0).contains(&p) {
                return bad(name, p, "a probability from 0 to 1");
            }
        }
        Ok(())
    }

    /// Mixes the pictures of batch `number` of an epoch, `size` being height and width. Returns the share of the label of
    /// each picture's opposite; 0 where nothing was mixed.
    pub(crate) fn apply(&self, (seed, epoch, number): (u64, u64, u64), images: &mut [f32], size: [usize; 2]) -> f32 {
        let mut random = Stream::new(seed, epoch, number, Self::NAME);
        let draw = self.draw(size, &mut random);
        let share = draw.share(size);
        if share > 0.0 {
            draw.carry_out(images, size);
        }
        share
    }

    fn draw(&self, [height, width]: [usize; 2], random: &mut Stream) -> Draw {
        if !random.chance(self.p) {
            return Draw::Nothing;
        }
        let cut = match (self.mixup > 0.0, self.cutmix > 0.0) {
            (false, false) => return Draw::Nothing,
            (true, true) => random.chance(self.switch),
            (_, cut) => cut,
        };
        let kept = random.beta(f64::from(if cut { self.cutmix } else { self.mixup }));
        if !cut {
            return Draw::Blend((1.0 - kept) as f32);
        }
        let side = (1.0 - kept).sqrt();
        let mut range = |full: usize| {
            let cut = (full as f64 * side) as usize;
            let middle = random.below(full as u32) as usize;
            middle.saturating_sub(cut / 2)..(middle + cut.div_ceil(2)).min(full)
        };
        Draw::Cut([range(height), range(width)])
    }
}

impl Draw {
    /// The share of the other picture.
    fn share(&self, [height, width]: [usize; 2]) -> f32 {
        match self {
            Self::Nothing => 0.0,
            Self::Blend(share) => *share,
            Self::Cut([rows, columns]) => (rows.len() * columns.len()) as f32 / (height * width) as f32,
        }
    }

    fn carry_out(&self, images: &mut [f32], [height, width]: [usize; 2]) {
        let each = 3 * height * width;
        let count = images.len() / each;
        let (front, back) = images.split_at_mut(count / 2 * each);
        // The middle one of an odd number is its own opposite.
        for (first, last) in front.chunks_exact_mut(each).zip(back.chunks_exact_mut(each).rev()) {
            match self {
                Self::Nothing => {}
                Self::Blend(share) => {
                    let kept = 1.0 - share;
                    for (a, b) in first.iter_mut().zip(last) {
                        (*a, *b) = (*a * kept + *b * share, *b * kept + *a * share);
                    }
                }
                Self::Cut([rows, columns]) => {
                    let planes = first.chunks_exact_mut(height * width).zip(last.chunks_exact_mut(height * width));
                    for (first, last) in planes {
                        for row in rows.clone() {
                            let part = row * width + columns.start..row * width + columns.end;
                            first[part.clone()].swap_with_slice(&mut last[part]);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: [usize; 2] = [6, 10];
    const EACH: usize = 180;

    /// Picture i consists of numbers around 10·i.
    fn images(count: usize) -> Vec<f32> {
        (0..count * EACH).map(|at| (at / EACH * 10) as f32 + (at % EACH) as f32 / 1000.0).collect()
    }

    #[test]
    fn mixup_is_the_weighted_sum_with_the_opposite() {
        let mix = Mix { mixup: 0.4, ..Mix::default() };
        let mut shares = Vec::new();
        for (number, count) in (0..300).zip([5, 4, 1].into_iter().cycle()) {
            let before = images(count);
            let mut after = before.clone();
            let share = mix.apply((3, 1, number), &mut after, SIZE);
            assert!((0.0..=1.0).contains(&share));
            for (at, value) in after.iter().enumerate() {
                let (own, other) = (before[at], before[(count - 1 - at / EACH) * EACH + at % EACH]);
                assert!((value - (own * (1.0 - share) + other * share)).abs() < 1e-4);
            }
            shares.push(share);
        }
        let mean = shares.iter().sum::<f32>() / 300.0;
        assert!((mean - 0.5).abs() < 0.07, "{mean}");
        // α = 0.4 has most of its weight at the ends: 0.39 within a twentieth of them.
        let ends = shares.iter().filter(|&&share| !(0.05..0.95).contains(&share)).count();
        assert!((85..150).contains(&ends), "{ends}");
    }

    #[test]
    fn cutmix_takes_a_rectangle_and_its_share() {
        let mix = Mix { cutmix: 1.0, ..Mix::default() };
        for number in 0..200 {
            let before = images(4);
            let mut after = before.clone();
            let share = mix.apply((3, 1, number), &mut after, SIZE);
            for picture in 0..4 {
                let other = 3 - picture;
                let mut taken = 0;
                for at in 0..EACH {
                    let value = after[picture * EACH + at];
                    let theirs = value == before[other * EACH + at];
                    assert!(theirs || value == before[picture * EACH + at]);
                    taken += usize::from(theirs);
                }
                assert_eq!(taken as f32 / EACH as f32, share, "batch {number}");
            }
        }
    }

    #[test]
    fn probabilities_are_kept_and_everything_repeats() {
        let mix = Mix { mixup: 1.0, cutmix: 1.0, p: 0.5, switch: 0.25 };
        let mut counts = [0; 3];
        for number in 0..2000 {
            let draw = mix.draw(SIZE, &mut Stream::new(1, 0, number, Mix::NAME));
            assert_eq!(draw, mix.draw(SIZE, &mut Stream::new(1, 0, number, Mix::NAME)));
            match draw {
                Draw::Nothing => counts[0] += 1,
                Draw::Blend(_) => counts[1] += 1,
                Draw::Cut(_) => counts[2] += 1,
            }
        }
        let [nothing, blend, cut]: [usize; 3] = counts;
        assert!(nothing.abs_diff(1000) < 100 && blend.abs_diff(750) < 100 && cut.abs_diff(250) < 70, "{counts:?}");
        assert_eq!(Mix::default().apply((0, 0, 0), &mut images(2), SIZE), 0.0);
    }
}
