//! The binary versions of CIFAR-10 and CIFAR-100 (Krizhevsky 2009,
//! <https://www.cs.toronto.edu/~kriz/cifar.html>): records of one or two label bytes and a red, a green
//! and a blue plane of 32×32 bytes.

use std::path::Path;
use std::sync::Arc;

use super::packed::{Layout, Packed, Part};
use super::{class_map, read_file};
use crate::dataset::{OpenOptions, Splits};
use crate::error::{DataError, Result};

const SIDE: u32 = 32;
const PIXELS: usize = 3 * 32 * 32;

const CIFAR10_CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// What the two versions differ in.
struct Version {
    kind: &'static str,
    /// The folder that the archive unpacks to; its parent will do as well.
    folder: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    /// Label bytes before the pixels; the last one counts (CIFAR-100: coarse, fine).
    label_bytes: usize,
    classes: usize,
    names: &'static str,
}

const VERSIONS: [Version; 2] = [
    Version {
        kind: "CIFAR-10",
        folder: "cifar-10-batches-bin",
        train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
        test: "test_batch.bin",
        label_bytes: 1,
        classes: 10,
        names: "batches.meta.txt",
    },
    Version {
        kind: "CIFAR-100",
        folder: "cifar-100-binary",
        train: &["train.bin"],
        test: "test.bin",
        label_bytes: 2,
        classes: 100,
        names: "fine_label_names.txt",
    },
];

pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Option<Splits>> {
    for version in &VERSIONS {
        for folder in [path.to_path_buf(), path.join(version.folder)] {
            if version.train.iter().any(|file| folder.join(file).is_file()) {
                return version.read(&folder, options).map(Some);
            }
        }
    }
    Ok(None)
}

impl Version {
    fn read(&self, folder: &Path, options: &OpenOptions) -> Result<Splits> {
        let classes = self.class_names(folder, options)?;
        let there: Vec<_> = self.train.iter().copied().filter(|file| folder.join(file).is_file()).collect();
        let mut notes = Vec::new();
        if there.len() < self.train.len() {
            let lacking: Vec<_> = self.train.iter().copied().filter(|file| !there.contains(file)).collect();
            notes.push(format!("{}: {} of the training set not found", folder.display(), lacking.join(", ")));
        }
        let train = self.read_files(folder, &there, &classes)?;
        let test = match folder.join(self.test).is_file() {
            true => Some(Arc::new(self.read_files(folder, &[self.test], &classes)?) as _),
            false => None,
        };
        let classes = classes.to_vec();
        Ok(Splits { kind: self.kind, train: Arc::new(train), val: None, test, classes, notes })
    }

    fn class_names(&self, folder: &Path, options: &OpenOptions) -> Result<Arc<[String]>> {
        let listed = folder.join(self.names);
        let names = match options.class_names()? {
            Some(names) => names,
            None if listed.is_file() => class_map(&listed)?,
            None if self.classes == CIFAR10_CLASSES.len() => CIFAR10_CLASSES.map(String::from).to_vec(),
            None => (0..self.classes).map(|n| n.to_string()).collect(),
        };
        if names.len() != self.classes {
            let problem = format!("{} class names, but {} has {} classes", names.len(), self.kind, self.classes);
            let path = options.class_map.clone().unwrap_or(listed);
            return Err(DataError::ClassMap { path, line: names.len(), problem });
        }
        Ok(names.into())
    }

    fn read_files(&self, folder: &Path, files: &[&str], classes: &Arc<[String]>) -> Result<Packed> {
        let record = self.label_bytes + PIXELS;
        let (mut parts, mut pixels, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        for file in files {
            let path = folder.join(file);
            let bytes = read_file(&path)?;
            let file = path.display().to_string();
            if bytes.is_empty() || bytes.len() % record != 0 {
                let found = format!("{} bytes", bytes.len());
                let expected = format!("{} files hold records of {record} bytes, at least one", self.kind);
                return Err(DataError::Length { file, found, expected });
            }
            let count = bytes.len() / record;
            pixels.reserve_exact(count * PIXELS);
            labels.reserve_exact(count);
            for (index, bytes) in bytes.chunks_exact(record).enumerate() {
                let (head, body) = bytes.split_at(self.label_bytes);
                let label = head.last().copied().unwrap_or(0);
                if usize::from(label) >= self.classes {
                    return Err(DataError::Field {
                        file,
                        offset: (index * record + self.label_bytes - 1) as u64,
                        found: format!("label {label} of picture {index}"),
                        expected: format!("a label below {}", self.classes),
                    });
                }
                labels.push(label);
                pixels.extend_from_slice(body);
            }
            parts.push(Part { file, count });
        }
        let (width, height, layout) = (SIDE, SIDE, Layout::Planar);
        Ok(Packed { parts, width, height, layout, pixels, labels, classes: classes.clone() })
    }
}
