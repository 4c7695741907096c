//! The operations that policies choose from.

use super::affine::Affine;
use super::color;
use crate::picture::Picture;

/// An operation of AutoAugment's family. What `apply` takes as strength is said for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Identity,
    /// Pixels a row.
    ShearX,
    /// Pixels a column.
    ShearY,
    /// Pixels, of which the whole ones count.
    TranslateX,
    /// The same.
    TranslateY,
    /// Degrees.
    Rotate,
    /// The factor less 1, as for the next three.
    Brightness,
    Color,
    Contrast,
    Sharpness,
    /// Bits that are kept.
    Posterize,
    /// The least value that is inverted.
    Solarize,
    AutoContrast,
    Equalize,
}

impl Operation {
    /// All of them, in torchvision's order.
    pub(super) const ALL: [Self; 14] = [
        Self::Identity,
        Self::ShearX,
        Self::ShearY,
        Self::TranslateX,
        Self::TranslateY,
        Self::Rotate,
        Self::Brightness,
        Self::Color,
        Self::Contrast,
        Self::Sharpness,
        Self::Posterize,
        Self::Solarize,
        Self::AutoContrast,
        Self::Equalize,
    ];

    /// Changes `picture`; strengths without a sign of their own work in both directions where that has a meaning.
    pub(super) fn apply(self, strength: f32, picture: &mut Picture, spare: &mut Picture) {
        let exact = f64::from(strength);
        match self {
            Self::Identity => {}
            Self::ShearX => Affine::shear(exact, 0.0).apply(picture, spare),
            Self::ShearY => Affine::shear(0.0, exact).apply(picture, spare),
            Self::TranslateX => Affine::translation(exact.trunc(), 0.0).apply(picture, spare),
            Self::TranslateY => Affine::translation(0.0, exact.trunc()).apply(picture, spare),
            Self::Rotate => Affine::rotation(exact, picture.width, picture.height).apply(picture, spare),
            Self::Brightness => color::brightness(picture, 1.0 + strength),
            Self::Color => color::saturation(picture, 1.0 + strength),
            Self::Contrast => color::contrast(picture, 1.0 + strength),
            Self::Sharpness => color::sharpness(picture, spare, 1.0 + strength),
            Self::Posterize => color::posterize(picture, strength as u32),
            Self::Solarize => color::solarize(picture, strength),
            Self::AutoContrast => color::auto_contrast(picture),
            Self::Equalize => color::equalize(picture),
        }
    }

    /// Whether it moves pixels, so that a mask has to follow.
    pub(super) fn moves(self) -> bool {
        match self {
            Self::ShearX | Self::ShearY | Self::TranslateX | Self::TranslateY | Self::Rotate => true,
            Self::Brightness | Self::Color | Self::Contrast | Self::Sharpness => false,
            Self::Identity | Self::Posterize | Self::Solarize | Self::AutoContrast | Self::Equalize => false,
        }
    }

    /// Whether the strength's sign is drawn.
    pub(super) fn is_signed(self) -> bool {
        match self {
            Self::ShearX | Self::ShearY | Self::TranslateX | Self::TranslateY | Self::Rotate => true,
            Self::Brightness | Self::Color | Self::Contrast | Self::Sharpness => true,
            Self::Identity | Self::Posterize | Self::Solarize | Self::AutoContrast | Self::Equalize => false,
        }
    }
}
