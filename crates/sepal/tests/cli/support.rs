//! Running the binary; pictures and models to run it on.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sepal::graph::{ColorOrder, Filter, Preprocessing, Resize};
use sepal::{Meta, Model, Weights};
use serde_json::Value;
use tempfile::TempDir;

/// A network that trains in a moment.
pub(crate) const TINY: &str = "mobilenet_v1:width=0.05,stem=cifar";
/// Height and width of its pictures.
pub(crate) const SIZE: usize = 16;

/// The binary, unable to see the settings of whoever runs the tests.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sepal"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SEPAL_")) {
        command.env_remove(name);
    }
    command
}

/// What a run of the binary came to.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let run = Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
        assert!(!run.err.contains("panicked"), "{}", run.err);
        run
    }
}

/// Runs `sepal` with the words of `line`, then `paths`.
pub(crate) fn sepal(line: &str, paths: &[&Path]) -> Run {
    sepal_in(Path::new("."), line, paths)
}

/// The same in the folder `here`.
pub(crate) fn sepal_in(here: &Path, line: &str, paths: &[&Path]) -> Run {
    command().current_dir(here).args(line.split_whitespace()).args(paths).output().unwrap().into()
}

impl Run {
    /// Asserts success.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self
    }

    /// Asserts failure with `code` and an `error:` that says all of `texts`.
    pub(crate) fn fails(self, code: i32, texts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        assert!(self.err.contains("error: "), "{}", self.err);
        for text in texts {
            assert!(self.err.contains(text), "no `{text}` in: {}", self.err);
        }
        self
    }

    /// The last line of standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        let line = self.out.trim_end().lines().next_back().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{}", self.err))
    }
}

/// Asserts that a JSON object has these fields, none of them null.
pub(crate) fn assert_fields(value: &Value, fields: &[&str]) {
    for field in fields {
        assert!(!value[field].is_null(), "no {field} in {value}");
    }
}

/// A picture of one colour with some grain, different for every `n`.
pub(crate) fn picture(colour: [u8; 3], n: u32) -> image::RgbImage {
    let size = SIZE as u32;
    image::RgbImage::from_fn(size, size, |x, y| {
        let grain = (x.wrapping_mul(7) ^ y.wrapping_mul(13) ^ n.wrapping_mul(31)) as u8 % 60;
        image::Rgb(colour.map(|c| c.saturating_add(grain)))
    })
}

/// A folder of red and blue pictures: `train`, `val`, `test`.
pub(crate) fn photos() -> TempDir {
    let dir = TempDir::new().unwrap();
    for (set, count) in [("train", 12), ("val", 4), ("test", 4)] {
        for (class, colour) in [("blue", [10, 20, 180]), ("red", [180, 20, 10])] {
            let folder = dir.path().join(set).join(class);
            std::fs::create_dir_all(&folder).unwrap();
            for n in 0..count {
                picture(colour, n).save(folder.join(format!("{n}.png"))).unwrap();
            }
        }
    }
    dir
}

/// The bytes of a JPEG.
pub(crate) fn jpeg() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture([10, 200, 30], 1).write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// A PNG of a few bytes that announces 30,000 × 30,000 pixels.
pub(crate) fn bomb() -> Vec<u8> {
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1)))
        })
    }
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let side = 30_000u32.to_be_bytes();
    let header: Vec<u8> = [&side[..], &side, &[8, 2, 0, 0, 0]].concat();
    for (kind, body) in [(b"IHDR", header), (b"IDAT", vec![0x78, 0x9c, 3, 0, 0, 0, 0, 1]), (b"IEND", Vec::new())] {
        let chunk = [&kind[..], &body].concat();
        png.extend((body.len() as u32).to_be_bytes());
        png.extend(&chunk);
        png.extend(crc(&chunk).to_be_bytes());
    }
    png
}

/// An untrained model file for red and blue pictures in `dir`.
pub(crate) fn model_file(dir: &Path) -> PathBuf {
    let graph = sepal::zoo::build(&TINY.parse().unwrap(), Some([SIZE; 2]), 2).unwrap();
    let weights = Weights::init(&graph, 0).unwrap();
    let preprocessing = Preprocessing {
        size: [SIZE; 2],
        mean: [0.5; 3],
        std: [0.25; 3],
        resize: Resize::Squash,
        filter: Filter::Bilinear,
        color_order: ColorOrder::Rgb,
    };
    let classes = vec!["blue".to_owned(), "red".to_owned()];
    let meta = Meta { classes, preprocessing: Some(preprocessing), ..Meta::default() };
    let path = dir.join("net.safetensors");
    sepal::formats::native::write(&Model::new(graph, weights, meta).unwrap(), &path).unwrap();
    path
}
