//! How often each class is there, and what it should weigh for that.

use super::{IGNORE, LabelMap};
use crate::dataset::Dataset;
use crate::error::{DataError, Result};

/// Pixels of each class in the masks of `dataset`, and of those that no class is asked for. Masks that cannot be read are left
/// out; `progress` is called with the number done after each one.
pub fn pixel_counts(dataset: &dyn Dataset, mut progress: impl FnMut(usize)) -> (Vec<u64>, u64) {
    let mut counts = [0u64; 256];
    let mut mask = LabelMap::default();
    for index in 0..dataset.len() {
        if dataset.decode_mask_into(index, &mut mask).is_ok() {
            mask.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        }
        progress(index + 1);
    }
    let classes = dataset.classes().len().min(usize::from(IGNORE));
    (counts[..classes].to_vec(), counts[usize::from(IGNORE)])
}

/// A weight for each class: 1/ln(`c` + its share of the pixels that have a class), the more the rarer it is. With `c` = 1.10
/// as ESPNet was trained (Mehta et al. 2018, arXiv:1803.06815); the formula is ENet's (Paszke et al. 2016, arXiv:1606.02147).
///
/// # Errors
/// [`DataError::AllIgnored`] if no pixel has a class.
pub fn class_weights(counts: &[u64], c: f64) -> Result<Vec<f32>> {
    let all: u64 = counts.iter().sum();
    if all == 0 {
        return Err(DataError::AllIgnored);
    }
    Ok(counts.iter().map(|&count| (1.0 / (c + count as f64 / all as f64).ln()) as f32).collect())
}
