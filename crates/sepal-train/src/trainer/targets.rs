//! What a run's labels are: what classes weigh, and labels of pixels.

use sepal_data::Splits;
use sepal_graph::Graph;

use crate::error::{Error, Result};
use crate::recipe::{ClassWeights, Recipe, Resize};
use crate::segment;

/// What each class weighs; nothing where all count alike.
pub(super) fn class_weights(recipe: &Recipe, data: &Splits) -> Result<Vec<f32>> {
    let Some(ClassWeights { c }) = recipe.class_weights else { return Ok(Vec::new()) };
    if recipe.augment.mix.is_some() {
        return Err(Error::Mismatch(
            "pictures that are mixed of two cannot be weighted by their class: drop class_weights or mix".into(),
        ));
    }
    let counts = match data.train.mask_classes() {
        Some(_) => sepal_data::pixel_counts(data.train.as_ref(), |_| {}).0,
        None => sepal_data::class_counts(data.train.as_ref()).into_iter().map(|count| count as u64).collect(),
    };
    Ok(sepal_data::class_weights(&counts, c)?)
}

/// Whether a recipe is one for pictures with masks.
pub(super) fn check_masks(recipe: &Recipe, graph: &Graph) -> Result<()> {
    if recipe.augment.mix.is_some() {
        return Err(Error::recipe("augment.mix", "on", "left out where pictures have masks"));
    }
    if recipe.sampling.balanced {
        return Err(Error::recipe(
            "sampling.balanced",
            true,
            "false where pictures have masks: class_weights balance them",
        ));
    }
    if recipe.preprocessing.resize == Resize::ShortSide {
        let expected = "keep or squash where pictures have masks: what a crop leaves out has no class";
        return Err(Error::recipe("preprocessing.resize", "short_side", expected));
    }
    let multiple = segment::multiple(graph)?;
    if !recipe.size.is_multiple_of(multiple) {
        return Err(Error::recipe(
            "size",
            recipe.size,
            format!("a multiple of {multiple}, by which the network halves it"),
        ));
    }
    Ok(())
}

/// Brings the labels of `images` pictures to the size of an output: each of its places has the label of the pixel that it is
/// centred at, as strided convolutions place it.
pub(super) fn shrink_labels(labels: &[u32], [h, w]: [usize; 2], [height, width]: [usize; 2], to: &mut Vec<u32>) {
    to.clear();
    for picture in labels.chunks_exact(h * w) {
        for y in 0..height {
            let row = &picture[y * h / height * w..][..w];
            to.extend((0..width).map(|x| row[x * w / width]));
        }
    }
}
