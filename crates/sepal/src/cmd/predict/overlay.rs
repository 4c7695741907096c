//! A picture under the colours of its classes, with a legend.

use font8x8::UnicodeFonts;
use sepal_data::{IGNORE, LabelMap, Picture};

/// Side of a letter in pixels, before it grows with the picture.
const LETTER: usize = 8;
/// The least width of the whole, so that a legend fits under a small picture.
const LEAST_WIDTH: usize = 176;
/// A picture so many pixels wide has letters of two pixels a dot; and so on.
const GROWS: usize = 640;
const WHITE: [u8; 3] = [255; 3];
const BLACK: [u8; 3] = [0; 3];

/// The colours of the classes alone, white where there is none.
pub(super) fn colored(map: &LabelMap, colors: &[[u8; 3]]) -> Picture {
    let color = |&label: &u8| colors.get(usize::from(label)).copied().unwrap_or(WHITE);
    Picture { width: map.width, height: map.height, pixels: map.labels.iter().flat_map(color).collect() }
}

/// `picture` with the colours of its classes over it, which hide the share `opacity` of it; below it the names of the classes
/// in `legend`, each with its colour.
pub(super) fn overlay(
    picture: &Picture,
    map: &LabelMap,
    colors: &[[u8; 3]],
    legend: &[(usize, String)],
    opacity: f32,
) -> Picture {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let dot = 1 + width / GROWS;
    let full = width.max(LEAST_WIDTH);
    // A line of the legend: a square of the letter's height, a gap, the name.
    let (step, longest) = (LETTER * dot, legend.iter().map(|(_, name)| name.chars().count()).max().unwrap_or(0));
    let column = (longest + 3) * step;
    let columns = (full / column).max(1);
    let lines = legend.len().div_ceil(columns);
    let under = if lines == 0 { 0 } else { lines * 3 * step / 2 + step };
    let mut canvas = Canvas { width: full, pixels: vec![255; full * (height + under) * 3] };
    for (at, (pixel, label)) in picture.pixels.chunks_exact(3).zip(&map.labels).enumerate() {
        let over = colors.get(usize::from(*label)).filter(|_| *label != IGNORE);
        let mixed = |c: usize| {
            let (own, over) = (f32::from(pixel[c]), over.map_or(f32::from(pixel[c]), |over| f32::from(over[c])));
            (own * (1.0 - opacity) + over * opacity).round() as u8
        };
        canvas.fill(at % width, at / width, 1, [mixed(0), mixed(1), mixed(2)]);
    }
    for (at, (class, name)) in legend.iter().enumerate() {
        let (x, y) = (step / 2 + at % columns * column, height + step / 2 + at / columns * 3 * step / 2);
        canvas.fill(x, y, step, colors.get(*class).copied().unwrap_or(WHITE));
        for (place, letter) in name.chars().enumerate() {
            canvas.letter(x + (place + 1) * step + step / 2, y, dot, letter);
        }
    }
    Picture { width: full as u32, height: (height + under) as u32, pixels: canvas.pixels }
}

/// Pixels that are drawn on.
struct Canvas {
    width: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    /// A square; what lies beyond the edges is left out.
    fn fill(&mut self, x: usize, y: usize, side: usize, color: [u8; 3]) {
        for y in y..y + side {
            for x in x..(x + side).min(self.width) {
                let at = 3 * (y * self.width + x);
                if let Some(pixel) = self.pixels.get_mut(at..at + 3) {
                    pixel.copy_from_slice(&color);
                }
            }
        }
    }

    /// A letter whose dots are squares of `dot` pixels; one that the font lacks is a question mark.
    fn letter(&mut self, x: usize, y: usize, dot: usize, letter: char) {
        let fonts = [font8x8::BASIC_FONTS.get(letter), font8x8::LATIN_FONTS.get(letter), font8x8::BASIC_FONTS.get('?')];
        let Some(rows) = fonts.into_iter().flatten().next() else { return };
        for (row, bits) in rows.into_iter().enumerate() {
            for bit in (0..LETTER).filter(|bit| bits >> bit & 1 == 1) {
                self.fill(x + bit * dot, y + row * dot, dot, BLACK);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_lie_over_the_picture_and_names_under_it() {
        let picture = Picture { width: 2, height: 1, pixels: vec![100; 6] };
        let map = LabelMap::new(2, 1, vec![1, IGNORE]).unwrap();
        let colors = [[0, 0, 0], [200, 0, 50]];
        assert_eq!(colored(&map, &colors).pixels, [200, 0, 50, 255, 255, 255]);
        let over = overlay(&picture, &map, &colors, &[(1, "cat".to_owned())], 0.5);
        assert!(over.is_whole() && over.width as usize == LEAST_WIDTH && over.height > 9);
        assert_eq!(over.pixels[..6], [150, 50, 75, 100, 100, 100]);
        let rows = over.pixels.chunks_exact(3 * LEAST_WIDTH).skip(1);
        let count = |color: [u8; 3]| rows.clone().flat_map(|row| row.chunks_exact(3)).filter(|p| *p == color).count();
        // A square of 8 × 8 in the class's colour, and letters.
        assert_eq!(count([200, 0, 50]), 64);
        assert!((30..120).contains(&count(BLACK)), "{}", count(BLACK));
        // Names wider than the picture are cut off.
        let long = overlay(&picture, &map, &colors, &[(0, "x".repeat(100)), (7, "鸟".to_owned())], 0.5);
        assert!(long.is_whole());
    }
}
