//! How fast pictures become batches: the sample with the usual augmentation of small pictures, and
//! 500×375 JPEGs made on the spot with random-resized crop to 224.
//!
//! `cargo run --release -p sepal-data --example throughput`

use std::sync::Arc;
use std::time::Instant;

use sepal_data::{
    Augment, DataError, Dataset, Limits, Loader, LoaderOptions, Picture, Pipeline, Preprocess, RandomResizedCrop,
    decode_picture, order, sample,
};

const JPEGS: usize = 200;

struct Jpegs(Vec<u8>, [String; 1]);

impl Dataset for Jpegs {
    fn len(&self) -> usize {
        JPEGS
    }
    fn classes(&self) -> &[String] {
        &self.1
    }
    fn label(&self, _: usize) -> u32 {
        0
    }
    fn describe(&self, index: usize) -> String {
        format!("jpeg[{index}]")
    }
    fn decode_into(&self, index: usize, picture: &mut Picture) -> Result<(), DataError> {
        *picture = decode_picture(&self.0, &self.describe(index), &Limits::default())?;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let small = Augment { hflip: 0.5, crop_padding: Some(4), ..Augment::default() };
    for size in [28, 32] {
        measure(&format!("sample at {size}"), sample()?.train, size, &small)?;
    }
    let photo =
        image::RgbImage::from_fn(500, 375, |x, y| image::Rgb([(x ^ y) as u8, (x * y / 99) as u8, (x + y) as u8]));
    let mut jpeg = std::io::Cursor::new(Vec::new());
    photo.write_to(&mut jpeg, image::ImageFormat::Jpeg)?;
    let large = Augment { hflip: 0.5, random_resized_crop: Some(RandomResizedCrop::default()), ..Augment::default() };
    measure("500×375 JPEG at 224", Arc::new(Jpegs(jpeg.into_inner(), ["x".into()])), 224, &large)
}

fn measure(
    name: &str,
    data: Arc<dyn Dataset>,
    size: usize,
    augment: &Augment,
) -> Result<(), Box<dyn std::error::Error>> {
    let view = Preprocess { size: [size, size], ..Preprocess::default() };
    for workers in [0, 1, 2] {
        let options = LoaderOptions { workers, ..LoaderOptions::default() };
        let order = order(data.len(), 0, 0);
        let start = Instant::now();
        let mut loader = Loader::new(data.clone(), order, Pipeline::train(view, augment)?, options)?;
        while let Some(batch) = loader.next() {
            loader.recycle(batch?);
        }
        let each = start.elapsed().as_secs_f64() * 1e6 / data.len() as f64;
        println!("{name}, {workers} workers: {each:.1} µs a picture");
    }
    Ok(())
}
