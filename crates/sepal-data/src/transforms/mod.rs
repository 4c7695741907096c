//! What training varies in a picture. A transform is a file here, a field of [`Augment`] and a line in
//! [`Augment::list`].

use serde::{Deserialize, Serialize};

use crate::error::{DataError, Result};
use crate::masks::{LabelMap, label_of};
use crate::picture::Picture;
use crate::preprocess::{Filter, Preprocess, Scratch, SourceBox};
use crate::random::Stream;

mod affine;
mod color;
mod color_jitter;
mod hflip;
mod mix;
mod normalise;
mod operation;
mod policy;
mod random_crop;
mod random_erasing;
mod random_resized_crop;
mod scale_crop;

pub use color_jitter::ColorJitter;
pub use mix::Mix;
pub(crate) use normalise::normalise;
pub use policy::Policy;
pub use random_erasing::{ErasingFill, RandomErasing};
pub use random_resized_crop::RandomResizedCrop;
pub use scale_crop::ScaleCrop;

const MAX_PADDING: usize = 1024;

/// A random change to a picture that already has the network's size and keeps it.
pub trait Transform: Send + Sync {
    /// Names the transform's stream of random numbers; no two transforms share one.
    fn name(&self) -> &'static str;

    /// Changes `picture`. `spare` is a buffer whose contents do not matter, before or after; every
    /// random decision is drawn from `random`.
    fn apply(&self, picture: &mut Picture, spare: &mut Picture, random: &mut Stream);

    /// Moves the pixels of a mask as [`apply`](Self::apply) moved those of its picture, given the same `random`; black where
    /// nothing of it comes to lie. Changes of colour leave masks as they are.
    fn follow(&self, mask: &mut Picture, spare: &mut Picture, random: &mut Stream) {
        let _ = (mask, spare, random);
    }
}

/// The augmentations that are on; the default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Cut out a random part instead of the middle.
    pub random_resized_crop: Option<RandomResizedCrop>,
    /// Cut out a part at a random scale instead, which may reach beyond the picture.
    pub scale_crop: Option<ScaleCrop>,
    /// Pad by so many black pixels on every side of the resized picture and crop at random.
    pub crop_padding: Option<usize>,
    /// Probability of mirroring left to right.
    pub hflip: f32,
    /// Operations drawn at random.
    pub policy: Option<Policy>,
    /// Random brightness, contrast, saturation and hue.
    pub color_jitter: Option<ColorJitter>,
    /// A random rectangle loses its content.
    pub random_erasing: Option<RandomErasing>,
    /// Pictures of a batch are mixed in pairs.
    pub mix: Option<Mix>,
}

impl Augment {
    /// The transforms of sized pictures, in the order in which they are applied.
    fn list(&self) -> Result<Vec<Box<dyn Transform>>> {
        let mut list: Vec<Box<dyn Transform>> = Vec::new();
        if let Some(padding) = self.crop_padding.filter(|&p| p > 0) {
            let padding = u32::try_from(padding).ok().filter(|_| padding <= MAX_PADDING).ok_or(DataError::Option {
                name: "crop_padding",
                value: padding.to_string(),
                expected: "at most 1024 pixels",
            })?;
            list.push(Box::new(random_crop::RandomCrop { padding }));
        }
        if !(0.0..=1.0).contains(&self.hflip) {
            let expected = "a probability from 0 to 1";
            return Err(DataError::Option { name: "hflip", value: self.hflip.to_string(), expected });
        }
        if self.hflip > 0.0 {
            list.push(Box::new(hflip::HorizontalFlip { p: self.hflip }));
        }
        if let Some(policy) = self.policy {
            policy.validate()?;
            list.push(Box::new(policy));
        }
        if let Some(jitter) = self.color_jitter {
            jitter.validate()?;
            list.push(Box::new(jitter));
        }
        Ok(list)
    }
}

/// From a decoded picture to normalised numbers, with or without augmentation.
pub struct Pipeline {
    preprocess: Preprocess,
    crop: Option<RandomResizedCrop>,
    scale_crop: Option<ScaleCrop>,
    transforms: Vec<Box<dyn Transform>>,
    erasing: Option<RandomErasing>,
    mix: Option<Mix>,
}

impl Pipeline {
    /// Resizing and normalisation alone.
    ///
    /// # Errors
    /// Those of [`Preprocess::validate`].
    pub fn eval(preprocess: Preprocess) -> Result<Self> {
        Self::train(preprocess, &Augment::default())
    }

    /// The same with `augment`.
    ///
    /// # Errors
    /// [`DataError::Option`] for a field of either out of its range.
    pub fn train(preprocess: Preprocess, augment: &Augment) -> Result<Self> {
        preprocess.validate()?;
        if let Some(crop) = &augment.random_resized_crop {
            crop.validate()?;
        }
        if let Some(crop) = &augment.scale_crop {
            crop.validate()?;
            if augment.random_resized_crop.is_some() {
                let expected = "no random_resized_crop beside it";
                return Err(DataError::Option { name: "scale_crop", value: format!("{:?}", crop.scale), expected });
            }
        }
        if let Some(erasing) = &augment.random_erasing {
            erasing.validate()?;
        }
        if let Some(mix) = &augment.mix {
            mix.validate()?;
        }
        Ok(Self {
            preprocess,
            crop: augment.random_resized_crop,
            scale_crop: augment.scale_crop,
            transforms: augment.list()?,
            erasing: augment.random_erasing,
            mix: augment.mix,
        })
    }

    /// Appends a transform of one's own.
    pub fn with(mut self, transform: impl Transform + 'static) -> Self {
        self.transforms.push(Box::new(transform));
        self
    }

    /// The resizing and normalisation in it.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// How batches are mixed.
    pub(crate) fn mix(&self) -> Option<&Mix> {
        self.mix.as_ref()
    }

    /// Writes `picture`, as picture `index` of `epoch` under `seed`, into `out` (C, H, W;
    /// [`Preprocess::output_len`] numbers).
    ///
    /// # Errors
    /// As [`Preprocess::apply`].
    pub fn apply(
        &self,
        picture: &Picture,
        (seed, epoch, index): (u64, u64, u64),
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> Result<()> {
        let varied = self.crop.is_some() || self.scale_crop.is_some() || self.erasing.is_some();
        if !varied && self.transforms.is_empty() {
            return self.preprocess.apply(picture, scratch, out);
        }
        let part = self.part(picture, (seed, epoch, index));
        let mut sized = std::mem::take(&mut scratch.sized);
        let mut spare = std::mem::take(&mut scratch.spare);
        let done = self.preprocess.resize(picture, part, scratch, &mut sized);
        if done.is_ok() {
            for transform in &self.transforms {
                let mut random = Stream::new(seed, epoch, index, transform.name());
                transform.apply(&mut sized, &mut spare, &mut random);
            }
            self.preprocess.normalise(&sized, out);
            if let Some(erasing) = &self.erasing {
                let mut random = Stream::new(seed, epoch, index, RandomErasing::NAME);
                erasing.apply(out, self.preprocess.size, &mut random);
            }
        }
        (scratch.sized, scratch.spare) = (sized, spare);
        done
    }

    /// Writes a mask into `labels`, one for each pixel of the input, cut and moved as [`apply`](Self::apply) cuts and moves
    /// its picture: each pixel has the label of the nearest one.
    ///
    /// # Errors
    /// [`DataError::Option`] if there are not as many labels as pixels, [`DataError::Picture`] if the mask's sizes do not
    /// agree with its pixels.
    pub fn apply_mask(
        &self,
        mask: &LabelMap,
        (seed, epoch, index): (u64, u64, u64),
        scratch: &mut Scratch,
        labels: &mut [u32],
    ) -> Result<()> {
        let [height, width] = self.preprocess.size;
        if labels.len() != height * width {
            let expected = "height × width labels";
            return Err(DataError::Option { name: "labels", value: format!("{} labels", labels.len()), expected });
        }
        let (mut whole, mut sized) = (std::mem::take(&mut scratch.whole), std::mem::take(&mut scratch.sized));
        let mut spare = std::mem::take(&mut scratch.spare);
        mask.to_picture(&mut whole);
        let part = self.part(&whole, (seed, epoch, index));
        let nearest = Preprocess { filter: Filter::Nearest, ..self.preprocess };
        let done = nearest.resize(&whole, part, scratch, &mut sized);
        if done.is_ok() {
            for transform in &self.transforms {
                transform.follow(&mut sized, &mut spare, &mut Stream::new(seed, epoch, index, transform.name()));
            }
            for (label, pixel) in labels.iter_mut().zip(sized.pixels.chunks_exact(3)) {
                *label = label_of(pixel);
            }
        }
        (scratch.whole, scratch.sized, scratch.spare) = (whole, sized, spare);
        done
    }

    /// The part of a picture, or of its mask, that becomes the input.
    fn part(&self, picture: &Picture, (seed, epoch, index): (u64, u64, u64)) -> SourceBox {
        match (&self.crop, &self.scale_crop) {
            (Some(crop), _) => crop.draw(picture, &mut Stream::new(seed, epoch, index, "random_resized_crop")),
            (None, Some(crop)) => {
                crop.draw(picture, self.preprocess.size, &mut Stream::new(seed, epoch, index, ScaleCrop::NAME))
            }
            (None, None) => self.preprocess.source_box(picture),
        }
    }
}

#[cfg(test)]
mod golden;
