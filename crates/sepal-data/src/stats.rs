//! Statistics of a data set's pixels.

use crate::dataset::Dataset;
use crate::error::{DataError, Result};
use crate::picture::Picture;

/// A deviation that normalisation can divide by, for sets whose pictures are all of one colour.
const LEAST_STD: f64 = 1.0 / 255.0;

/// Mean and standard deviation of red, green and blue on a scale of 0 to 1, over at most `sample`
/// pictures taken at even distances (all, if `sample` is 0). Every picture weighs the same whatever its
/// size. The sums within a picture are whole numbers and those over pictures are taken in order, so the
/// result is the same bits every time. Pictures that cannot be read are left out. A deviation is at
/// least 1/255.
///
/// # Errors
/// [`DataError::TooFewPictures`] if no picture can be read.
pub fn mean_std(dataset: &dyn Dataset, sample: usize) -> Result<([f32; 3], [f32; 3])> {
    let len = dataset.len();
    let take = if sample == 0 { len } else { sample.min(len) };
    let mut picture = Picture::default();
    let (mut sum, mut squares, mut count) = ([0.0f64; 3], [0.0f64; 3], 0usize);
    let mut first_cause = None;
    for i in 0..take {
        let index = (i as u128 * len as u128 / take as u128) as usize;
        if let Err(error) = dataset.decode_into(index, &mut picture) {
            first_cause.get_or_insert_with(|| error.to_string());
            continue;
        }
        let (mut s, mut q) = ([0u64; 3], [0u64; 3]);
        for rgb in picture.pixels.chunks_exact(3) {
            for c in 0..3 {
                let x = u64::from(rgb[c]);
                s[c] += x;
                q[c] += x * x;
            }
        }
        let pixels = (picture.pixels.len() / 3).max(1) as f64;
        for c in 0..3 {
            sum[c] += s[c] as f64 / (255.0 * pixels);
            squares[c] += q[c] as f64 / (255.0 * 255.0 * pixels);
        }
        count += 1;
    }
    if count == 0 {
        let why = first_cause.unwrap_or_else(|| "the data set is empty".into());
        return Err(DataError::TooFewPictures { pictures: 0, why });
    }
    let mean = sum.map(|s| s / count as f64);
    let mut std = [0.0; 3];
    for c in 0..3 {
        std[c] = (squares[c] / count as f64 - mean[c] * mean[c]).max(0.0).sqrt().max(LEAST_STD) as f32;
    }
    Ok((mean.map(|m| m as f32), std))
}
