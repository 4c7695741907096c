//! Masks: a class for every pixel.

mod classes;
mod read;
mod weights;
mod write;

pub use classes::{MaskClasses, default_colors};
pub(crate) use read::greatest_value;
pub use read::read_mask;
pub use weights::{class_weights, pixel_counts};
pub use write::encode_labels;

use crate::dataset::Dataset;
use crate::error::{DataError, Result};
use crate::picture::Picture;

/// The label of pixels that no class is asked for. So a data set with masks has at most 255 classes.
pub const IGNORE: u8 = 255;
/// The same in a batch's labels.
pub const IGNORED: u32 = u32::MAX;

/// A class for every pixel, rows from the top: `height × width` class indices, [`IGNORE`] where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelMap {
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `height × width` class indices.
    pub labels: Vec<u8>,
}

impl LabelMap {
    /// A map of the given size over `labels`; `None` unless there are exactly `height × width` of them and at least one.
    pub fn new(width: u32, height: u32, labels: Vec<u8>) -> Option<Self> {
        let pixels = u64::from(width) * u64::from(height);
        let whole = pixels > 0 && usize::try_from(pixels).is_ok_and(|n| n == labels.len());
        whole.then_some(Self { width, height, labels })
    }

    /// The map as a picture that transforms can move: black, which they leave where nothing of the picture comes to lie,
    /// stands for [`IGNORE`].
    pub(crate) fn to_picture(&self, picture: &mut Picture) {
        picture.reshape(self.width, self.height);
        for (pixel, label) in picture.pixels.chunks_exact_mut(3).zip(&self.labels) {
            pixel.fill(label.wrapping_add(1));
        }
    }
}

/// The label that a pixel of [`LabelMap::to_picture`] stands for, as batches have it.
pub(crate) fn label_of(pixel: &[u8]) -> u32 {
    match pixel.first().map_or(IGNORE, |value| value.wrapping_sub(1)) {
        IGNORE => IGNORED,
        class => u32::from(class),
    }
}

/// Decodes picture `index` of a data set with masks, and its mask, which must have the picture's size.
///
/// # Errors
/// [`DataError::MaskSize`], and those of [`Dataset::decode_into`] and [`Dataset::decode_mask_into`].
pub fn decode_pair(dataset: &dyn Dataset, index: usize, picture: &mut Picture, mask: &mut LabelMap) -> Result<()> {
    dataset.decode_into(index, picture)?;
    dataset.decode_mask_into(index, mask)?;
    if (mask.width, mask.height) != (picture.width, picture.height) {
        return Err(DataError::MaskSize {
            path: dataset.describe(index),
            picture: [picture.width, picture.height],
            mask: [mask.width, mask.height],
        });
    }
    Ok(())
}
