//! A class for every pixel: label maps, coloured masks, overlays.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sepal_data::{LabelMap, Limits, Picture, default_colors, encode_labels, read_picture};
use sepal_formats::atomic;
use sepal_graph::Model;
use sepal_report::{Table, percent};
use sepal_train::{SegmentOptions, Segmenter, Upsample};
use serde::Serialize;

use super::overlay::{colored, overlay};
use super::{Format, Grow, Show, Unread, quoted};
use crate::failure::{Failure, Result};
use crate::output::{Output, log};
use crate::pictures;
use crate::progress::Progress;

/// Classes with a smaller share of the pixels are not in the legend.
const SHOWN: f64 = 0.001;

/// What the pixels of a picture show.
#[derive(Serialize)]
struct Segmented {
    image: String,
    width: u32,
    height: u32,
    /// Greatest share first.
    classes: Vec<Share>,
    ms: f64,
    /// Files that were written.
    labels: String,
    mask: String,
    overlay: String,
}

/// A class and the share of the pixels that show it.
#[derive(Serialize)]
struct Share {
    name: String,
    share: f64,
}

#[derive(Serialize)]
struct Report {
    out: String,
    predictions: Vec<Segmented>,
    errors: Vec<Unread>,
}

/// Segments pictures and writes what was found.
pub(super) fn run(args: &Show, model: &Model, file: &Path, out: Output) -> Result {
    let upsample = match args.upsample {
        Grow::Bilinear => Upsample::Bilinear,
        Grow::Nearest => Upsample::Nearest,
    };
    let defaults = SegmentOptions::default();
    let tile = args.tile.unwrap_or(defaults.tile);
    let options = SegmentOptions { tile, overlap: defaults.overlap.min(tile / 4), upsample, ..defaults };
    let segmenter = Segmenter::new(model, args.threads.pool()?, options);
    let mut segmenter = segmenter.map_err(|error| Failure::from(error).context(file.display()))?;
    let folder = match &args.out {
        Some(out) => out.clone(),
        None if file.is_dir() => file.join("predictions"),
        None => PathBuf::from("predictions"),
    };
    let classes = segmenter.classes();
    let names = match model.meta.classes.as_slice() {
        [] => (0..classes).map(|class| class.to_string()).collect(),
        names => names.to_vec(),
    };
    let colors = match model.meta.colors.as_slice() {
        [] => default_colors(classes),
        colors => colors.to_vec(),
    };
    let paths = pictures::expand(&args.images)?;
    std::fs::create_dir_all(&folder).map_err(|error| Failure::from(error).context(folder.display()))?;
    let format = if out.is_json() { Format::Json } else { args.format };
    if format == Format::Csv {
        out.raw("image,class,share")?;
    }
    let bar = Progress::bar(paths.len() as u64, "pictures");
    let mut report = Report { out: folder.display().to_string(), predictions: Vec::new(), errors: Vec::new() };
    let mut taken = HashSet::new();
    let mut writer = Writer { folder: &folder, names: &names, colors: &colors, opacity: args.opacity };
    for (done, path) in paths.iter().enumerate() {
        let read = read_picture(path, &Limits::default()).map_err(anyhow::Error::from);
        let made = read.and_then(|picture| {
            let start = Instant::now();
            let map = segmenter.segment(&picture)?;
            let ms = start.elapsed().as_secs_f64() * 1e3;
            writer.write(path, &picture, &map, ms, &mut taken)
        });
        match made {
            Ok(found) => {
                match format {
                    Format::Csv => {
                        for class in &found.classes {
                            out.raw(format!("{},{},{:.6}", quoted(&found.image), quoted(&class.name), class.share))?;
                        }
                    }
                    Format::Jsonl => out.raw(serde_json::to_string(&found)?)?,
                    Format::Table | Format::Json => {}
                }
                report.predictions.push(found);
            }
            Err(error) => {
                let cause = error.to_string();
                bar.line(&format!("error: {cause}"));
                report.errors.push(Unread { image: path.display().to_string(), cause });
            }
        }
        bar.at(done as u64 + 1);
    }
    bar.finish();
    match format {
        Format::Table => {
            out.raw(table(&report.predictions, args.topk))?;
            out.raw(format!("label maps, coloured masks and overlays are in {}", report.out))?;
        }
        Format::Json => out.raw(serde_json::to_string(&report)?)?,
        Format::Csv | Format::Jsonl => {}
    }
    match report.errors.len() {
        0 => Ok(()),
        n => {
            log(format!("{n} of {} pictures could not be read", paths.len()));
            Err(Failure::reported())
        }
    }
}

/// Where results go, and how they look.
struct Writer<'a> {
    folder: &'a Path,
    names: &'a [String],
    colors: &'a [[u8; 3]],
    opacity: f32,
}

impl Writer<'_> {
    fn write(
        &mut self,
        path: &Path,
        picture: &Picture,
        map: &LabelMap,
        ms: f64,
        taken: &mut HashSet<String>,
    ) -> anyhow::Result<Segmented> {
        let mut counts = vec![0u64; self.names.len()];
        for &label in &map.labels {
            if let Some(count) = counts.get_mut(usize::from(label)) {
                *count += 1;
            }
        }
        let share = |count: u64| count as f64 / map.labels.len().max(1) as f64;
        let mut order: Vec<usize> = (0..counts.len()).filter(|&class| counts[class] > 0).collect();
        order.sort_by_key(|&class| std::cmp::Reverse(counts[class]));
        let legend: Vec<(usize, String)> = order
            .iter()
            .filter(|&&class| share(counts[class]) >= SHOWN)
            .map(|&class| (class, self.names[class].clone()))
            .collect();
        // Pictures of one name in several folders must not write over each other.
        let stem = path.file_stem().map_or_else(|| "picture".into(), |stem| stem.to_string_lossy().into_owned());
        let free = (1..).map(|n| if n == 1 { stem.clone() } else { format!("{stem}-{n}") });
        let name = free.into_iter().find(|name| taken.insert(name.clone())).unwrap_or(stem.clone());
        let write = |kind: &str, bytes: &[u8]| -> anyhow::Result<String> {
            let file = self.folder.join(format!("{name}.{kind}.png"));
            atomic::write(&file, |w| w.write_all(bytes))?;
            Ok(file.display().to_string())
        };
        Ok(Segmented {
            image: path.display().to_string(),
            width: map.width,
            height: map.height,
            classes: order
                .iter()
                .map(|&class| Share { name: self.names[class].clone(), share: share(counts[class]) })
                .collect(),
            ms,
            labels: write("labels", &encode_labels(map, self.colors)?)?,
            mask: write("mask", &png(&colored(map, self.colors))?)?,
            overlay: write("overlay", &png(&overlay(picture, map, self.colors, &legend, self.opacity))?)?,
        })
    }
}

fn png(picture: &Picture) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    let color = image::ExtendedColorType::Rgb8;
    image::ImageEncoder::write_image(encoder, &picture.pixels, picture.width, picture.height, color)?;
    Ok(bytes)
}

fn table(predictions: &[Segmented], topk: usize) -> Table {
    let mut table = Table::new().left("image").left("class").right("pixels");
    for found in predictions {
        for (rank, class) in found.classes.iter().take(topk).enumerate() {
            let image = if rank == 0 { found.image.as_str() } else { "" };
            table.row([image, &class.name, &percent(class.share)]);
        }
    }
    table
}
