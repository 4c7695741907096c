//! Shear, translation and rotation.

use crate::picture::Picture;

/// Where the pixel at (x, y) comes from: `x' = a·x + b·y + c`, `y' = d·x + e·y + f`, in pixels from the upper left corner
/// to the middles of pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Affine(pub(super) [[f64; 3]; 2]);

impl Affine {
    /// Rows shifted against each other about the upper left corner, by `x` pixels a row, or columns by `y`.
    pub(super) fn shear(x: f64, y: f64) -> Self {
        Self([[1.0, x, 0.0], [y, 1.0, 0.0]])
    }

    /// Shifted by so many pixels to the right and down.
    pub(super) fn translation(right: f64, down: f64) -> Self {
        Self([[1.0, 0.0, -right], [0.0, 1.0, -down]])
    }

    /// Turned about the middle, counter-clockwise.
    pub(super) fn rotation(degrees: f64, width: u32, height: u32) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let (x, y) = (f64::from(width) / 2.0, f64::from(height) / 2.0);
        Self([[cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y]])
    }

    /// Moves the pixels of `picture`, the nearest for each place; black where there is none.
    pub(super) fn apply(&self, picture: &mut Picture, spare: &mut Picture) {
        let (width, height) = (picture.width as usize, picture.height as usize);
        spare.reshape(picture.width, picture.height);
        let Self([[a, b, c], [d, e, f]]) = *self;
        let (source, _) = picture.pixels.as_chunks::<3>();
        let (moved, _) = spare.pixels.as_chunks_mut::<3>();
        for (y, row) in moved.chunks_exact_mut(width).enumerate() {
            let y = y as f64 + 0.5;
            for (x, pixel) in row.iter_mut().enumerate() {
                let x = x as f64 + 0.5;
                let (from_x, from_y) = ((a * x + b * y + c).floor(), (d * x + e * y + f).floor());
                let inside = from_x >= 0.0 && from_y >= 0.0 && from_x < width as f64 && from_y < height as f64;
                *pixel = if inside { source[from_y as usize * width + from_x as usize] } else { [0; 3] };
            }
        }
        std::mem::swap(picture, spare);
    }
}
