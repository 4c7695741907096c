//! From a picture to a network's input: the one way, for training, evaluation and prediction.

use std::str::FromStr;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use crate::error::{DataError, Result};
use crate::masks::LabelMap;
use crate::picture::Picture;

const MAX_SIDE: usize = 16_384;
/// Pixels by which a part may reach beyond its picture for rounding.
const HAIR: f64 = 1e-3;

/// Resampling filter. When a picture shrinks, the filter widens with the factor (antialiasing), as in
/// PIL and in torchvision with `antialias=True`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// The nearest pixel; no antialiasing.
    Nearest,
    /// Triangle filter.
    #[default]
    Bilinear,
    /// Cubic convolution with a = −0.5 (Catmull–Rom).
    Bicubic,
    /// Windowed sinc over three lobes.
    Lanczos,
}

impl Filter {
    const ALL: [Self; 4] = [Self::Nearest, Self::Bilinear, Self::Bicubic, Self::Lanczos];

    /// The name in metadata and recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
            Self::Lanczos => "lanczos",
        }
    }

    fn algorithm(self) -> ResizeAlg {
        match self {
            Self::Nearest => ResizeAlg::Nearest,
            Self::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
            Self::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
            Self::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
        }
    }
}

impl FromStr for Filter {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|f| f.name() == name).ok_or(DataError::Option {
            name: "filter",
            value: format!("'{name}'"),
            expected: "nearest, bilinear, bicubic or lanczos",
        })
    }
}

/// How a picture of any shape becomes one of the network's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ResizeMode {
    /// Scale to cover `⌊size / crop_pct⌋`, keeping the aspect ratio, and take the middle. For a square
    /// size this is torchvision's `Resize(short side)` and `CenterCrop`, rounding included.
    ShortSideCrop {
        /// The share of the scaled picture's short side that is kept, in (0, 1].
        crop_pct: f32,
    },
    /// Scale both sides to the size; the aspect ratio is lost, nothing is cut off.
    Squash,
    /// Not scaled: the middle is taken, and black put around a picture that is smaller.
    Keep,
}

/// Resizing and normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocess {
    /// Height and width of the network's input.
    pub size: [usize; 2],
    /// How the picture gets this size.
    pub resize: ResizeMode,
    /// The filter used for it.
    pub filter: Filter,
    /// Mean of red, green and blue on a scale of 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation of the same; values become `(x / 255 − mean) / std`.
    pub std: [f32; 3],
    /// Whether the planes, mean and deviation are those of blue, green and red.
    pub bgr: bool,
}

impl Default for Preprocess {
    /// 224×224, the whole short side, bilinear, ImageNet's mean and deviation.
    fn default() -> Self {
        Self {
            size: [224, 224],
            resize: ResizeMode::ShortSideCrop { crop_pct: 1.0 },
            filter: Filter::Bilinear,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            bgr: false,
        }
    }
}

/// A rectangle of a source picture in pixels, not necessarily whole ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SourceBox {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// Buffers that one thread reuses from picture to picture.
#[derive(Default)]
pub struct Scratch {
    pub(crate) decoded: Picture,
    pub(crate) sized: Picture,
    pub(crate) spare: Picture,
    /// A mask as a picture, before and after it is cut.
    pub(crate) whole: Picture,
    pub(crate) mask: LabelMap,
    resizer: Resizer,
}

impl Scratch {
    /// Empty buffers; they grow on first use.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Preprocess {
    /// How many numbers [`apply`](Self::apply) writes: 3 × height × width.
    pub fn output_len(&self) -> usize {
        3 * self.size[0] * self.size[1]
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`DataError::Option`] with the field, its value and its range.
    pub fn validate(&self) -> Result<()> {
        let bad = |name, value: String, expected| Err(DataError::Option { name, value, expected });
        if self.size.iter().any(|s| !(1..=MAX_SIDE).contains(s)) {
            return bad("size", format!("{:?}", self.size), "a height and width of 1 to 16384 pixels");
        }
        if let ResizeMode::ShortSideCrop { crop_pct } = self.resize
            && !(crop_pct > 0.0 && crop_pct <= 1.0)
        {
            return bad("crop_pct", crop_pct.to_string(), "a share above 0 and at most 1");
        }
        if self.mean.iter().any(|m| !m.is_finite()) {
            return bad("mean", format!("{:?}", self.mean), "three finite numbers");
        }
        if self.std.iter().any(|s| !(s.is_finite() && *s > 0.0)) {
            return bad("std", format!("{:?}", self.std), "three positive numbers");
        }
        Ok(())
    }

    /// Resizes and normalises `picture` into `out`, planes of red, green and blue (C, H, W).
    ///
    /// # Errors
    /// [`DataError::Option`] if a field is out of range or `out` has not [`output_len`](Self::output_len)
    /// numbers, [`DataError::Picture`] if the picture's sizes do not agree with its pixels.
    pub fn apply(&self, picture: &Picture, scratch: &mut Scratch, out: &mut [f32]) -> Result<()> {
        self.validate()?;
        if out.len() != self.output_len() {
            let expected = "3 × height × width numbers";
            return Err(DataError::Option { name: "out", value: format!("{} numbers", out.len()), expected });
        }
        let mut sized = std::mem::take(&mut scratch.sized);
        let done = self.resize(picture, self.source_box(picture), scratch, &mut sized);
        if done.is_ok() {
            self.normalise(&sized, out);
        }
        scratch.sized = sized;
        done
    }

    /// The part of `picture` that ends up in the network's input.
    pub(crate) fn source_box(&self, picture: &Picture) -> SourceBox {
        let (width, height) = (f64::from(picture.width), f64::from(picture.height));
        let [h, w] = self.size.map(|s| s as f64);
        let crop_pct = match self.resize {
            ResizeMode::ShortSideCrop { crop_pct } => crop_pct,
            ResizeMode::Squash => return SourceBox { left: 0.0, top: 0.0, width, height },
            ResizeMode::Keep => {
                let [left, top] = [width - w, height - h].map(|room| (room / 2.0).floor());
                return SourceBox { left, top, width: w, height: h };
            }
        };
        let [cover_h, cover_w] = [h, w].map(|s| (s / f64::from(crop_pct)).floor());
        // The side that needs the larger factor is met exactly, the other is cut to whole pixels.
        let (scaled_w, scaled_h) = if cover_w * height >= cover_h * width {
            (cover_w, (cover_w * height / width).floor().max(cover_h))
        } else {
            ((cover_h * width / height).floor().max(cover_w), cover_h)
        };
        let left = ((scaled_w - w) / 2.0).round_ties_even();
        let top = ((scaled_h - h) / 2.0).round_ties_even();
        let (step_x, step_y) = (width / scaled_w, height / scaled_h);
        SourceBox { left: left * step_x, top: top * step_y, width: w * step_x, height: h * step_y }
    }

    /// Resamples `part` of `picture` to this size. Pixels beside the part take part in the filter at its
    /// edge, so this equals resizing the whole picture and cropping afterwards.
    pub(crate) fn resize(
        &self,
        picture: &Picture,
        part: SourceBox,
        scratch: &mut Scratch,
        sized: &mut Picture,
    ) -> Result<()> {
        let fail = |cause: String| DataError::picture("picture", cause);
        if !picture.is_whole() {
            let (w, h, n) = (picture.width, picture.height, picture.pixels.len());
            return Err(fail(format!("{w}×{h} pixels in {n} bytes")));
        }
        let [height, width] = self.size.map(|s| u32::try_from(s).unwrap_or(u32::MAX));
        sized.reshape(width, height);
        let whole = SourceBox { left: 0.0, top: 0.0, width: f64::from(width), height: f64::from(height) };
        if part == whole && picture.width == width && picture.height == height {
            sized.pixels.copy_from_slice(&picture.pixels);
            return Ok(());
        }
        let (full_w, full_h) = (f64::from(picture.width), f64::from(picture.height));
        let beyond = |start: f64, length: f64, full: f64| start < -HAIR || start + length > full + HAIR;
        if beyond(part.left, part.width, full_w) || beyond(part.top, part.height, full_h) {
            return self.resize_beyond(picture, part, scratch, sized);
        }
        // Rounding must not push the box out of the picture by a hair.
        let (left, top) = (part.left.clamp(0.0, full_w), part.top.clamp(0.0, full_h));
        let (part_w, part_h) = (fit(left, part.width, full_w), fit(top, part.height, full_h));
        let options =
            ResizeOptions::new().resize_alg(self.filter.algorithm()).crop(left, top, part_w, part_h).use_alpha(false);
        // The typed form compiles for this one kind of pixel instead of all fifteen.
        let source = TypedImageRef::<U8x3>::from_buffer(picture.width, picture.height, &picture.pixels)
            .map_err(|e| fail(e.to_string()))?;
        let mut target =
            TypedImage::<U8x3>::from_buffer(width, height, &mut sized.pixels).map_err(|e| fail(e.to_string()))?;
        scratch.resizer.resize_typed(&source, &mut target, &options).map_err(|e| fail(e.to_string()))
    }

    /// Resamples a `part` that reaches beyond `picture`; black where there is no picture.
    fn resize_beyond(
        &self,
        picture: &Picture,
        part: SourceBox,
        scratch: &mut Scratch,
        sized: &mut Picture,
    ) -> Result<()> {
        // Of a side: what of the picture is in the part, and the pixels of the input that it becomes.
        let side = |start: f64, length: f64, full: u32, input: usize| {
            let (from, to) = (start.max(0.0), (start + length).min(f64::from(full)));
            let place = |at: f64| ((at - start) / length * input as f64).round().clamp(0.0, input as f64) as usize;
            (from, to - from, place(from)..place(to))
        };
        let [height, width] = self.size;
        let (left, part_w, columns) = side(part.left, part.width, picture.width, width);
        let (top, part_h, rows) = side(part.top, part.height, picture.height, height);
        sized.pixels.fill(0);
        if columns.is_empty() || rows.is_empty() {
            return Ok(());
        }
        let inner = Self { size: [rows.len(), columns.len()], ..*self };
        let mut there = Picture::default();
        inner.resize(picture, SourceBox { left, top, width: part_w, height: part_h }, scratch, &mut there)?;
        let lines = sized.pixels.chunks_exact_mut(3 * width).skip(rows.start);
        for (line, row) in lines.zip(there.pixels.chunks_exact(3 * columns.len())) {
            line[3 * columns.start..3 * columns.end].copy_from_slice(row);
        }
        Ok(())
    }

    /// `(x / 255 − mean) / std` of a picture of this size, into planes.
    pub(crate) fn normalise(&self, sized: &Picture, out: &mut [f32]) {
        let (mut mean, mut std) = (self.mean, self.std);
        if self.bgr {
            mean.reverse();
            std.reverse();
        }
        crate::transforms::normalise(&sized.pixels, &mean, &std, out);
        if self.bgr {
            let plane = out.len() / 3;
            let (red, rest) = out.split_at_mut(plane);
            red.swap_with_slice(&mut rest[plane..]);
        }
    }
}

/// The length from `start` that does not reach beyond `full`, whatever the rounding.
fn fit(start: f64, length: f64, full: f64) -> f64 {
    let mut length = length.min(full - start);
    while start + length > full {
        length = length.next_down();
    }
    length
}
