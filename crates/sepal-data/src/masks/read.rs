//! From a PNG file to a map of labels.

use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use png::{BitDepth, ColorType};

use super::{LabelMap, MaskClasses};
use crate::error::{DataError, Result};
use crate::picture::Limits;

/// Reads the mask at `path`, a PNG file: indexed or grey, whose values stand for classes, or RGB, whose colours do. An alpha
/// channel is passed over.
///
/// # Errors
/// [`DataError::UnknownLabel`] with the first pixel whose value or colour `classes` do not have; [`DataError::Picture`] for a
/// file that is no PNG, damaged, or of 16 bits a channel; [`DataError::TooLarge`], [`DataError::Io`].
pub fn read_mask(path: &Path, classes: &MaskClasses, limits: &Limits) -> Result<LabelMap> {
    let fail = |e| DataError::io(path, e);
    let file = std::fs::File::open(path).map_err(fail)?;
    let mut bytes = Vec::new();
    file.take(limits.max_alloc).read_to_end(&mut bytes).map_err(fail)?;
    let name = path.display().to_string();
    // As for pictures: a decoder that panics has met a damaged file.
    catch_unwind(AssertUnwindSafe(|| decode(&bytes, &name, classes, limits)))
        .unwrap_or_else(|_| Err(DataError::picture(&name, "the decoder gave up on a damaged file")))
}

fn decode(bytes: &[u8], name: &str, classes: &MaskClasses, limits: &Limits) -> Result<LabelMap> {
    let Raw { width, height, channels, values } = decode_values(bytes, name, limits)?;
    let class = |pixel: &[u8]| match *pixel {
        [value, ..] if channels < 3 => classes.values.get(usize::from(value)).copied().flatten(),
        [r, g, b, ..] => classes.by_color.get(&[r, g, b]).copied(),
        _ => None,
    };
    let mut labels = Vec::with_capacity(values.len() / channels);
    // Neighbours are mostly of one class.
    let mut last: (&[u8], u8) = (&[], 0);
    for pixel in values.chunks_exact(channels) {
        if pixel != last.0 {
            let Some(class) = class(pixel) else { return Err(unknown(name, pixel, labels.len(), width, classes)) };
            last = (pixel, class);
        }
        labels.push(last.1);
    }
    LabelMap::new(width, height, labels).ok_or_else(|| DataError::picture(name, "the mask has no pixels"))
}

fn unknown(name: &str, pixel: &[u8], at: usize, width: u32, classes: &MaskClasses) -> DataError {
    let (value, known) = match *pixel {
        [r, g, b, ..] if classes.by_color.is_empty() => (
            format!("the colour {r}, {g}, {b}"),
            "no colours are known: name the classes' colours in classes.toml beside the pictures' folder".to_owned(),
        ),
        [r, g, b, ..] => (format!("the colour {r}, {g}, {b}"), format!("{} colours are known", classes.by_color.len())),
        [value, ..] => {
            let known: Vec<usize> = (0..256).filter(|&v| classes.values[v].is_some()).collect();
            let known = match known[..] {
                [first, .., before, last] => {
                    format!("known are {} values from {first} to {before}, {last}", known.len())
                }
                _ => format!("known are {known:?}"),
            };
            (format!("the value {value}"), known)
        }
        [] => ("nothing".to_owned(), String::new()),
    };
    let width = width.max(1) as usize;
    DataError::UnknownLabel { path: name.to_owned(), value, x: at % width, y: at / width, known }
}

/// The bytes of a mask: a value a pixel and whatever follows it, or three.
struct Raw {
    width: u32,
    height: u32,
    channels: usize,
    values: Vec<u8>,
}

/// The greatest value of the mask at `path` but 255, where its values stand for classes; `None` where there is no other.
///
/// # Errors
/// Those of [`read_mask`]; [`DataError::MaskClasses`] if its colours stand for them.
pub(crate) fn greatest_value(path: &Path, limits: &Limits) -> Result<Option<u8>> {
    let bytes = std::fs::read(path).map_err(|e| DataError::io(path, e))?;
    let name = path.display().to_string();
    let raw = catch_unwind(AssertUnwindSafe(|| decode_values(&bytes, &name, limits)))
        .unwrap_or_else(|_| Err(DataError::picture(&name, "the decoder gave up on a damaged file")))?;
    if raw.channels > 2 {
        let problem = "the mask is in colours, and no classes.toml (or .csv) says what they mean".to_owned();
        return Err(DataError::MaskClasses { path: path.to_path_buf(), problem });
    }
    Ok(raw.values.chunks_exact(raw.channels).map(|pixel| pixel[0]).filter(|&value| value != super::IGNORE).max())
}

fn decode_values(bytes: &[u8], name: &str, limits: &Limits) -> Result<Raw> {
    let fail = |cause: String| DataError::picture(name, cause);
    let mut decoder = png::Decoder::new_with_limits(
        Cursor::new(bytes),
        png::Limits { bytes: usize::try_from(limits.max_alloc).unwrap_or(usize::MAX) },
    );
    // Values of fewer than eight bits become bytes below; the palette stays out of them.
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(|e| fail(format!("not a mask: {e} (masks are PNG files)")))?;
    let (width, height) = (reader.info().width, reader.info().height);
    let Limits { max_pixels, max_alloc } = *limits;
    let size = reader.output_buffer_size().filter(|&size| size as u64 <= max_alloc);
    let Some(size) = size.filter(|_| u64::from(width) * u64::from(height) <= max_pixels) else {
        return Err(DataError::TooLarge { path: name.into(), width, height, max_pixels, max_alloc });
    };
    let mut values = vec![0; size];
    let frame = reader.next_frame(&mut values).map_err(|e| fail(e.to_string()))?;
    values.truncate(frame.buffer_size());
    let channels = match frame.color_type {
        ColorType::Indexed | ColorType::Grayscale => 1,
        ColorType::GrayscaleAlpha => 2,
        ColorType::Rgb => 3,
        ColorType::Rgba => 4,
    };
    match frame.bit_depth {
        BitDepth::Eight => {}
        BitDepth::Sixteen => return Err(fail("a mask of 16 bits a channel: masks have 8".into())),
        depth => {
            let (bits, line) = (depth as usize, frame.line_size);
            let whole = |row: &[u8]| -> Vec<u8> {
                let value = |x: usize| row[x * bits / 8] >> (8 - bits - x * bits % 8) & ((1 << bits) - 1) as u8;
                (0..width as usize).map(value).collect()
            };
            values = values.chunks_exact(line).flat_map(whole).collect();
        }
    }
    Ok(Raw { width, height, channels, values })
}
