//! Default recipes, and which of them suits some data.

use sepal_data::{Augment, Picture, RandomResizedCrop, Sampling, ScaleCrop, Splits};

use super::{ClassWeights, Optimizer, Preprocessing, Recipe, Resize, Schedule};
use crate::error::Result;

/// Pictures looked at by [`Recipe::for_data`].
const LOOKED_AT: usize = 16;
/// The largest shorter side, in pixels, of what counts as a small picture.
const SMALL: u32 = 64;
/// Parts that segmenters are trained on are multiples of this, and not larger than the second.
const PART: usize = 32;
const LARGEST_PART: usize = 512;

impl Default for Recipe {
    /// [`Recipe::small_pictures`].
    fn default() -> Self {
        Self::small_pictures()
    }
}

impl Recipe {
    /// For pictures of about 28 to 64 pixels, such as the embedded sample: MobileNet V1 of a quarter of
    /// the width, whose first strides are 1. Sized so that a few thousand pictures train within about a minute
    /// on two cores; for more pictures or time take more width, epochs and `augment.crop_padding`.
    #[must_use]
    pub fn small_pictures() -> Self {
        Self {
            model: "mobilenet_v1:stem=cifar,width=0.25".into(),
            first: None,
            data: None,
            val_split: None,
            size: 28,
            epochs: 20,
            batch: 32,
            accumulate: 1,
            seed: 0,
            lr: None,
            warmup_epochs: 0.5,
            weight_decay: None,
            decay_norms: false,
            decay_biases: false,
            decay_depthwise: false,
            label_smoothing: 0.05,
            ema_decay: 0.995,
            clip_grad: None,
            protocol: None,
            freeze: Vec::new(),
            strict: false,
            workers: 0,
            class_weights: None,
            ortho: None,
            early_stopping: None,
            optimizer: Optimizer::Sgd { momentum: 0.9, nesterov: true },
            schedule: Schedule::Cosine { min: 0.0 },
            sampling: Sampling::default(),
            augment: Augment { crop_padding: Some(1), hflip: 0.5, ..Augment::default() },
            preprocessing: Preprocessing::default(),
            groups: Vec::new(),
        }
    }

    /// For larger pictures: MobileNet V1 of half width at 128 pixels, random-resized crops.
    #[must_use]
    pub fn photographs() -> Self {
        Self {
            model: "mobilenet_v1:width=0.5".into(),
            size: 128,
            epochs: 60,
            batch: 32,
            warmup_epochs: 3.0,
            ema_decay: 0.998,
            augment: Augment {
                random_resized_crop: Some(RandomResizedCrop::default()),
                hflip: 0.5,
                ..Augment::default()
            },
            ..Self::small_pictures()
        }
    }

    /// For pictures with masks: ESPNet on parts that are cut out at random scales, classes weighted by how rare they are.
    #[must_use]
    pub fn scenes() -> Self {
        Self {
            model: "espnet:p=2,q=3".into(),
            size: LARGEST_PART,
            epochs: 60,
            batch: 4,
            lr: Some(5e-3),
            weight_decay: Some(1e-4),
            warmup_epochs: 1.0,
            label_smoothing: 0.0,
            ema_decay: 0.95,
            class_weights: Some(ClassWeights::default()),
            optimizer: Optimizer::Adamw { betas: [0.9, 0.999], eps: 1e-8 },
            schedule: Schedule::Polynomial { power: 0.9, min: 0.0 },
            augment: Augment { scale_crop: Some(ScaleCrop { scale: [0.75, 1.5] }), hflip: 0.5, ..Augment::default() },
            preprocessing: Preprocessing { resize: Resize::Keep, ..Preprocessing::default() },
            ..Self::small_pictures()
        }
    }

    /// The default recipe for these data: for pictures with masks [`Recipe::scenes`]; else by the size of some of the training
    /// pictures, for small ones [`Recipe::small_pictures`] at the pictures' own size, at least 28, else
    /// [`Recipe::photographs`].
    ///
    /// # Errors
    /// None of the pictures looked at can be read.
    pub fn for_data(data: &Splits) -> Result<Self> {
        let set = data.train.as_ref();
        let mut picture = Picture::default();
        let (mut sides, mut failure) = (Vec::new(), None);
        let looks = LOOKED_AT.min(set.len());
        for look in 0..looks {
            match set.decode_into(look * set.len() / looks, &mut picture) {
                Ok(()) => sides.push(picture.width.min(picture.height)),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        sides.sort_unstable();
        match (sides.get(sides.len() / 2), failure) {
            (None, Some(error)) => Err(error.into()),
            (Some(&side), _) if set.mask_classes().is_some() => {
                let size = (side as usize / PART * PART).clamp(PART, LARGEST_PART);
                Ok(Self { size, ..Self::scenes() })
            }
            (Some(&side), _) if side <= SMALL => {
                let smallest = Self::small_pictures().size;
                Ok(Self { size: smallest.max(side as usize), ..Self::small_pictures() })
            }
            (None, None) | (Some(_), _) => Ok(Self::photographs()),
        }
    }
}
