//! Data sets, decoding, augmentation, batches.
//!
//! ```
//! use sepal_data::{Augment, LastBatch, Loader, LoaderOptions, Pipeline, Preprocess, order, sample};
//!
//! let data = sample()?;
//! let view = Preprocess { size: [28, 28], ..Preprocess::default() };
//! let augment = Augment { hflip: 0.5, crop_padding: Some(2), ..Augment::default() };
//! let (seed, epoch) = (1, 0);
//! let options = LoaderOptions { batch_size: 64, last: LastBatch::Merge, seed, epoch, ..LoaderOptions::default() };
//! let order = order(data.train.len(), seed, epoch);
//! let mut loader = Loader::new(data.train, order, Pipeline::train(view, &augment)?, options)?;
//! while let Some(batch) = loader.next() {
//!     let batch = batch?;
//!     assert_eq!(batch.images.len(), batch.labels.len() * 3 * 28 * 28);
//!     loader.recycle(batch);
//! # break;
//! }
//! # Ok::<(), sepal_data::DataError>(())
//! ```
//!
//! A path becomes [`Splits`] (see [`open`]), a set is a [`Dataset`], a picture becomes numbers through one
//! [`Preprocess`] in training, evaluation and prediction alike, a [`Pipeline`] adds what training varies,
//! and a [`Loader`] makes batches of it in worker threads. What is drawn at random depends on
//! (seed, epoch, index) and nothing else ([`Stream`]).

mod check;
mod dataset;
mod datasets;
mod error;
mod jpeg;
mod loader;
mod masks;
mod picture;
mod preprocess;
mod random;
mod sampling;
mod scenes;
mod stats;
mod transforms;

pub use check::{Report, check};
pub use dataset::{Dataset, EvalSet, OpenOptions, Splits, Subset, class_counts, open, open_eval, stratified};
pub use datasets::{SAMPLE_CLASSES, class_map, decathlon_sets, sample};
pub use error::{DataError, Result};
pub use loader::{Batch, LastBatch, Loader, LoaderOptions, Skipped};
pub use masks::{
    IGNORE, IGNORED, LabelMap, MaskClasses, class_weights, decode_pair, default_colors, encode_labels, pixel_counts,
    read_mask,
};
pub use picture::{EXTENSIONS, Limits, Picture, decode_picture, is_picture_name, read_picture};
pub use preprocess::{Filter, Preprocess, ResizeMode, Scratch};
pub use random::{Stream, order};
pub use sampling::Sampling;
pub use scenes::{SCENE_CLASSES, Scenes, write_scenes};
pub use stats::mean_std;
pub use transforms::{
    Augment, ColorJitter, ErasingFill, Mix, Pipeline, Policy, RandomErasing, RandomResizedCrop, ScaleCrop, Transform,
};
