//! A look at every picture before training does it.

use crate::dataset::{Dataset, class_counts};
use crate::loader::Skipped;
use crate::masks::{IGNORE, LabelMap, decode_pair};
use crate::picture::Picture;

/// What [`check`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Pictures in the set, readable or not.
    pub pictures: usize,
    /// Those that cannot be read, and why.
    pub bad: Vec<Skipped>,
    /// Pictures of each class, readable or not; of data with masks pixels of each class.
    pub class_counts: Vec<usize>,
    /// Pixels that have no class, of data with masks.
    pub ignored: Option<u64>,
    /// Masks without a pixel of any class, by the pictures' names.
    pub empty: Vec<String>,
    /// Least and greatest width of the readable ones; zeros if there are none.
    pub width: [u32; 2],
    /// Least and greatest height of the readable ones.
    pub height: [u32; 2],
    /// Readable pictures whose three channels are equal everywhere.
    pub grey: usize,
}

/// Decodes every picture of `dataset`. `progress` is called with the number done after each one.
pub fn check(dataset: &dyn Dataset, mut progress: impl FnMut(usize)) -> Report {
    let mut report = Report {
        pictures: dataset.len(),
        bad: Vec::new(),
        class_counts: class_counts(dataset),
        ignored: None,
        empty: Vec::new(),
        width: [u32::MAX, 0],
        height: [u32::MAX, 0],
        grey: 0,
    };
    let (mut picture, mut mask) = (Picture::default(), LabelMap::default());
    let masks = dataset.mask_classes().is_some();
    let mut pixels = [0usize; 256];
    for index in 0..dataset.len() {
        let read = match masks {
            true => decode_pair(dataset, index, &mut picture, &mut mask),
            false => dataset.decode_into(index, &mut picture),
        };
        match read {
            Ok(()) => {
                mask.labels.iter().for_each(|&label| pixels[usize::from(label)] += 1);
                if masks && mask.labels.iter().all(|&label| label == IGNORE) {
                    report.empty.push(dataset.describe(index));
                }
                report.width = [report.width[0].min(picture.width), report.width[1].max(picture.width)];
                report.height = [report.height[0].min(picture.height), report.height[1].max(picture.height)];
                report.grey += usize::from(picture.pixels.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]));
            }
            Err(error) => report.bad.push(Skipped::new(dataset, index, &error)),
        }
        progress(index + 1);
    }
    if masks {
        report.class_counts = pixels[..dataset.classes().len().min(usize::from(IGNORE))].to_vec();
        report.ignored = Some(pixels[usize::from(IGNORE)] as u64);
    }
    if report.bad.len() == report.pictures {
        (report.width, report.height) = ([0; 2], [0; 2]);
    }
    report
}
