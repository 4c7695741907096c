//! Folders of pictures, a folder for each class.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::dataset::{Dataset, EvalSet, OpenOptions, Splits};
use crate::error::{DataError, Result};
use crate::picture::{Limits, Picture, is_picture_name, read_picture};

/// The kind of `DATA/{train,val,test}/CLASS/x.jpg`.
pub(crate) const SPLIT: &str = "image folder";
/// The kind of `DATA/CLASS/x.jpg`.
pub(crate) const FLAT: &str = "flat image folder";

pub(super) const TRAIN: &[&str] = &["train"];
pub(super) const VAL: &[&str] = &["val", "valid", "validation"];
pub(super) const TEST: &[&str] = &["test"];

/// Pictures in files.
pub(super) struct Folder {
    pub(super) files: Vec<(PathBuf, u32)>,
    pub(super) classes: Arc<[String]>,
    pub(super) limits: Limits,
}

impl Dataset for Folder {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> u32 {
        self.files.get(index).map_or(0, |f| f.1)
    }

    fn describe(&self, index: usize) -> String {
        match self.files.get(index) {
            Some((path, _)) => path.display().to_string(),
            None => format!("picture {index} of {}", self.len()),
        }
    }

    fn decode_into(&self, index: usize, picture: &mut Picture) -> Result<()> {
        let Some((path, _)) = self.files.get(index) else {
            return Err(DataError::picture(self.describe(index), "there is no such picture"));
        };
        *picture = read_picture(path, &self.limits)?;
        Ok(())
    }
}

pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Option<Splits>> {
    let found = list(path)?;
    let names = options.class_names()?;
    let Some(train) = found.folder_called(TRAIN) else {
        if let Some(set) = found.folder_called(VAL).or(found.folder_called(TEST)) {
            let found = format!("there is '{}' but no 'train'", name_of(set));
            return Err(DataError::UnknownLayout { path: path.to_path_buf(), found });
        }
        return flat(path, &found, names, options);
    };
    let mut notes = Vec::new();
    let train = scan(train, names, Role::Train, options.limits, &mut notes)?;
    let classes = train.classes.to_vec();
    let mut set = |called: &[&str]| -> Result<Option<Arc<dyn Dataset>>> {
        let Some(folder) = found.folder_called(called) else { return Ok(None) };
        let set = scan(folder, Some(classes.clone()), Role::Held, options.limits, &mut notes)?;
        Ok(Some(Arc::new(set)))
    };
    let (val, test) = (set(VAL)?, set(TEST)?);
    Ok(Some(Splits { kind: SPLIT, train: Arc::new(train), val, test, classes, notes }))
}

/// The test set, else the validation set, else the classes of a flat folder; `None` if this is no image
/// folder or one with a training set alone.
pub(crate) fn open_eval(path: &Path, options: &OpenOptions) -> Result<Option<EvalSet>> {
    if !path.is_dir() {
        return Ok(None);
    }
    let found = list(path)?;
    let mut names = options.class_names()?;
    for (called, name) in [(TEST, "test"), (VAL, "val")] {
        let Some(folder) = found.folder_called(called) else { continue };
        let mut notes = Vec::new();
        if names.is_none()
            && let Some(train) = found.folder_called(TRAIN)
        {
            names = Some(scan(train, None, Role::Train, options.limits, &mut Vec::new())?.classes.to_vec());
        }
        let set = scan(folder, names, Role::Held, options.limits, &mut notes)?;
        return Ok(Some(EvalSet { dataset: Arc::new(set), name, notes }));
    }
    Ok(None)
}

fn flat(path: &Path, found: &Listing, names: Option<Vec<String>>, options: &OpenOptions) -> Result<Option<Splits>> {
    if found.folders.is_empty() {
        let pictures = found.files.iter().filter(|f| is_picture_name(f)).count();
        if pictures == 0 {
            return Ok(None);
        }
        let found = format!("{pictures} picture(s) lie directly in it, not in a folder for each class");
        return Err(DataError::UnknownLayout { path: path.to_path_buf(), found });
    }
    let mut any = false;
    for folder in &found.folders {
        any |= !pictures(folder)?.0.is_empty();
    }
    if !any {
        let name = &found.folders[0];
        return Err(DataError::EmptyClass { path: name.clone(), class: name_of(name) });
    }
    let mut notes = Vec::new();
    let train = Arc::new(scan(path, names, Role::Train, options.limits, &mut notes)?);
    let classes = train.classes.to_vec();
    Ok(Some(Splits { kind: FLAT, train, val: None, test: None, classes, notes }))
}

/// Whether the classes are taken from a folder or mapped to those of another.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Train,
    Held,
}

/// The set in `folder`. With `names`, class folders are mapped to them by name.
fn scan(
    folder: &Path,
    names: Option<Vec<String>>,
    role: Role,
    limits: Limits,
    notes: &mut Vec<String>,
) -> Result<Folder> {
    let found = list(folder)?;
    if found.folders.is_empty() {
        let found = "there is no class folder in it".into();
        return Err(DataError::UnknownLayout { path: folder.to_path_buf(), found });
    }
    let mut there = Vec::new();
    for path in &found.folders {
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else {
            let found = format!("the class folder {} is not named in UTF-8", path.display());
            return Err(DataError::UnknownLayout { path: folder.to_path_buf(), found });
        };
        there.push(name.to_string());
    }
    let classes: Arc<[String]> = names.unwrap_or_else(|| there.clone()).into();
    let unknown: Vec<_> = there.iter().filter(|name| !classes.contains(name)).cloned().collect();
    if !unknown.is_empty() {
        return Err(DataError::UnknownClasses { path: folder.to_path_buf(), unknown, known: classes.to_vec() });
    }
    let (mut files, mut passed_over) = (Vec::new(), 0);
    for (path, name) in found.folders.iter().zip(&there) {
        let (mut found, others) = pictures(path)?;
        passed_over += others;
        if found.is_empty() {
            if role == Role::Train {
                return Err(DataError::EmptyClass { path: path.clone(), class: name.clone() });
            }
            notes.push(format!("{}: no picture of class '{name}'", path.display()));
        }
        let label = classes.iter().position(|c| c == name).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        found.sort_unstable();
        files.extend(found.into_iter().map(|file| (file, label)));
    }
    let lacking: Vec<_> = classes.iter().filter(|c| !there.contains(c)).map(|c| format!("'{c}'")).collect();
    if !lacking.is_empty() {
        notes.push(format!("{}: no folder for class {}", folder.display(), lacking.join(", ")));
    }
    let stray = found.files.iter().filter(|f| is_picture_name(f)).count();
    if stray > 0 {
        notes.push(format!("{}: {stray} picture(s) outside of the class folders were passed over", folder.display()));
    }
    if passed_over > 0 {
        notes.push(format!(
            "{}: {passed_over} file(s) that are not pictures by their names were passed over",
            folder.display()
        ));
    }
    if files.is_empty() || u32::try_from(files.len()).is_err() {
        let found = format!("it holds {} pictures", files.len());
        return Err(DataError::UnknownLayout { path: folder.to_path_buf(), found });
    }
    Ok(Folder { files, classes, limits })
}

/// The visible entries of a folder, sorted by name.
pub(super) struct Listing {
    pub(super) folders: Vec<PathBuf>,
    pub(super) files: Vec<PathBuf>,
}

impl Listing {
    pub(super) fn folder_called(&self, names: &[&str]) -> Option<&Path> {
        names
            .iter()
            .find_map(|name| self.folders.iter().find(|f| f.file_name().is_some_and(|n| n == *name)))
            .map(PathBuf::as_path)
    }
}

pub(super) fn list(folder: &Path) -> Result<Listing> {
    let fail = |e| DataError::io(folder, e);
    let mut listing = Listing { folders: Vec::new(), files: Vec::new() };
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // Follows links; one that leads nowhere is listed as a file and reported when it is read.
        match entry.path().is_dir() {
            true => listing.folders.push(entry.path()),
            false => listing.files.push(entry.path()),
        }
    }
    // By the bytes of the names, which for UTF-8 is by code points, as Python sorts.
    listing.folders.sort_unstable();
    listing.files.sort_unstable();
    Ok(listing)
}

/// The pictures in a folder and in those below it, and how many other files there are.
pub(super) fn pictures(folder: &Path) -> Result<(Vec<PathBuf>, usize)> {
    let (mut found, mut others) = (Vec::new(), 0);
    let mut seen = HashSet::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        // A link to a folder above would otherwise lead round in circles.
        if !seen.insert(folder.canonicalize().map_err(|e| DataError::io(&folder, e))?) {
            continue;
        }
        let listing = list(&folder)?;
        waiting.extend(listing.folders);
        for file in listing.files {
            match is_picture_name(&file) {
                true => found.push(file),
                false => others += 1,
            }
        }
    }
    Ok((found, others))
}

pub(super) fn name_of(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}
