//! A random crop of the padded picture (the usual augmentation of CIFAR, He et al. 2015 §4.2).

use super::Transform;
use crate::picture::Picture;
use crate::random::Stream;

/// Pads with black by `padding` pixels on every side and crops back to the size at a random place.
pub(super) struct RandomCrop {
    pub(super) padding: u32,
}

impl Transform for RandomCrop {
    fn name(&self) -> &'static str {
        "crop"
    }

    fn apply(&self, picture: &mut Picture, spare: &mut Picture, random: &mut Stream) {
        let places = 2 * self.padding + 1;
        let down = i64::from(random.below(places)) - i64::from(self.padding);
        let right = i64::from(random.below(places)) - i64::from(self.padding);
        shift(picture, spare, down, right);
        std::mem::swap(picture, spare);
    }

    fn follow(&self, mask: &mut Picture, spare: &mut Picture, random: &mut Stream) {
        self.apply(mask, spare, random);
    }
}

/// `moved` becomes the window of `picture` that starts `down` rows and `right` columns from its corner;
/// black where there is no picture.
fn shift(picture: &Picture, moved: &mut Picture, down: i64, right: i64) {
    let (width, height) = (i64::from(picture.width), i64::from(picture.height));
    moved.reshape(picture.width, picture.height);
    let row_bytes = picture.width as usize * 3;
    let kept = (width - right.abs()).max(0) as usize * 3;
    let (from, to) = if right >= 0 { (row_bytes - kept, 0) } else { (0, row_bytes - kept) };
    for (y, row) in moved.pixels.chunks_exact_mut(row_bytes).enumerate() {
        let source = y as i64 + down;
        if kept == 0 || !(0..height).contains(&source) {
            row.fill(0);
            continue;
        }
        let start = source as usize * row_bytes + from;
        row[..to].fill(0);
        row[to..to + kept].copy_from_slice(&picture.pixels[start..start + kept]);
        row[to + kept..].fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_padding_and_cropping_pixel_by_pixel() {
        let (width, height) = (5i64, 3i64);
        let picture = Picture::new(5, 3, (1..=45).collect()).unwrap();
        for down in -4..=4i64 {
            for right in -6..=6i64 {
                let mut moved = Picture::default();
                shift(&picture, &mut moved, down, right);
                for (at, pixel) in moved.pixels.chunks_exact(3).enumerate() {
                    let (y, x) = (at as i64 / width + down, at as i64 % width + right);
                    let inside = (0..height).contains(&y) && (0..width).contains(&x);
                    let expected = if inside { 1 + ((y * width + x) * 3) as u8 } else { 0 };
                    assert_eq!(pixel[0], expected, "down {down} right {right} at {at}");
                }
            }
        }
    }
}
