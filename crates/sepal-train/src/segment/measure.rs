//! How well a segmenter does on pictures with masks.

use std::sync::Arc;

use sepal_data::{Dataset, IGNORE, LabelMap, Picture, decode_pair};
use sepal_graph::Model;
use sepal_kernels::pool::Pool;

use super::{SegmentOptions, Segmenter};
use crate::error::{Error, Result};
use crate::evaluate::EvalOptions;
use crate::metric::{Collector, Metrics};
use crate::observer::Observer;

/// Measures `model` on every readable picture of `dataset` at the pictures' own sizes, pixel by pixel.
pub(crate) fn measure(
    model: &Model,
    dataset: &Arc<dyn Dataset>,
    pool: &Arc<dyn Pool>,
    options: &EvalOptions,
    observer: &mut dyn Observer,
) -> Result<Metrics> {
    let segment = SegmentOptions { level: options.level, ..SegmentOptions::default() };
    let mut segmenter = Segmenter::new(model, Arc::clone(pool), segment)?;
    let classes = segmenter.classes();
    let mut collector = Collector::new(classes);
    let (mut picture, mut mask) = (Picture::default(), LabelMap::default());
    let (mut images, mut skipped, mut first) = (0, 0, None);
    let mut scores = vec![0.0; classes];
    for index in 0..dataset.len() {
        match decode_pair(dataset.as_ref(), index, &mut picture, &mut mask) {
            Ok(()) => {
                images += 1;
                let width = picture.width as usize;
                segmenter.run(&picture, &mut |tile| {
                    let plane = tile.size[0] * tile.size[1];
                    tile.pixels(|y, x, place| {
                        let label = mask.labels[y * width + x];
                        if label != IGNORE {
                            let of = tile.logits[place..].iter().step_by(plane);
                            scores.iter_mut().zip(of).for_each(|(score, of)| *score = *of);
                            collector.add(&scores, &[u32::from(label)]);
                        }
                    });
                })?;
            }
            Err(error) if options.strict => return Err(error.into()),
            Err(error) => {
                let one = sepal_data::Skipped::new(dataset.as_ref(), index, &error);
                first.get_or_insert_with(|| format!("{}: {}", one.path, one.cause));
                observer.skipped(&one);
                skipped += 1;
            }
        }
        observer.measured(index + 1, dataset.len());
    }
    match (images, collector.images()) {
        (0, _) => {
            let first = first.unwrap_or_else(|| "there is none".into());
            Err(Error::NoPictures { pictures: dataset.len(), first })
        }
        (_, 0) => Err(Error::Mismatch("every pixel of the masks to measure on is ignored".into())),
        (images, pixels) => Ok(Metrics { images, pixels: Some(pixels), ..collector.finish(skipped) }),
    }
}
