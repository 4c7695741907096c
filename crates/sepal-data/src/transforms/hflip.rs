//! Random mirroring left to right.

use super::Transform;
use crate::picture::Picture;
use crate::random::Stream;

/// Mirrors with probability `p`.
pub(super) struct HorizontalFlip {
    pub(super) p: f32,
}

impl Transform for HorizontalFlip {
    fn name(&self) -> &'static str {
        "hflip"
    }

    fn apply(&self, picture: &mut Picture, _spare: &mut Picture, random: &mut Stream) {
        if random.chance(self.p) {
            mirror(picture);
        }
    }

    fn follow(&self, mask: &mut Picture, spare: &mut Picture, random: &mut Stream) {
        self.apply(mask, spare, random);
    }
}

fn mirror(picture: &mut Picture) {
    let row_bytes = picture.width as usize * 3;
    for row in picture.pixels.chunks_exact_mut(row_bytes) {
        let (pixels, _) = row.as_chunks_mut::<3>();
        pixels.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_pixels_and_not_channels() {
        let mut picture = Picture::new(2, 2, (0..12).collect()).unwrap();
        mirror(&mut picture);
        assert_eq!(picture.pixels, [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]);
    }
}
