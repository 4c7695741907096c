//! From a map of labels to a PNG file.

use super::{IGNORE, LabelMap};
use crate::error::{DataError, Result};

/// The bytes of an indexed PNG file: the index is the label, its colour that of the class; white where no class is.
///
/// # Errors
/// [`DataError::Option`] if the map's sizes do not agree with its labels.
pub fn encode_labels(map: &LabelMap, colors: &[[u8; 3]]) -> Result<Vec<u8>> {
    let fail = |value: String| DataError::Option { name: "label map", value, expected: "height × width labels" };
    let mut palette = vec![255u8; 3 * (usize::from(IGNORE) + 1)];
    for (entry, color) in palette.chunks_exact_mut(3).zip(colors) {
        entry.copy_from_slice(color);
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, map.width, map.height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette);
    let mut writer = encoder.write_header().map_err(|e| fail(e.to_string()))?;
    writer.write_image_data(&map.labels).map_err(|e| fail(e.to_string()))?;
    writer.finish().map_err(|e| fail(e.to_string()))?;
    Ok(bytes)
}
