//! Opening a model whatever its format.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sepal_graph::Model;

use crate::error::{FormatError, Result};
use crate::{native, onnx};

/// Where a run folder keeps its model, the better one first.
const RUN_WEIGHTS: [&str; 2] = ["weights/best.safetensors", "weights/last.safetensors"];
/// First bytes of a file that tell its format.
const PEEK: u64 = 16;

/// A kind of file: how it is recognised and, if it is, read.
struct Format {
    /// What an error calls it.
    what: &'static str,
    /// File name extensions, in lower case.
    extensions: &'static [&'static str],
    /// Whether the file's first bytes are of this kind.
    matches: fn(&[u8]) -> bool,
    /// Reads a model; `None` for what is recognised only to say so.
    read: Option<fn(&Path) -> Result<Model>>,
}

/// The formats known, in the order in which their contents are tried.
const FORMATS: &[Format] = &[
    Format {
        what: "a Sepal model (.safetensors)",
        extensions: &["safetensors"],
        matches: |b| b.get(8) == Some(&b'{') && b.get(4..8) == Some(&[0; 4]),
        read: Some(|path| native::read(path)),
    },
    Format {
        what: "a Keras or HDF5 file (.h5)",
        extensions: &["h5", "hdf5", "keras"],
        matches: |b| b.starts_with(b"\x89HDF\r\n\x1a\n"),
        read: None,
    },
    Format {
        what: "a PyTorch file (.pth)",
        extensions: &["pth", "pt", "ckpt", "bin"],
        // The zip of today's torch.save, and the pickle of the one before it.
        matches: |b| b.starts_with(b"PK\x03\x04") || matches!(b, [0x80, 2..=5, ..]),
        read: None,
    },
    Format { what: "a NumPy array (.npy)", extensions: &["npy"], matches: |b| b.starts_with(b"\x93NUMPY"), read: None },
    Format {
        what: "an ONNX model (.onnx)",
        extensions: &["onnx"],
        // A protobuf message whose first field is the small number ir_version and whose second is a string.
        matches: |b| matches!(b, [0x08, 1..=32, 0x12 | 0x1a | 0x22 | 0x3a | 0x42, ..]),
        read: Some(|path| onnx::read(path)),
    },
];

/// Opens a model: a `.safetensors` file written by this project, an ONNX file, or the folder of a training run (its
/// `weights/best.safetensors`, else `weights/last.safetensors`). The kind of a file is told by its content, by its
/// extension only if the content tells nothing.
///
/// # Errors
/// What the format's reader says; [`FormatError::NotRead`] for a format that is recognised but not read,
/// [`FormatError::Unknown`], [`FormatError::NotARun`], [`FormatError::Read`].
pub fn open(path: impl AsRef<Path>) -> Result<Model> {
    let path = path.as_ref();
    let fail = |source| FormatError::Read { file: path.display().to_string(), source };
    if path.metadata().map_err(fail)?.is_dir() {
        return native::read(run_weights(path)?);
    }
    let mut first = Vec::new();
    File::open(path).and_then(|f| f.take(PEEK).read_to_end(&mut first)).map_err(fail)?;
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    let by_content = FORMATS.iter().find(|f| (f.matches)(&first));
    let by_extension = || FORMATS.iter().find(|f| f.extensions.contains(&extension.as_str()));
    let file = path.display().to_string();
    match by_content.or_else(by_extension) {
        Some(Format { read: Some(read), .. }) => read(path),
        Some(Format { what, .. }) => Err(FormatError::NotRead { file, what, reads: readable() }),
        None => Err(FormatError::Unknown { file, reads: readable() }),
    }
}

/// The model file of a run folder.
///
/// # Errors
/// [`FormatError::NotARun`] if there is none.
pub fn run_weights(folder: impl AsRef<Path>) -> Result<PathBuf> {
    let folder = folder.as_ref();
    let found = RUN_WEIGHTS.iter().map(|w| folder.join(w)).find(|w| w.is_file());
    found.ok_or_else(|| FormatError::NotARun {
        folder: folder.display().to_string(),
        tried: RUN_WEIGHTS.map(str::to_owned).to_vec(),
    })
}

fn readable() -> String {
    let mut list: Vec<&str> = FORMATS.iter().filter(|f| f.read.is_some()).map(|f| f.what).collect();
    list.push("the folder of a training run");
    list.join(", ")
}
