//! Which pictures an epoch visits.

use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::error::{DataError, Result};
use crate::random::{Stream, order};

const MAX_REPEATS: usize = 1000;

/// Which pictures an epoch visits, and how often. An epoch always has as many as the set; by default each of them once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Whether classes are visited equally often, whatever their number of pictures: those of rare classes come again,
    /// of frequent ones some wait for another epoch.
    pub balanced: bool,
    /// How often a picture comes in a row, each time augmented anew, at least 1 (Hoffer et al. 2019, arXiv:1901.09335). An
    /// epoch then has so many times fewer different ones.
    pub repeats: usize,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { balanced: false, repeats: 1 }
    }
}

impl Sampling {
    /// Checks every field.
    ///
    /// # Errors
    /// [`DataError::Option`] with the field, its value and its range.
    pub fn validate(&self) -> Result<()> {
        if (1..=MAX_REPEATS).contains(&self.repeats) {
            return Ok(());
        }
        let expected = "a whole number from 1 to 1000";
        Err(DataError::Option { name: "sampling.repeats", value: self.repeats.to_string(), expected })
    }

    /// The pictures of `dataset` in the order of `epoch`, which depends on the labels, `seed` and `epoch` alone.
    pub fn order(&self, dataset: &dyn Dataset, seed: u64, epoch: u64) -> Vec<u32> {
        let mut pictures = order(dataset.len(), seed, epoch);
        if self.balanced {
            pictures = balance(&pictures, dataset, &mut Stream::new(seed, epoch, 0, "balance"));
        }
        if self.repeats > 1 {
            let len = pictures.len();
            let repeated = pictures.into_iter().flat_map(|picture| std::iter::repeat_n(picture, self.repeats));
            pictures = repeated.take(len).collect();
        }
        pictures
    }
}

/// As many pictures as `pictures`, of each class the same number but for one.
fn balance(pictures: &[u32], dataset: &dyn Dataset, random: &mut Stream) -> Vec<u32> {
    let mut classes = vec![Vec::new(); dataset.classes().len()];
    for &picture in pictures {
        if let Some(class) = classes.get_mut(dataset.label(picture as usize) as usize) {
            class.push(picture);
        }
    }
    classes.retain(|class| !class.is_empty());
    if classes.is_empty() {
        return pictures.to_vec();
    }
    // Chance decides which classes have one more.
    random.shuffle(&mut classes);
    let (each, more) = (pictures.len() / classes.len(), pictures.len() % classes.len());
    let mut drawn = Vec::with_capacity(pictures.len());
    for (at, mut class) in classes.into_iter().enumerate() {
        let mut left = each + usize::from(at < more);
        while left > 0 {
            let count = left.min(class.len());
            drawn.extend_from_slice(&class[..count]);
            left -= count;
            // Nothing comes a second time before all have come.
            random.shuffle(&mut class);
        }
    }
    random.shuffle(&mut drawn);
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Picture;

    /// Ten pictures of the first class, three of the second, none of the third, one of the fourth.
    struct Uneven(Vec<String>);

    const LABELS: [u32; 14] = [0, 0, 0, 1, 0, 0, 3, 0, 0, 1, 0, 0, 1, 0];

    impl Dataset for Uneven {
        fn len(&self) -> usize {
            LABELS.len()
        }
        fn classes(&self) -> &[String] {
            &self.0
        }
        fn label(&self, index: usize) -> u32 {
            LABELS[index]
        }
        fn describe(&self, index: usize) -> String {
            index.to_string()
        }
        fn decode_into(&self, _: usize, _: &mut Picture) -> Result<()> {
            Ok(())
        }
    }

    fn uneven() -> Uneven {
        Uneven(["a", "b", "c", "d"].map(String::from).to_vec())
    }

    fn counts(order: &[u32]) -> [usize; 14] {
        let mut counts = [0; 14];
        order.iter().for_each(|&picture| counts[picture as usize] += 1);
        counts
    }

    #[test]
    fn by_default_each_picture_comes_once() {
        assert_eq!(Sampling::default().order(&uneven(), 3, 4), order(14, 3, 4));
    }

    #[test]
    fn classes_come_equally_often_and_their_pictures_evenly() {
        let sampling = Sampling { balanced: true, repeats: 1 };
        let mut all = [0; 14];
        for epoch in 0..300 {
            let order = sampling.order(&uneven(), 3, epoch);
            assert_eq!(order, sampling.order(&uneven(), 3, epoch));
            let counts = counts(&order);
            let mut classes = [0; 4];
            for (label, count) in LABELS.iter().zip(counts) {
                classes[*label as usize] += count;
            }
            // 14 = 5 + 5 + 4.
            assert!(classes[2] == 0 && [0, 1, 3].iter().all(|&class| [4, 5].contains(&classes[class])), "{classes:?}");
            assert_eq!(order.len(), 14);
            assert!((0..14).filter(|&at| LABELS[at] == 0).all(|at| counts[at] <= 1));
            assert!((0..14).filter(|&at| LABELS[at] == 1).all(|at| (1..=2).contains(&counts[at])));
            all.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        // Of the first class every picture comes in 14 / 3 / 10 of the epochs.
        assert!((0..14).filter(|&at| LABELS[at] == 0).all(|at| (100..185).contains(&all[at])), "{all:?}");
        assert_ne!(sampling.order(&uneven(), 3, 0), sampling.order(&uneven(), 3, 1));
    }

    #[test]
    fn repeats_are_in_a_row_and_no_epoch_is_longer() {
        let order = Sampling { balanced: false, repeats: 4 }.order(&uneven(), 1, 2);
        assert_eq!(order.len(), 14);
        assert!(order.chunks(4).all(|group| group.iter().all(|picture| picture == &group[0])));
        assert_eq!(counts(&order).iter().filter(|&&count| count > 0).count(), 4);
        assert!(Sampling { balanced: false, repeats: 0 }.validate().is_err());
    }
}
