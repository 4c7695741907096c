//! The Visual Decathlon as it is distributed (Rebuffi et al. 2017, arXiv:1705.08045;
//! <https://www.robots.ox.ac.uk/~vgg/decathlon/>): pictures whose shorter side has 72 pixels, and annotations in COCO's JSON.
//!
//! ```text
//! ROOT/annotations/NAME_train.json, NAME_val.json, NAME_test_stripped.json
//! ROOT/data/NAME/train/CLASS/x.jpg, …
//! ```
//!
//! Paths, ids and classes come from the JSON files, not from the folders; the test pictures' labels are not given away
//! with them. Where `NAME_test.json` is there, which the organisers published later, the test set has labels. Mean and
//! deviation of the pixels are measured on the training pictures as for any data; the organisers' own are a pickle of
//! Python objects, which is not read: the recipes of ResDSC for these data sets state them.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::folder::Folder;
use crate::dataset::{Dataset, OpenOptions, Splits};
use crate::error::{DataError, Result};
use crate::picture::is_picture_name;

const KIND: &str = "Visual Decathlon";

/// The annotations of ImageNet's training pictures, the largest, have about half of this.
const MAX_JSON: u64 = 512 << 20;

/// What is read of an annotation file; widths and heights are the pictures' own affair.
#[derive(Deserialize)]
struct Annotations {
    images: Vec<Image>,
    #[serde(default)]
    annotations: Vec<Annotation>,
    #[serde(default)]
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    category_id: u64,
}

#[derive(Deserialize)]
struct Category {
    id: u64,
    name: String,
}

/// A data set of the challenge: `ROOT/data/NAME` with its annotations.
struct Located {
    root: PathBuf,
    name: String,
}

/// The data sets of the Visual Decathlon at `path` by name, each with the folder that [`open`](crate::open) takes:
/// `ROOT/data/NAME`. Empty if `path` is not the challenge's folder (`ROOT`, or the one above it).
///
/// # Errors
/// [`DataError::Io`] if a folder cannot be listed.
pub fn decathlon_sets(path: &Path) -> Result<Vec<(String, PathBuf)>> {
    let Some(root) = root_at(path) else { return Ok(Vec::new()) };
    Ok(names(&root)?.into_iter().map(|name| (name.clone(), root.join("data").join(name))).collect())
}

pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Option<Splits>> {
    match locate(path)? {
        Some(located) => located.read(options).map(Some),
        None => Ok(None),
    }
}

/// Whether `path` belongs to the challenge; its data sets look like image folders, but their test folders have no classes.
pub(crate) fn is_here(path: &Path) -> bool {
    root_at(path).is_some() || of_data_set(path).is_some()
}

/// The folder with `annotations` and `data`.
fn root_at(path: &Path) -> Option<PathBuf> {
    let has_both = |root: &Path| root.join("data").is_dir() && names(root).is_ok_and(|names| !names.is_empty());
    [path.to_path_buf(), path.join("decathlon-1.0")].into_iter().find(|root| has_both(root))
}

/// `path` as `ROOT/data/NAME`.
fn of_data_set(path: &Path) -> Option<Located> {
    let whole = path.canonicalize().ok()?;
    let name = whole.file_name()?.to_str()?.to_owned();
    let data = whole.parent().filter(|data| data.file_name().is_some_and(|n| n == "data"))?;
    let root = data.parent()?.to_path_buf();
    annotation_file(&root, &name, "train").is_file().then_some(Located { root, name })
}

fn locate(path: &Path) -> Result<Option<Located>> {
    if let Some(located) = of_data_set(path) {
        return Ok(Some(located));
    }
    let Some(root) = root_at(path) else { return Ok(None) };
    let mut names = names(&root)?;
    match names.len() {
        1 => Ok(Some(Located { root, name: names.remove(0) })),
        _ => Err(DataError::SeveralSets { path: path.to_path_buf(), data: root.join("data"), names }),
    }
}

/// The data sets with annotations for training, sorted.
fn names(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("annotations");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(|e| DataError::io(&folder, e))? {
        let entry = entry.map_err(|e| DataError::io(&folder, e))?;
        let name = entry.file_name();
        names.extend(name.to_str().and_then(|n| n.strip_suffix("_train.json")).map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

fn annotation_file(root: &Path, name: &str, set: &str) -> PathBuf {
    root.join("annotations").join(format!("{name}_{set}.json"))
}

impl Located {
    fn read(&self, options: &OpenOptions) -> Result<Splits> {
        let file = annotation_file(&self.root, &self.name, "train");
        let train = Annotations::read(&file)?;
        let classes = Classes::new(&file, &train.categories, options)?;
        let mut notes = Vec::new();
        let train = self.set(&file, train, &classes, options)?;
        let mut held = |set: &str| -> Result<Option<Arc<dyn Dataset>>> {
            let file = annotation_file(&self.root, &self.name, set);
            if !file.is_file() {
                return Ok(None);
            }
            let read = Annotations::read(&file)?;
            if read.annotations.is_empty() {
                notes.push(format!(
                    "{}: {} pictures without labels were passed over",
                    file.display(),
                    read.images.len()
                ));
                return Ok(None);
            }
            Ok(Some(Arc::new(self.set(&file, read, &classes, options)?)))
        };
        let val = held("val")?;
        let test = match held("test")? {
            Some(test) => Some(test),
            None => held("test_stripped")?,
        };
        let classes = classes.names.to_vec();
        Ok(Splits { kind: KIND, train: Arc::new(train), val, test, classes, notes })
    }

    /// The pictures of one annotation file, each of which has one class.
    fn set(&self, file: &Path, read: Annotations, classes: &Classes, options: &OpenOptions) -> Result<Folder> {
        let fail = |place: String, problem: String| DataError::Annotations { path: file.to_path_buf(), place, problem };
        let mut labels = HashMap::with_capacity(read.annotations.len());
        for (index, annotation) in read.annotations.iter().enumerate() {
            let place = || format!("annotations[{index}]");
            let Some(&label) = classes.by_id.get(&annotation.category_id) else {
                return Err(fail(
                    place(),
                    format!("category {} is not one of the training set's", annotation.category_id),
                ));
            };
            if labels.insert(annotation.image_id, label).is_some_and(|before| before != label) {
                return Err(fail(place(), format!("picture {} has a second class", annotation.image_id)));
            }
        }
        let mut seen = HashSet::with_capacity(read.images.len());
        let mut files = Vec::with_capacity(read.images.len());
        for (index, image) in read.images.iter().enumerate() {
            let place = || format!("images[{index}]");
            if !seen.insert(image.id) {
                return Err(fail(place(), format!("the id {} is there a second time", image.id)));
            }
            let Some(&label) = labels.get(&image.id) else {
                return Err(fail(place(), format!("picture {} ('{}') has no annotation", image.id, image.file_name)));
            };
            let name = Path::new(&image.file_name);
            let inside = name.components().all(|part| matches!(part, Component::Normal(_)));
            if !inside || !is_picture_name(name) {
                let problem = format!("'{}' is no picture's path inside of the challenge's folder", image.file_name);
                return Err(fail(place(), problem));
            }
            files.push((self.root.join(name), label));
        }
        if let Some(stray) = labels.keys().find(|id| !seen.contains(id)) {
            return Err(fail(
                "annotations".into(),
                format!("picture {stray} is annotated, but is not among the images"),
            ));
        }
        let Some((first, _)) = files.first() else {
            return Err(fail("images".into(), "the list is empty".into()));
        };
        if !first.is_file() {
            let problem = format!("{} is not there; is data/{}.tar unpacked?", first.display(), self.name);
            return Err(fail("images[0]".into(), problem));
        }
        if u32::try_from(files.len()).is_err() {
            return Err(fail("images".into(), format!("{} pictures are too many", files.len())));
        }
        Ok(Folder { files, classes: classes.names.clone(), limits: options.limits })
    }
}

impl Annotations {
    fn read(path: &Path) -> Result<Self> {
        let mut text = Vec::new();
        let file = File::open(path).map_err(|e| DataError::io(path, e))?;
        file.take(MAX_JSON + 1).read_to_end(&mut text).map_err(|e| DataError::io(path, e))?;
        if text.len() as u64 > MAX_JSON {
            return Err(DataError::Length {
                file: path.display().to_string(),
                found: format!("more than {MAX_JSON} bytes"),
                expected: "annotations are far shorter".into(),
            });
        }
        serde_json::from_slice(&text).map_err(|error| DataError::Annotations {
            path: path.to_path_buf(),
            place: format!("line {}, column {}", error.line(), error.column()),
            problem: error.to_string(),
        })
    }
}

/// The categories, which are numbered throughout the challenge, as classes from 0.
struct Classes {
    names: Arc<[String]>,
    by_id: HashMap<u64, u32>,
}

impl Classes {
    /// Classes are the categories by id, or those that `options` name.
    fn new(file: &Path, categories: &[Category], options: &OpenOptions) -> Result<Self> {
        let fail = |index: usize, problem: String| DataError::Annotations {
            path: file.to_path_buf(),
            place: format!("categories[{index}]"),
            problem,
        };
        let mut sorted: Vec<_> = categories.iter().collect();
        sorted.sort_by_key(|category| category.id);
        let (mut ids, mut seen) = (HashSet::new(), HashSet::new());
        for (index, category) in categories.iter().enumerate() {
            if !ids.insert(category.id) {
                return Err(fail(index, format!("the id {} is there a second time", category.id)));
            }
            if !seen.insert(category.name.as_str()) {
                return Err(fail(index, format!("the name '{}' is there a second time", category.name)));
            }
        }
        let own: Vec<String> = sorted.iter().map(|category| category.name.clone()).collect();
        let names = options.class_names()?.unwrap_or_else(|| own.clone());
        let unknown: Vec<_> = own.iter().filter(|name| !names.contains(name)).cloned().collect();
        if !unknown.is_empty() {
            return Err(DataError::UnknownClasses { path: file.to_path_buf(), unknown, known: names });
        }
        let indices: HashMap<&str, u32> = names.iter().map(String::as_str).zip(0..).collect();
        let by_id = sorted.iter().map(|c| (c.id, indices.get(c.name.as_str()).copied().unwrap_or(0))).collect();
        Ok(Self { names: names.into(), by_id })
    }
}
