//! What every data set can do, and how a path becomes one.

use std::path::Path;
use std::sync::Arc;

use crate::datasets::{KINDS, class_map, decathlon, folder, masks};
use crate::error::{DataError, Result};
use crate::masks::{LabelMap, MaskClasses};
use crate::picture::{Limits, Picture};
use crate::random::Stream;

/// A set of labelled pictures.
///
/// Indices run over `0..len()`. `label` and `describe` return 0 and a placeholder for an index beyond.
pub trait Dataset: Send + Sync {
    /// The number of pictures.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Class names; a label is an index into them.
    fn classes(&self) -> &[String];

    /// The class of picture `index`; 0 where pictures have masks.
    fn label(&self, index: usize) -> u32;

    /// Where picture `index` comes from: its path, or `file[index]` for a packed file.
    fn describe(&self, index: usize) -> String;

    /// Decodes picture `index` into `picture`, whose buffer is reused where the format allows it.
    ///
    /// # Errors
    /// [`DataError::Picture`], [`DataError::TooLarge`] or [`DataError::Io`], all of which name the file.
    fn decode_into(&self, index: usize, picture: &mut Picture) -> Result<()>;

    /// Decodes picture `index`.
    ///
    /// # Errors
    /// As [`decode_into`](Self::decode_into).
    fn decode(&self, index: usize) -> Result<Picture> {
        let mut picture = Picture::default();
        self.decode_into(index, &mut picture)?;
        Ok(picture)
    }

    /// The classes of the masks, where each picture's target is a mask rather than one class.
    fn mask_classes(&self) -> Option<&MaskClasses> {
        None
    }

    /// Decodes the mask of picture `index` into `mask`.
    ///
    /// # Errors
    /// Those of [`read_mask`](crate::read_mask); [`DataError::Picture`] where pictures have no masks.
    fn decode_mask_into(&self, index: usize, mask: &mut LabelMap) -> Result<()> {
        let _ = mask;
        Err(DataError::picture(self.describe(index), "the data have one class for the whole picture, no mask"))
    }
}

/// How many pictures of each class `dataset` holds.
pub fn class_counts(dataset: &dyn Dataset) -> Vec<usize> {
    let mut counts = vec![0; dataset.classes().len()];
    for index in 0..dataset.len() {
        if let Some(count) = counts.get_mut(dataset.label(index) as usize) {
            *count += 1;
        }
    }
    counts
}

/// Some of another set's pictures, in a given order.
pub struct Subset {
    base: Arc<dyn Dataset>,
    indices: Vec<u32>,
}

impl Subset {
    /// The pictures of `base` that `indices` name.
    ///
    /// # Errors
    /// [`DataError::Option`] if an index is not below `base.len()`.
    pub fn new(base: Arc<dyn Dataset>, indices: Vec<u32>) -> Result<Self> {
        if let Some(index) = indices.iter().find(|&&i| i as usize >= base.len()) {
            return Err(DataError::Option {
                name: "subset index",
                value: index.to_string(),
                expected: "an index below the number of pictures",
            });
        }
        Ok(Self { base, indices })
    }

    fn at(&self, index: usize) -> usize {
        self.indices.get(index).map_or(usize::MAX, |&i| i as usize)
    }
}

impl Dataset for Subset {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn classes(&self) -> &[String] {
        self.base.classes()
    }

    fn label(&self, index: usize) -> u32 {
        self.base.label(self.at(index))
    }

    fn describe(&self, index: usize) -> String {
        self.base.describe(self.at(index))
    }

    fn decode_into(&self, index: usize, picture: &mut Picture) -> Result<()> {
        self.base.decode_into(self.at(index), picture)
    }

    fn mask_classes(&self) -> Option<&MaskClasses> {
        self.base.mask_classes()
    }

    fn decode_mask_into(&self, index: usize, mask: &mut LabelMap) -> Result<()> {
        self.base.decode_mask_into(self.at(index), mask)
    }
}

/// How [`open`] reads a path.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// The share of the training pictures of each class to hold out for validation, in [0, 1). `None`
    /// means 0.2 for a flat image folder (`DATA/CLASS/x.jpg`) and nothing for layouts with sets of
    /// their own. A layout that comes with a validation set keeps that.
    pub val_split: Option<f32>,
    /// Seed of that choice.
    pub seed: u64,
    /// Class names in the order of their indices, for example those of a trained model. Without them
    /// classes are the names of the folders, sorted by code point (as torchvision and Keras do).
    pub classes: Option<Vec<String>>,
    /// The same from a text file: line number = index. Not together with `classes`.
    pub class_map: Option<std::path::PathBuf>,
    /// Limits for the pictures' decoders.
    pub limits: Limits,
}

impl OpenOptions {
    /// The class names asked for, if any, from whichever of the two options.
    pub(crate) fn class_names(&self) -> Result<Option<Vec<String>>> {
        match (&self.classes, &self.class_map) {
            (Some(_), Some(path)) => Err(DataError::Option {
                name: "class_map",
                value: path.display().to_string(),
                expected: "no class map where the class names are given already",
            }),
            (Some(names), None) => Ok(Some(names.clone())),
            (None, Some(path)) => class_map(path).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// The sets found at a path.
#[derive(Clone)]
pub struct Splits {
    /// The layout, for messages: `image folder`, `IDX`, `CIFAR-10`, …
    pub kind: &'static str,
    /// Pictures to train on.
    pub train: Arc<dyn Dataset>,
    /// Pictures to choose by, if there are any.
    pub val: Option<Arc<dyn Dataset>>,
    /// Pictures to report on, if there are any.
    pub test: Option<Arc<dyn Dataset>>,
    /// Class names; every set's labels are indices into them.
    pub classes: Vec<String>,
    /// What the user should know: files passed over, classes missing from a set.
    pub notes: Vec<String>,
}

impl std::fmt::Debug for Splits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Splits")
            .field("kind", &self.kind)
            .field("train", &self.train.len())
            .field("val", &self.val.as_ref().map(|d| d.len()))
            .field("test", &self.test.as_ref().map(|d| d.len()))
            .field("classes", &self.classes)
            .field("notes", &self.notes)
            .finish()
    }
}

impl Splits {
    /// Holds a part of the training set out, class by class, if `fraction` is positive and there is no
    /// validation set yet.
    pub(crate) fn hold_out(mut self, fraction: f32, seed: u64) -> Result<Self> {
        if fraction <= 0.0 {
            return Ok(self);
        }
        if self.val.is_some() {
            self.notes.push("the validation split was not made: the data come with a validation set".into());
            return Ok(self);
        }
        let (train, val) = stratified(self.train.as_ref(), fraction, seed);
        if val.is_empty() {
            self.notes.push("no validation set: no class has a second picture to hold out".into());
            return Ok(self);
        }
        self.val = Some(Arc::new(Subset::new(self.train.clone(), val)?));
        self.train = Arc::new(Subset::new(self.train.clone(), train)?);
        Ok(self)
    }
}

/// Splits the indices of `dataset` in two, class by class: `(rest, held out)`, each ascending. Of a class
/// with n pictures `fraction`·n (rounded) are held out, but at least one of two or more, and never all.
/// A pure function of the labels, `fraction` and `seed`.
pub fn stratified(dataset: &dyn Dataset, fraction: f32, seed: u64) -> (Vec<u32>, Vec<u32>) {
    let mut by_class = vec![Vec::new(); dataset.classes().len()];
    for index in 0..dataset.len() {
        if let (Some(of), Ok(index)) = (by_class.get_mut(dataset.label(index) as usize), u32::try_from(index)) {
            of.push(index);
        }
    }
    let (mut rest, mut held) = (Vec::new(), Vec::new());
    for (class, mut indices) in by_class.into_iter().enumerate() {
        let n = indices.len();
        Stream::new(seed, 0, class as u64, "split").shuffle(&mut indices);
        let wanted = (n as f64 * f64::from(fraction)).round() as usize;
        let take = if n < 2 || fraction <= 0.0 { 0 } else { wanted.clamp(1, n - 1) };
        held.extend_from_slice(&indices[..take]);
        rest.extend_from_slice(&indices[take..]);
    }
    rest.sort_unstable();
    held.sort_unstable();
    (rest, held)
}

/// Opens the data set at `path` for training; the layout is detected.
///
/// # Errors
/// [`DataError::UnknownLayout`] (which lists the layouts) if nothing fits, [`DataError::TooFewClasses`],
/// and whatever is wrong with the files of the layout that fits.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Splits> {
    if let Some(split) = options.val_split
        && !(0.0..1.0).contains(&split)
    {
        let expected = "a share of at least 0 and below 1";
        return Err(DataError::Option { name: "val_split", value: split.to_string(), expected });
    }
    let splits = find(path, options)?;
    if splits.classes.len() < 2 {
        return Err(DataError::TooFewClasses { path: path.to_path_buf(), count: splits.classes.len() });
    }
    let flat = matches!(splits.kind, folder::FLAT | masks::FLAT);
    let fraction = options.val_split.unwrap_or(if flat { 0.2 } else { 0.0 });
    splits.hold_out(fraction, options.seed)
}

/// The one set that [`open_eval`] chose.
#[derive(Clone)]
pub struct EvalSet {
    /// The pictures.
    pub dataset: Arc<dyn Dataset>,
    /// Which set of the data it is: `test`, `val`, `train`, or `all` of a flat image folder.
    pub name: &'static str,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Opens the one set at `path` to evaluate on: the test set if there is one, else the validation set,
/// else everything (a flat image folder whole). Give the model's class names in
/// [`OpenOptions::classes`]: the set's classes are mapped to them by name.
///
/// # Errors
/// As [`open`], except that one class is enough and a folder without `train` will do.
pub fn open_eval(path: &Path, options: &OpenOptions) -> Result<EvalSet> {
    let has_masks = path.is_dir() && masks::is_here(path)?;
    if !has_masks
        && !decathlon::is_here(path)
        && let Some(found) = folder::open_eval(path, options)?
    {
        return Ok(found);
    }
    let splits = find(path, options)?;
    let rest = if matches!(splits.kind, folder::FLAT | masks::FLAT) { "all" } else { "train" };
    let (dataset, name) = match (splits.test, splits.val) {
        (Some(test), _) => (test, "test"),
        (None, Some(val)) => (val, "val"),
        (None, None) => (splits.train, rest),
    };
    Ok(EvalSet { dataset, name, notes: splits.notes })
}

fn find(path: &Path, options: &OpenOptions) -> Result<Splits> {
    let meta = std::fs::metadata(path).map_err(|e| DataError::io(path, e))?;
    if !meta.is_dir() {
        return Err(DataError::UnknownLayout {
            path: path.to_path_buf(),
            found: "a file where a folder is expected".into(),
        });
    }
    for kind in KINDS {
        if let Some(splits) = kind(path, options)? {
            return Ok(splits);
        }
    }
    let empty = std::fs::read_dir(path).map_err(|e| DataError::io(path, e))?.next().is_none();
    let found = if empty { "the folder is empty" } else { "no data set was recognised in this folder" };
    Err(DataError::UnknownLayout { path: path.to_path_buf(), found: found.into() })
}
