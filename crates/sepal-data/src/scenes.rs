//! Scenes for segmentation that need no download: items of the embedded sample on textured ground, with exact masks.

use std::path::Path;
use std::sync::Arc;

use crate::dataset::Dataset;
use crate::datasets::{SAMPLE_CLASSES, sample};
use crate::error::{DataError, Result};
use crate::masks::{LabelMap, MaskClasses, default_colors, encode_labels};
use crate::picture::Picture;
use crate::random::Stream;

/// The classes of scenes: the ground, and the ten kinds of items.
pub const SCENE_CLASSES: usize = SAMPLE_CLASSES.len() + 1;
/// Every fifth scene is held out.
const HELD: usize = 5;
/// Height and width of a scene.
const SIDES: std::ops::RangeInclusive<usize> = 16..=8192;
const MAX_COUNT: usize = 1_000_000;
/// Values of an item's picture below this are no part of it.
const EDGE: f32 = 40.0;

/// Scenes that are made when they are asked for: a pure function of the size, the seed and the index.
pub struct Scenes {
    items: Arc<dyn Dataset>,
    /// The items' indices by class.
    by_class: Vec<Vec<usize>>,
    classes: MaskClasses,
    count: usize,
    size: u32,
    seed: u64,
}

impl Scenes {
    /// `count` scenes of `size` × `size` pixels for training and, of other items, a quarter as many to hold out.
    ///
    /// # Errors
    /// [`DataError::Option`] for no scene or more than a million, or a size outside 16 to 8192.
    pub fn splits(count: usize, size: usize, seed: u64) -> Result<[Self; 2]> {
        let bad = |name, value: usize, expected| DataError::Option { name, value: value.to_string(), expected };
        if !(2..=MAX_COUNT).contains(&count) {
            return Err(bad("count", count, "2 to a million scenes"));
        }
        if !SIDES.contains(&size) {
            return Err(bad("size", size, "16 to 8192 pixels"));
        }
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let splits = sample()?;
        let held = count.div_ceil(HELD);
        let test = splits.test.unwrap_or_else(|| Arc::clone(&splits.train));
        // Held-out scenes have items and numbers of their own.
        Ok([Self::new(splits.train, count - held, size, seed)?, Self::new(test, held, size, !seed)?])
    }

    fn new(items: Arc<dyn Dataset>, count: usize, size: u32, seed: u64) -> Result<Self> {
        let mut by_class = vec![Vec::new(); SAMPLE_CLASSES.len()];
        for index in 0..items.len() {
            if let Some(of) = by_class.get_mut(items.label(index) as usize) {
                of.push(index);
            }
        }
        let names = std::iter::once("ground").chain(SAMPLE_CLASSES).map(String::from).collect();
        Ok(Self { items, by_class, classes: MaskClasses::numbered(names)?, count, size, seed })
    }

    /// Makes scene `index`: the picture and its mask.
    fn scene(&self, index: usize, picture: &mut Picture, mask: &mut LabelMap) -> Result<()> {
        let size = self.size as usize;
        picture.reshape(self.size, self.size);
        (mask.width, mask.height) = (self.size, self.size);
        mask.labels.clear();
        mask.labels.resize(size * size, 0);
        let random = &mut Stream::new(self.seed, 0, index as u64, "scene");
        ground(picture, random);
        let items = 2 + random.below(4);
        let mut item = Picture::default();
        for _ in 0..items {
            let class = random.below(self.by_class.len() as u32) as usize;
            let of = &self.by_class[class];
            let chosen = of.get(random.below(of.len() as u32) as usize).copied().unwrap_or_default();
            self.items.decode_into(chosen, &mut item)?;
            put(&item, class as u8 + 1, picture, mask, random);
        }
        Ok(())
    }
}

impl Dataset for Scenes {
    fn len(&self) -> usize {
        self.count
    }

    fn classes(&self) -> &[String] {
        self.classes.names()
    }

    fn label(&self, _: usize) -> u32 {
        0
    }

    fn describe(&self, index: usize) -> String {
        format!("scene[{index}]")
    }

    fn decode_into(&self, index: usize, picture: &mut Picture) -> Result<()> {
        self.scene(index, picture, &mut LabelMap::default())
    }

    fn mask_classes(&self) -> Option<&MaskClasses> {
        Some(&self.classes)
    }

    fn decode_mask_into(&self, index: usize, mask: &mut LabelMap) -> Result<()> {
        self.scene(index, &mut Picture::default(), mask)
    }
}

/// Fills a picture with two colours that flow into each other in patches of two sizes, and noise.
fn ground(picture: &mut Picture, random: &mut Stream) {
    let size = picture.width as usize;
    let mut color = || [0; 3].map(|_: u8| random.range(0.0, 255.0));
    let (from, to) = (color(), color());
    let patches: Vec<(usize, Vec<f32>)> = [4, 12]
        .map(|cells| (cells, (0..(cells + 1) * (cells + 1)).map(|_| random.unit()).collect()))
        .into_iter()
        .collect();
    let share = |cells: usize, values: &[f32], x: usize, y: usize| {
        let place = |at: usize| {
            let at = (at as f32 + 0.5) / size as f32 * cells as f32;
            (at as usize, at.fract())
        };
        let ((x, right), (y, down)) = (place(x), place(y));
        let value = |x: usize, y: usize| values[y * (cells + 1) + x];
        let row = |y: usize| value(x, y) * (1.0 - right) + value(x + 1, y) * right;
        row(y) * (1.0 - down) + row(y + 1) * down
    };
    for (at, pixel) in picture.pixels.chunks_exact_mut(3).enumerate() {
        let (x, y) = (at % size, at / size);
        let [coarse, fine] = [0, 1].map(|i| share(patches[i].0, &patches[i].1, x, y));
        let share = 0.65 * coarse + 0.35 * fine;
        let noise = random.range(-14.0, 14.0);
        for (channel, value) in pixel.iter_mut().enumerate() {
            *value = (from[channel] * (1.0 - share) + to[channel] * share + noise).clamp(0.0, 255.0) as u8;
        }
    }
}

/// Puts an item somewhere into a scene: in a size, a colour and a direction of its own, over what is there.
fn put(item: &Picture, class: u8, picture: &mut Picture, mask: &mut LabelMap, random: &mut Stream) {
    let (size, side) = (picture.width as f32, item.width as f32);
    let scale = size * random.range(0.3, 0.6) / side;
    let (middle_x, middle_y) = (size * random.range(0.1, 0.9), size * random.range(0.1, 0.9));
    let mirrored = random.chance(0.5);
    // The tangent of half an angle up to 15° gives sine and cosine by arithmetic alone, the same on every machine.
    let t = random.range(-0.13, 0.13);
    let (sin, cos) = (2.0 * t / (1.0 + t * t), (1.0 - t * t) / (1.0 + t * t));
    let tint = [0; 3].map(|_: u8| random.range(0.45, 1.0));
    let reach = 0.75 * side * scale;
    let span =
        |middle: f32| (middle - reach).max(0.0) as usize..((middle + reach).max(0.0) as usize + 1).min(size as usize);
    for y in span(middle_y) {
        for x in span(middle_x) {
            let (dx, dy) = (x as f32 + 0.5 - middle_x, y as f32 + 0.5 - middle_y);
            let along = (cos * dx + sin * dy) / scale;
            let down = (cos * dy - sin * dx) / scale + side / 2.0;
            let value = sampled(item, if mirrored { -along } else { along } + side / 2.0, down);
            if value < EDGE {
                continue;
            }
            let at = y * picture.width as usize + x;
            mask.labels[at] = class;
            for (channel, tint) in tint.iter().enumerate() {
                picture.pixels[3 * at + channel] = (value * tint) as u8;
            }
        }
    }
}

/// The grey value of a picture at a place, between its pixels; 0 outside.
fn sampled(item: &Picture, x: f32, y: f32) -> f32 {
    let (width, height) = (item.width as i64, item.height as i64);
    let (x, y) = (x - 0.5, y - 0.5);
    let value = |x: i64, y: i64| match (0..width).contains(&x) && (0..height).contains(&y) {
        true => f32::from(item.pixels[(y * width + x) as usize * 3]),
        false => 0.0,
    };
    let (left, top) = (x.floor(), y.floor());
    let (right, down) = (x - left, y - top);
    let (left, top) = (left as i64, top as i64);
    let row = |y: i64| value(left, y) * (1.0 - right) + value(left + 1, y) * right;
    row(top) * (1.0 - down) + row(top + 1) * down
}

/// Writes scenes to `folder`: `images/train`, `images/val`, masks beside them, `classes.toml`. `progress` is called with the
/// number written after each one.
///
/// # Errors
/// Those of [`Scenes::splits`]; [`DataError::Io`].
pub fn write_scenes(
    folder: &Path,
    count: usize,
    size: usize,
    seed: u64,
    mut progress: impl FnMut(usize),
) -> Result<()> {
    let sets = Scenes::splits(count, size, seed)?;
    let (mut picture, mut mask, mut done) = (Picture::default(), LabelMap::default(), 0);
    let put = |path: &Path, bytes: &[u8]| std::fs::write(path, bytes).map_err(|e| DataError::io(path, e));
    for (name, set) in ["train", "val"].into_iter().zip(&sets) {
        let [images, masks] = ["images", "masks"].map(|kind| folder.join(kind).join(name));
        for folder in [&images, &masks] {
            std::fs::create_dir_all(folder).map_err(|e| DataError::io(folder, e))?;
        }
        for index in 0..set.len() {
            set.scene(index, &mut picture, &mut mask)?;
            let file = format!("{index:05}.png");
            put(&images.join(&file), &encode_picture(&picture, &set.describe(index))?)?;
            put(&masks.join(&file), &encode_labels(&mask, set.classes.colors())?)?;
            done += 1;
            progress(done);
        }
    }
    let [train, _] = &sets;
    let mut text = String::from("ignore = 255\n");
    for (name, color) in train.classes().iter().zip(default_colors(SCENE_CLASSES)) {
        text += &format!("\n[[class]]\nname = {name:?}\ncolor = {color:?}\n");
    }
    put(&folder.join("classes.toml"), text.as_bytes())
}

fn encode_picture(picture: &Picture, name: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    image::ImageEncoder::write_image(
        encoder,
        &picture.pixels,
        picture.width,
        picture.height,
        image::ExtendedColorType::Rgb8,
    )
    .map_err(|e| DataError::picture(name, e))?;
    Ok(bytes)
}
