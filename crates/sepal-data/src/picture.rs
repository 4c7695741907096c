//! A picture in memory, and the one way that every command reads one from a file.

use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader};

use crate::error::{DataError, Result};
use crate::jpeg;

/// File name extensions of pictures, lower case; files are compared without regard to case.
pub const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "bmp", "gif", "webp"];

/// An RGB picture, 8 bits a channel, rows from the top, pixels interleaved: `height × width × 3` bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `height × width × 3` bytes.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// A picture of the given size over `pixels`; `None` unless there are exactly
    /// `height × width × 3` of them and at least one pixel.
    pub fn new(width: u32, height: u32, pixels: Vec<u8>) -> Option<Self> {
        let picture = Self { width, height, pixels };
        picture.is_whole().then_some(picture)
    }

    /// Whether the sizes are positive and agree with the number of bytes.
    pub fn is_whole(&self) -> bool {
        let bytes = u64::from(self.width) * u64::from(self.height) * 3;
        bytes > 0 && usize::try_from(bytes).is_ok_and(|n| n == self.pixels.len())
    }

    /// Makes this a picture of the given size and keeps the buffer; the pixels are unspecified.
    pub(crate) fn reshape(&mut self, width: u32, height: u32) {
        self.width = width;
        self.height = height;
        self.pixels.resize(width as usize * height as usize * 3, 0);
    }
}

/// What a picture file may cost before it is refused. The header is looked at first, so a file that
/// announces more is an error and not an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Width × height.
    pub max_pixels: u64,
    /// Bytes of the file, and bytes a decoder may allocate.
    pub max_alloc: u64,
}

impl Default for Limits {
    /// 100 million pixels and 512 MiB.
    fn default() -> Self {
        Self { max_pixels: 100_000_000, max_alloc: 512 << 20 }
    }
}

/// Whether a file name ends like a picture's.
pub fn is_picture_name(path: &Path) -> bool {
    path.extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// Reads and decodes the picture at `path`, see [`decode_picture`].
///
/// # Errors
/// [`DataError::Io`], and those of [`decode_picture`].
pub fn read_picture(path: &Path, limits: &Limits) -> Result<Picture> {
    let fail = |e| DataError::io(path, e);
    let file = std::fs::File::open(path).map_err(fail)?;
    let name = path.display().to_string();
    let length = file.metadata().map_err(fail)?.len();
    if length > limits.max_alloc {
        let cause = format!("the file has {length} bytes, above the limit of {}", limits.max_alloc);
        return Err(DataError::picture(name, cause));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(limits.max_alloc).read_to_end(&mut bytes).map_err(fail)?;
    decode_picture(&bytes, &name, limits)
}

/// Decodes the bytes of a JPEG, PNG, BMP, GIF (first frame) or WebP file; `name` is for messages.
///
/// The format is told from the contents and not from the name. The EXIF orientation is applied. Grey
/// becomes three equal channels, an alpha channel is dropped (as PIL's `convert("RGB")` does: nothing
/// is composited), 16 bits become 8 by rounding.
///
/// # Errors
/// [`DataError::Picture`] if the contents are no picture, damaged or cut short, [`DataError::TooLarge`]
/// if the header announces more than `limits` allow.
pub fn decode_picture(bytes: &[u8], name: &str, limits: &Limits) -> Result<Picture> {
    // The decoders are other people's code fed with anybody's files: a panic there is one more way for
    // a file to be damaged and must not end a run.
    catch_unwind(AssertUnwindSafe(|| decode(bytes, name, limits)))
        .unwrap_or_else(|_| Err(DataError::picture(name, "the decoder gave up on a damaged file")))
}

fn decode(bytes: &[u8], name: &str, limits: &Limits) -> Result<Picture> {
    if bytes.is_empty() {
        return Err(DataError::picture(name, "the file is empty"));
    }
    let format = image::guess_format(bytes)
        .map_err(|_| DataError::picture(name, "not a picture: the contents are not JPEG, PNG, BMP, GIF or WebP"))?;
    if format == image::ImageFormat::Jpeg {
        jpeg::check_complete(bytes).map_err(|cause| DataError::picture(name, cause))?;
    }
    let fail = |e: ImageError| DataError::picture(name, e);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut allowed = image::Limits::default();
    allowed.max_alloc = Some(limits.max_alloc);
    reader.limits(allowed.clone());
    let mut decoder = reader.into_decoder().map_err(fail)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > limits.max_pixels || decoder.total_bytes() > limits.max_alloc {
        let Limits { max_pixels, max_alloc } = *limits;
        return Err(DataError::TooLarge { path: name.into(), width, height, max_pixels, max_alloc });
    }
    allowed.max_alloc = Some(limits.max_alloc - decoder.total_bytes());
    decoder.set_limits(allowed).map_err(fail)?;
    // A picture whose EXIF block is damaged is still a picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut decoded = DynamicImage::from_decoder(decoder).map_err(fail)?;
    decoded.apply_orientation(orientation);
    let rgb = decoded.into_rgb8();
    let (width, height) = rgb.dimensions();
    Picture::new(width, height, rgb.into_raw()).ok_or_else(|| DataError::picture(name, "the picture has no pixels"))
}
