//! Bytes to normalised numbers.

/// Writes `(x / 255 − mean) / std` of interleaved RGB bytes into planes of red, green and blue.
pub(crate) fn normalise(pixels: &[u8], mean: &[f32; 3], std: &[f32; 3], out: &mut [f32]) {
    let plane = out.len() / 3;
    let (red, rest) = out.split_at_mut(plane);
    let (green, blue) = rest.split_at_mut(plane);
    // One multiply-add instead of two divisions a value.
    let scale = std.map(|s| 1.0 / (255.0 * s));
    let shift = [-mean[0] / std[0], -mean[1] / std[1], -mean[2] / std[2]];
    let planes = red.iter_mut().zip(green).zip(blue);
    for (rgb, ((r, g), b)) in pixels.chunks_exact(3).zip(planes) {
        *r = f32::from(rgb[0]) * scale[0] + shift[0];
        *g = f32::from(rgb[1]) * scale[1] + shift[1];
        *b = f32::from(rgb[2]) * scale[2] + shift[2];
    }
}
