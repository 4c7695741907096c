//! TrivialAugment and RandAugment: operations and strengths drawn at random, with torchvision's ranges.

use serde::{Deserialize, Serialize};

use super::Transform;
use super::operation::Operation;
use crate::error::{DataError, Result};
use crate::picture::Picture;
use crate::random::Stream;

/// Steps of an operation's strength, beside none at all.
const LEVELS: u32 = 30;
const MAX_OPERATIONS: usize = 14;
/// The largest translation of RandAugment as a share of the picture's side.
const TRANSLATION: f32 = 150.0 / 331.0;

/// Which operations a picture is changed by. Places where nothing of the picture comes to lie are black.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Policy {
    /// One operation of any strength, over wide ranges (Müller & Hutter 2021, arXiv:2103.10158).
    Trivial {},
    /// Several operations of one strength (Cubuk et al. 2019, arXiv:1909.13719).
    Rand {
        /// Operations a picture, 1 to 14.
        #[serde(default = "operations")]
        operations: usize,
        /// Their strength, 0 to 30.
        #[serde(default = "magnitude")]
        magnitude: u32,
    },
}

impl Policy {
    /// The policies' names, as a recipe's `augment.policy.kind`.
    pub const NAMES: [&str; 2] = ["trivial", "rand"];

    /// The policy of this name with its default parameters (two operations of strength 9); `None` for an unknown name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "trivial" => Some(Self::Trivial {}),
            "rand" => Some(Self::Rand { operations: operations(), magnitude: magnitude() }),
            _ => None,
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        let Self::Rand { operations, magnitude } = *self else { return Ok(()) };
        if !(1..=MAX_OPERATIONS).contains(&operations) {
            let expected = "a whole number from 1 to 14";
            return Err(DataError::Option { name: "policy.operations", value: operations.to_string(), expected });
        }
        if magnitude > LEVELS {
            let expected = "a whole number from 0 to 30";
            return Err(DataError::Option { name: "policy.magnitude", value: magnitude.to_string(), expected });
        }
        Ok(())
    }

    /// How strong `operation` is at `level` of a picture of this width and height.
    fn strength(&self, operation: Operation, level: u32, [width, height]: [u32; 2]) -> f32 {
        let share = level as f32 / LEVELS as f32;
        let wide = matches!(self, Self::Trivial {});
        let side = |side: u32| if wide { 32.0 } else { TRANSLATION * side as f32 };
        match operation {
            Operation::Identity | Operation::AutoContrast | Operation::Equalize => 0.0,
            Operation::ShearX | Operation::ShearY => share * if wide { 0.99 } else { 0.3 },
            Operation::TranslateX => share * side(width),
            Operation::TranslateY => share * side(height),
            Operation::Rotate => share * if wide { 135.0 } else { 30.0 },
            Operation::Brightness | Operation::Color | Operation::Contrast | Operation::Sharpness => {
                share * if wide { 0.99 } else { 0.9 }
            }
            Operation::Posterize => 8.0 - (share * if wide { 6.0 } else { 4.0 }).round_ties_even(),
            Operation::Solarize => 255.0 * (1.0 - share),
        }
    }
}

impl Transform for Policy {
    fn name(&self) -> &'static str {
        "policy"
    }

    fn apply(&self, picture: &mut Picture, spare: &mut Picture, random: &mut Stream) {
        self.carry_out(|_| true, picture, spare, random);
    }

    fn follow(&self, mask: &mut Picture, spare: &mut Picture, random: &mut Stream) {
        self.carry_out(Operation::moves, mask, spare, random);
    }
}

impl Policy {
    /// Draws operations and applies those that `counts`.
    fn carry_out(
        &self,
        counts: fn(Operation) -> bool,
        picture: &mut Picture,
        spare: &mut Picture,
        random: &mut Stream,
    ) {
        let (count, level) = match *self {
            Self::Trivial {} => (1, None),
            Self::Rand { operations, magnitude } => (operations, Some(magnitude)),
        };
        for _ in 0..count {
            let operation = Operation::ALL[random.below(Operation::ALL.len() as u32) as usize];
            let level = level.unwrap_or_else(|| random.below(LEVELS + 1));
            let strength = self.strength(operation, level, [picture.width, picture.height]);
            let sign = if operation.is_signed() && random.chance(0.5) { -1.0 } else { 1.0 };
            if counts(operation) {
                operation.apply(sign * strength, picture, spare);
            }
        }
    }
}

fn operations() -> usize {
    2
}

fn magnitude() -> u32 {
    9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strengths_are_torchvisions() {
        let rand = Policy::named("rand").unwrap();
        let trivial = Policy::named("trivial").unwrap();
        let near = |a: f32, b: f32| assert!((a - b).abs() < 1e-4, "{a} {b}");
        // Level, then `TrivialAugmentWide` and `RandAugment` of torchvision with 31 bins, for 331×662 pixels.
        for (operation, level, wide, narrow) in [
            (Operation::ShearX, 30, 0.99, 0.3),
            (Operation::TranslateX, 15, 16.0, 75.0),
            (Operation::TranslateY, 30, 32.0, 300.0),
            (Operation::Rotate, 9, 40.5, 9.0),
            (Operation::Color, 10, 0.33, 0.3),
            (Operation::Posterize, 9, 6.0, 7.0),
            (Operation::Posterize, 30, 2.0, 4.0),
            (Operation::Solarize, 9, 178.5, 178.5),
            (Operation::Equalize, 30, 0.0, 0.0),
        ] {
            near(trivial.strength(operation, level, [331, 662]), wide);
            near(rand.strength(operation, level, [331, 662]), narrow);
        }
    }

    #[test]
    fn every_operation_is_drawn_and_sizes_stay() {
        let original = Picture::new(7, 5, (0..105).map(|at| (at * 37 % 251) as u8).collect()).unwrap();
        for policy in [Policy::Trivial {}, Policy::Rand { operations: 3, magnitude: 30 }] {
            let mut results = std::collections::HashSet::new();
            for index in 0..400 {
                let (mut picture, mut spare) = (original.clone(), Picture::default());
                policy.apply(&mut picture, &mut spare, &mut Stream::new(1, 0, index, "policy"));
                assert!(picture.is_whole() && (picture.width, picture.height) == (7, 5));
                let mut again = original.clone();
                policy.apply(&mut again, &mut spare, &mut Stream::new(1, 0, index, "policy"));
                assert_eq!(picture, again);
                results.insert(picture.pixels);
            }
            assert!(results.len() > 100, "{policy:?}: {} different pictures", results.len());
        }
    }
}
