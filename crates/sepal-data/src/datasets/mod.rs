//! The kinds of data sets: a file each, and a line in [`KINDS`].

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

use crate::dataset::{OpenOptions, Splits};
use crate::error::{DataError, Result};

mod cifar;
pub(crate) mod decathlon;
pub(crate) mod folder;
mod idx;
pub(crate) mod masks;
mod packed;
mod sample;

pub use decathlon::decathlon_sets;
pub use sample::{SAMPLE_CLASSES, sample};

/// Opens a folder if it has this kind's layout, `None` if it does not.
type Open = fn(&Path, &OpenOptions) -> Result<Option<Splits>>;

/// The kinds in the order in which they are tried. The Decathlon's data sets come before those that they
/// resemble, image folders last: any folder of folders may be one.
pub(crate) const KINDS: &[Open] = &[decathlon::open, idx::open, cifar::open, masks::open, folder::open];

/// Data sets that are held in memory whole may have this many bytes, and class maps far fewer.
const MAX_IN_MEMORY: u64 = 8 << 30;
const MAX_CLASS_MAP: u64 = 16 << 20;

/// Reads class names, one a line; blank lines at the end are passed over.
///
/// # Errors
/// [`DataError::ClassMap`] with the line for a blank line before the end, a repeated name or a file
/// without names.
pub fn class_map(path: &Path) -> Result<Vec<String>> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| DataError::io(path, e))?;
    file.take(MAX_CLASS_MAP).read_to_string(&mut text).map_err(|e| DataError::io(path, e))?;
    let fail = |line: usize, problem: String| DataError::ClassMap { path: path.to_path_buf(), line, problem };
    let mut seen = HashSet::new();
    let mut names = Vec::new();
    for (number, line) in text.trim_start_matches('\u{feff}').trim_end().lines().enumerate() {
        let name = line.trim();
        if name.is_empty() {
            return Err(fail(number + 1, "a class name is missing".into()));
        }
        if !seen.insert(name) {
            return Err(fail(number + 1, format!("the class '{name}' is named a second time")));
        }
        names.push(name.to_string());
    }
    if names.is_empty() {
        return Err(fail(1, "the file names no class".into()));
    }
    Ok(names)
}

/// The whole of a file, unless it is larger than a data set may be.
fn read_file(path: &Path) -> Result<Vec<u8>> {
    let length = std::fs::metadata(path).map_err(|e| DataError::io(path, e))?.len();
    if length > MAX_IN_MEMORY {
        return Err(DataError::Length {
            file: path.display().to_string(),
            found: format!("{length} bytes"),
            expected: format!("at most {MAX_IN_MEMORY} are read into memory"),
        });
    }
    std::fs::read(path).map_err(|e| DataError::io(path, e))
}
