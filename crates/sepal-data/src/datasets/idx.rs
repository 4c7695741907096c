//! IDX, the format of MNIST and Fashion-MNIST (<http://yann.lecun.com/exdb/mnist/>): a magic number
//! `00 00 TYPE DIMENSIONS`, the dimensions as big-endian 32-bit numbers, the elements.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use super::packed::{Layout, Packed, Part};
use super::{MAX_IN_MEMORY, class_map, read_file};
use crate::dataset::{OpenOptions, Splits};
use crate::error::{DataError, Result};

const KIND: &str = "IDX";
const UNSIGNED_BYTE: u8 = 8;
const MAX_SIDE: u32 = 16_384;

/// The files of one set.
pub(super) struct Source<'a> {
    /// Name for messages and contents, gz-compressed or not.
    pub(super) images: (String, &'a [u8]),
    /// The same of the labels.
    pub(super) labels: (String, &'a [u8]),
}

/// Pictures and labels, before the classes are known.
pub(super) struct Raw {
    images_file: String,
    labels_file: String,
    width: u32,
    height: u32,
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Option<Splits>> {
    let Some(train) = read_set(path, "train")? else { return Ok(None) };
    let test = read_set(path, "t10k")?.or(read_set(path, "test")?);
    let listed = path.join("classes.txt");
    let names = match options.class_names()? {
        None if listed.is_file() => Some(class_map(&listed)?),
        names => names,
    };
    splits(KIND, train, test, names).map(Some)
}

/// Makes data sets of what was read. Without `names` the classes are the labels' numbers.
pub(super) fn splits(kind: &'static str, train: Raw, test: Option<Raw>, names: Option<Vec<String>>) -> Result<Splits> {
    let highest = train.labels.iter().max().copied().unwrap_or(0);
    let classes: Arc<[String]> = names.unwrap_or_else(|| (0..=highest).map(|n| n.to_string()).collect()).into();
    let train = Arc::new(train.finish(classes.clone())?);
    let test = test.map(|raw| raw.finish(classes.clone())).transpose()?;
    Ok(Splits {
        kind,
        train,
        val: None,
        test: test.map(|t| Arc::new(t) as _),
        classes: classes.to_vec(),
        notes: Vec::new(),
    })
}

fn read_set(folder: &Path, set: &str) -> Result<Option<Raw>> {
    let images = find(folder, set, "images", "idx3");
    let labels = find(folder, set, "labels", "idx1");
    let (images, labels) = match (images, labels) {
        (Some(images), Some(labels)) => (images, labels),
        (None, None) => return Ok(None),
        (images, _) => {
            let (there, lacking) = if images.is_some() { ("images", "labels") } else { ("labels", "images") };
            let found = format!("{set}-{there}-… is there, but {set}-{lacking}-… is not");
            return Err(DataError::UnknownLayout { path: folder.to_path_buf(), found });
        }
    };
    let (image_bytes, label_bytes) = (read_file(&images)?, read_file(&labels)?);
    read(Source {
        images: (images.display().to_string(), &image_bytes),
        labels: (labels.display().to_string(), &label_bytes),
    })
    .map(Some)
}

/// `train-images-idx3-ubyte`, with a dot before `idx3` as some archives have it, with `.gz` or without.
fn find(folder: &Path, set: &str, what: &str, dims: &str) -> Option<PathBuf> {
    ["-", "."]
        .iter()
        .flat_map(|dot| ["", ".gz"].map(|gz| folder.join(format!("{set}-{what}{dot}{dims}-ubyte{gz}"))))
        .find(|path| path.is_file())
}

/// Reads a set from bytes.
pub(super) fn read(source: Source<'_>) -> Result<Raw> {
    let (images_file, bytes) = source.images;
    let (dims, pixels) = elements::<3>(&images_file, bytes)?;
    let [images, height, width] = dims;
    for (side, offset) in [(height, 8), (width, 12)] {
        if !(1..=MAX_SIDE).contains(&side) {
            let expected = format!("a height and width of 1 to {MAX_SIDE}");
            return Err(DataError::Field { file: images_file, offset, found: side.to_string(), expected });
        }
    }
    let (labels_file, bytes) = source.labels;
    let ([count], labels) = elements::<1>(&labels_file, bytes)?;
    if images != count {
        let (images, labels) = (images as usize, count as usize);
        return Err(DataError::CountMismatch { images_file, images, labels_file, labels });
    }
    if images == 0 {
        let expected = "at least one picture".into();
        return Err(DataError::Field { file: images_file, offset: 4, found: "0 pictures".into(), expected });
    }
    Ok(Raw { images_file, labels_file, width, height, pixels, labels })
}

impl Raw {
    fn finish(self, classes: Arc<[String]>) -> Result<Packed> {
        if let Some(at) = self.labels.iter().position(|&l| usize::from(l) >= classes.len()) {
            return Err(DataError::Field {
                file: self.labels_file,
                offset: at as u64 + 8,
                found: format!("label {} of picture {at}", self.labels[at]),
                expected: format!("a label below {}, the number of classes", classes.len()),
            });
        }
        Ok(Packed {
            parts: vec![Part { file: self.images_file, count: self.labels.len() }],
            width: self.width,
            height: self.height,
            layout: Layout::Grey,
            pixels: self.pixels,
            labels: self.labels,
            classes,
        })
    }
}

/// The dimensions and the elements of an IDX file of unsigned bytes. The header is held against the
/// length before anything is allocated for the elements.
fn elements<const DIMS: usize>(file: &str, bytes: &[u8]) -> Result<([u32; DIMS], Vec<u8>)> {
    let head_length = 4 + 4 * DIMS;
    let mut zipped = bytes.starts_with(&[0x1f, 0x8b]).then(|| MultiGzDecoder::new(bytes));
    let mut head = vec![0; head_length];
    let got = match &mut zipped {
        Some(unzip) => fill(unzip, &mut head).map_err(|e| damaged(file, 0, &e))?,
        None => {
            let got = bytes.len().min(head_length);
            head[..got].copy_from_slice(&bytes[..got]);
            got
        }
    };
    if got < head_length {
        let expected = format!("the header alone has {head_length}");
        return Err(DataError::Length { file: file.into(), found: format!("{got} bytes"), expected });
    }
    if head[..3] != [0, 0, UNSIGNED_BYTE] || usize::from(head[3]) != DIMS {
        let found = format!("magic number {:02x}{:02x}{:02x}{:02x}", head[0], head[1], head[2], head[3]);
        let expected = format!("0000{UNSIGNED_BYTE:02x}{DIMS:02x} (unsigned bytes, {DIMS} dimension(s))");
        return Err(DataError::Field { file: file.into(), offset: 0, found, expected });
    }
    let mut dims = [0; DIMS];
    for (dim, four) in dims.iter_mut().zip(head[4..].chunks_exact(4)) {
        *dim = four.iter().fold(0, |n, &b| n << 8 | u32::from(b));
    }
    let shape = dims.map(|d| d.to_string()).join("×");
    let size = dims.iter().try_fold(1u64, |n, &d| n.checked_mul(u64::from(d)));
    let Some(size) = size.filter(|&n| n <= MAX_IN_MEMORY) else {
        let expected = format!("at most {MAX_IN_MEMORY} elements");
        return Err(DataError::Field { file: file.into(), offset: 4, found: format!("dimensions {shape}"), expected });
    };
    let wrong_length = |found: u64, more: &str| DataError::Length {
        file: file.into(),
        found: format!("{found}{more} bytes after the header"),
        expected: format!("its dimensions {shape} make {size}"),
    };
    let Some(unzip) = zipped else {
        let body = &bytes[head_length..];
        return if body.len() as u64 == size {
            Ok((dims, body.to_vec()))
        } else {
            Err(wrong_length(body.len() as u64, ""))
        };
    };
    // Grows with what is really there: the header of a compressed file proves nothing about its length.
    let mut body = Vec::new();
    let read = unzip.take(size + 1).read_to_end(&mut body);
    match read {
        Err(e) => Err(damaged(file, head_length + body.len(), &e)),
        Ok(_) if body.len() as u64 == size => Ok((dims, body)),
        Ok(_) => Err(wrong_length(body.len() as u64, if body.len() as u64 > size { " or more" } else { "" })),
    }
}

fn fill(from: &mut impl Read, into: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < into.len() {
        match from.read(&mut into[got..])? {
            0 => break,
            n => got += n,
        }
    }
    Ok(got)
}

fn damaged(file: &str, offset: usize, error: &std::io::Error) -> DataError {
    let found = format!("damaged or cut gz data ({error})");
    DataError::Field { file: file.into(), offset: offset as u64, found, expected: "a whole gz stream".into() }
}
