//! Changes of colour, with the arithmetic of PIL's `ImageEnhance` and `ImageOps`: what they truncate is truncated here.

use crate::picture::Picture;

/// A new value for each value of a channel.
type Table = [u8; 256];

/// Blends with black: 0 is black, 1 the picture, more is brighter.
pub(super) fn brightness(picture: &mut Picture, factor: f32) {
    map(picture, &[table(|value| blend(0, value, factor)); 3]);
}

/// Blends with the mean grey.
pub(super) fn contrast(picture: &mut Picture, factor: f32) {
    let sum: u64 = pixels(picture).map(|pixel| u64::from(luma(pixel))).sum();
    let count = (picture.pixels.len() / 3).max(1) as f64;
    let mean = (sum as f64 / count + 0.5) as u8;
    map(picture, &[table(|value| blend(mean, value, factor)); 3]);
}

/// Blends each pixel with its own grey.
pub(super) fn saturation(picture: &mut Picture, factor: f32) {
    let (pixels, _) = picture.pixels.as_chunks_mut::<3>();
    for pixel in pixels {
        let grey = luma(pixel);
        *pixel = pixel.map(|value| blend(grey, value, factor));
    }
}

/// Turns hues by `turn` of the whole circle, in −1 to 1; saturation and value stay.
pub(super) fn hue(picture: &mut Picture, turn: f32) {
    let (pixels, _) = picture.pixels.as_chunks_mut::<3>();
    for pixel in pixels {
        let [red, green, blue] = pixel.map(f32::from);
        let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
        let chroma = most - least;
        if chroma == 0.0 {
            continue;
        }
        // The place on the circle in sixths, from red over green and blue.
        let place = if red == most {
            (green - blue) / chroma
        } else if green == most {
            2.0 + (blue - red) / chroma
        } else {
            4.0 + (red - green) / chroma
        };
        let place = (place + 6.0 * turn).rem_euclid(6.0);
        let part = place.fract() * chroma;
        let (rising, falling) = (least + part, most - part);
        let turned = match place as u32 {
            0 => [most, rising, least],
            1 => [falling, most, least],
            2 => [least, most, rising],
            3 => [least, falling, most],
            4 => [rising, least, most],
            5 => [most, least, falling],
            // `rem_euclid` may round up to a whole circle.
            _ => [most, least, least],
        };
        *pixel = turned.map(|value| value.round_ties_even() as u8);
    }
}

/// Blends with the picture smoothed over 3×3 pixels, whose border stays.
pub(super) fn sharpness(picture: &mut Picture, spare: &mut Picture, factor: f32) {
    let (width, height) = (picture.width as usize, picture.height as usize);
    spare.reshape(picture.width, picture.height);
    spare.pixels.copy_from_slice(&picture.pixels);
    if width < 3 || height < 3 {
        return;
    }
    let row = width * 3;
    for y in 1..height - 1 {
        for at in y * row + 3..(y + 1) * row - 3 {
            let around = |at: usize| [at - 3, at, at + 3].map(|at| u32::from(spare.pixels[at])).iter().sum::<u32>();
            let own = spare.pixels[at];
            let sum = around(at - row) + around(at) + around(at + row) + 4 * u32::from(own);
            let smooth = (sum as f32 / 13.0 + 0.5) as u8;
            picture.pixels[at] = blend(smooth, own, factor);
        }
    }
}

/// Keeps the `bits` highest bits of every value.
pub(super) fn posterize(picture: &mut Picture, bits: u32) {
    let mask = (0xff_u32 << (8 - bits.min(8))) as u8;
    map(picture, &[table(|value| value & mask); 3]);
}

/// Inverts values from `threshold` on.
pub(super) fn solarize(picture: &mut Picture, threshold: f32) {
    map(picture, &[table(|value| if f32::from(value) < threshold { value } else { 255 - value }); 3]);
}

/// Stretches each channel over the whole range.
pub(super) fn auto_contrast(picture: &mut Picture) {
    let tables = histograms(picture).map(|counts| {
        let low = counts.iter().position(|&count| count > 0).unwrap_or(0);
        let high = counts.iter().rposition(|&count| count > 0).unwrap_or(0);
        if high <= low {
            return table(|value| value);
        }
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        table(|value| (f64::from(value) * scale + offset).clamp(0.0, 255.0) as u8)
    });
    map(picture, &tables);
}

/// Spreads each channel's values so that all are about as frequent.
pub(super) fn equalize(picture: &mut Picture) {
    let tables = histograms(picture).map(|counts| {
        let last = counts.iter().rfind(|&&count| count > 0).copied().unwrap_or(0);
        let step = (counts.iter().sum::<u64>() - last) / 255;
        if step == 0 {
            return table(|value| value);
        }
        let mut below = step / 2;
        let mut table = [0; 256];
        for (value, count) in table.iter_mut().zip(counts) {
            *value = (below / step).min(255) as u8;
            below += count;
        }
        table
    });
    map(picture, &tables);
}

fn pixels(picture: &Picture) -> impl Iterator<Item = &[u8; 3]> {
    picture.pixels.as_chunks::<3>().0.iter()
}

/// Grey by the weights of ITU-R 601-2 in 16-bit fixed point.
fn luma(&[red, green, blue]: &[u8; 3]) -> u8 {
    let [red, green, blue] = [red, green, blue].map(u32::from);
    ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8
}

fn blend(from: u8, to: u8, factor: f32) -> u8 {
    let (from, to) = (f32::from(from), f32::from(to));
    (from + factor * (to - from)).clamp(0.0, 255.0) as u8
}

fn table(value: impl Fn(u8) -> u8) -> Table {
    std::array::from_fn(|old| value(old as u8))
}

fn map(picture: &mut Picture, [red, green, blue]: &[Table; 3]) {
    let (pixels, _) = picture.pixels.as_chunks_mut::<3>();
    for [r, g, b] in pixels {
        (*r, *g, *b) = (red[usize::from(*r)], green[usize::from(*g)], blue[usize::from(*b)]);
    }
}

fn histograms(picture: &Picture) -> [[u64; 256]; 3] {
    let mut counts = [[0; 256]; 3];
    for pixel in pixels(picture) {
        for (counts, &value) in counts.iter_mut().zip(pixel) {
            counts[usize::from(value)] += 1;
        }
    }
    counts
}
