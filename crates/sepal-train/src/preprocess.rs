//! Preprocessing in its two forms: as a model file states it, and as the loader applies it.

use sepal_data::{Preprocess, ResizeMode, Splits, mean_std};
use sepal_graph::{ColorOrder, Filter, Preprocessing, Resize, Task};

use crate::error::{Error, Result};
use crate::recipe::{self, Recipe};

/// Pictures whose mean and deviation are taken.
const MEASURED: usize = 2048;

/// The loader's form of a model's preprocessing.
#[must_use]
pub fn loader_form(stated: &Preprocessing) -> Preprocess {
    let resize = match stated.resize {
        Resize::ShortSide { crop_pct } => ResizeMode::ShortSideCrop { crop_pct },
        // Leaves a picture of the input's size as it is.
        Resize::Squash | Resize::Exact => ResizeMode::Squash,
    };
    let filter = match stated.filter {
        Filter::Nearest => sepal_data::Filter::Nearest,
        Filter::Bilinear => sepal_data::Filter::Bilinear,
        Filter::Bicubic => sepal_data::Filter::Bicubic,
        Filter::Lanczos3 => sepal_data::Filter::Lanczos,
    };
    let bgr = stated.color_order == ColorOrder::Bgr;
    Preprocess { size: stated.size, resize, filter, mean: stated.mean, std: stated.std, bgr }
}

/// The preprocessing of a run; mean and deviation are those of the training pictures where the recipe
/// gives none.
pub(crate) fn from_recipe(recipe: &Recipe, data: &Splits) -> Result<Preprocessing> {
    let of = &recipe.preprocessing;
    let (mean, std) = match (of.mean, of.std) {
        (Some(mean), Some(std)) => (mean, std),
        (given_mean, given_std) => {
            let (mean, std) = mean_std(data.train.as_ref(), MEASURED)?;
            (given_mean.unwrap_or(mean), given_std.unwrap_or(std))
        }
    };
    let resize = match of.resize {
        recipe::Resize::ShortSide => Resize::ShortSide { crop_pct: of.crop_pct },
        recipe::Resize::Squash => Resize::Squash,
        recipe::Resize::Keep => Resize::Exact,
    };
    let size = [recipe.size; 2];
    Ok(Preprocessing { size, mean, std, resize, filter: of.filter, color_order: ColorOrder::Rgb })
}

/// The loader's form of what a model's metadata state.
pub(crate) fn of_meta(meta: &sepal_graph::Meta) -> Result<Preprocess> {
    let stated = meta.preprocessing.as_ref().ok_or_else(|| {
        Error::Mismatch("the model does not state its preprocessing, so pictures cannot be prepared for it".into())
    })?;
    let form = loader_form(stated);
    // A segmenter takes what comes.
    let keeps = meta.task == Task::Segment && stated.resize == Resize::Exact;
    Ok(if keeps { Preprocess { resize: ResizeMode::Keep, ..form } } else { form })
}
