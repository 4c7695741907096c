//! Opening a model whatever its format.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sepal_graph::Model;

use crate::error::{FormatError, Result};
use crate::inspect::{self, Inspection};
use crate::state::StateDict;
use crate::{keras, native, onnx, pth};

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
    /// Reads a model; `None` for what holds none.
    read: Option<fn(&Path) -> Result<Model>>,
    /// Reads tensors without a network.
    state: Option<fn(&Path) -> Result<StateDict>>,
    /// Says what is in it.
    inspect: fn(&Path) -> Result<Inspection>,
}

/// The formats known, in the order in which their contents are tried.
const FORMATS: &[Format] = &[
    Format {
        what: "a safetensors file (.safetensors)",
        extensions: &["safetensors"],
        matches: |b| b.get(8) == Some(&b'{') && b.get(4..8) == Some(&[0; 4]),
        read: Some(|path| native::read(path)),
        state: Some(|path| StateDict::read_safetensors(path)),
        inspect: inspect::safetensors,
    },
    Format {
        what: "a PyTorch file (.pth)",
        extensions: &["pth", "pt", "ckpt", "bin"],
        matches: pth::matches,
        read: None,
        state: Some(|path| pth::read(path)),
        inspect: |path| pth::read(path).map(inspect::of_state),
    },
    Format {
        what: "Keras weights (.h5, .keras)",
        extensions: &["h5", "hdf5", "keras"],
        matches: keras::matches,
        read: None,
        state: Some(|path| keras::read(path)),
        inspect: |path| keras::read(path).map(inspect::of_state),
    },
    Format {
        what: "a NumPy array (.npy)",
        extensions: &["npy"],
        matches: |b| b.starts_with(b"\x93NUMPY"),
        read: None,
        state: None,
        inspect: inspect::array,
    },
    Format {
        what: "an ONNX model (.onnx)",
        extensions: &["onnx"],
        // A protobuf message whose first field is the small number ir_version and whose second is a string.
        matches: |b| matches!(b, [0x08, 1..=32, 0x12 | 0x1a | 0x22 | 0x3a | 0x42, ..]),
        read: Some(|path| onnx::read(path)),
        state: None,
        inspect: inspect::onnx_model,
    },
];

/// Opens a model: a file that holds a network, or the folder of a training run (its `weights/best.safetensors`, else
/// `weights/last.safetensors`). The kind of a file is told by its content, by its extension only if the content tells
/// nothing or fits two kinds.
///
/// # Errors
/// What the format's reader says; [`FormatError::WeightsOnly`] for a format that holds weights without a network (see
/// [`read_state`]), [`FormatError::NotRead`] for one that holds neither, [`FormatError::Unknown`],
/// [`FormatError::NotARun`], [`FormatError::Read`].
pub fn open(path: impl AsRef<Path>) -> Result<Model> {
    let path = path.as_ref();
    if is_folder(path)? {
        let run = run_weights(path);
        if run.is_err() && StateDict::is_folder(path) {
            return Err(FormatError::WeightsOnly { file: path.display().to_string(), what: FOLDER });
        }
        return native::read(run?);
    }
    let (file, format) = (path.display().to_string(), format(path)?);
    match format.read {
        Some(read) => read(path),
        None if format.state.is_some() => Err(FormatError::WeightsOnly { file, what: format.what }),
        None => Err(FormatError::NotRead { file, what: format.what, reads: readable() }),
    }
}

/// Reads named tensors without a network: PyTorch's and Keras' files, any safetensors file, and a folder of
/// `model.safetensors` and `config.json` as timm publishes them. [`names::load`](crate::names::load) fits them to a
/// graph.
///
/// # Errors
/// What the format's reader says; otherwise as [`open`].
pub fn read_state(path: impl AsRef<Path>) -> Result<StateDict> {
    let path = path.as_ref();
    if is_folder(path)? {
        if StateDict::is_folder(path) {
            return StateDict::read_folder(path);
        }
        return StateDict::read_safetensors(run_weights(path)?);
    }
    let format = format(path)?;
    match format.state {
        Some(read) => read(path),
        None => Err(FormatError::NotRead { file: path.display().to_string(), what: format.what, reads: readable() }),
    }
}

/// Says what a model, weight or array file holds, whatever its format and without knowing its network.
///
/// # Errors
/// What the format's reader says; [`FormatError::Unknown`], [`FormatError::NotARun`], [`FormatError::Read`].
pub fn inspect(path: impl AsRef<Path>) -> Result<Inspection> {
    let path = path.as_ref();
    if is_folder(path)? {
        if StateDict::is_folder(path) {
            let found = inspect::of_state(StateDict::read_folder(path)?);
            return Ok(Inspection { kind: FOLDER.to_owned(), ..found });
        }
        return inspect(run_weights(path)?);
    }
    let format = format(path)?;
    Ok(Inspection { kind: format.what.to_owned(), ..(format.inspect)(path)? })
}

/// A folder as timm publishes weights.
const FOLDER: &str = "a folder of timm (model.safetensors)";

fn is_folder(path: &Path) -> Result<bool> {
    let meta = path.metadata();
    Ok(meta.map_err(|source| FormatError::Read { file: path.display().to_string(), source })?.is_dir())
}

fn format(path: &Path) -> Result<&'static Format> {
    let fail = |source| FormatError::Read { file: path.display().to_string(), source };
    let mut first = Vec::new();
    File::open(path).and_then(|f| f.take(PEEK).read_to_end(&mut first)).map_err(fail)?;
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    let by_content = || FORMATS.iter().filter(|f| (f.matches)(&first));
    let named = |f: &&Format| f.extensions.contains(&extension.as_str());
    let found = by_content().find(named).or_else(|| by_content().next()).or_else(|| FORMATS.iter().find(named));
    found.ok_or_else(|| FormatError::Unknown { file: path.display().to_string(), reads: readable() })
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
    let reads = |f: &&Format| f.read.is_some() || f.state.is_some();
    let mut list: Vec<&str> = FORMATS.iter().filter(reads).map(|f| f.what).collect();
    list.push("the folder of a training run");
    list.join(", ")
}
