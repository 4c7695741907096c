//! `sepal units`: which layer learns what?

use std::collections::HashMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::imageops::{FilterType, resize};
use image::{ImageFormat, RgbImage};
use sepal_data::{Dataset, Skipped};
use sepal_formats::atomic;
use sepal_report::svg::{Sheet, SheetRow};
use sepal_report::{Table, grouped};
use sepal_train::{Comparison, EvalOptions, Finding, LayerKind, LayerUnits, Observer, Unit, UnitReport, measure_units};

use crate::args;
use crate::cmd::eval;
use crate::failure::{Failure, Result};
use crate::output::{Output, log};
use crate::progress::Progress;
use crate::target::{ModelFile, expect_classifier};
use crate::threads::Threads;

/// Measure which layers learn what: how selective each channel is for a class, and what excites it most
///
/// Depthwise layers are compared with the pointwise ones beside them: by class selectivity (Morcos et al. 2018), and by how
/// much of a channel's response follows from colours and edges alone. Guo et al. 2019 claim that depthwise units respond
/// to high-level, pointwise ones to low-level concepts. That depthwise kernels are larger may be why: a network built with
/// block=dsc_swapped has 1×1 depthwise and 3×3 pointwise kernels.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal units runs/resdsc26 photos -o units.svg
  sepal units net.safetensors photos --top 12 --show 6 -o units.svg
  sepal train photos --model resdsc26:block=dsc_swapped     the ablation to compare with")]
pub(crate) struct Args {
    #[command(flatten)]
    file: ModelFile,
    /// Folder of the data; the set is chosen as by `sepal eval` [default: the test pictures of the embedded sample]
    data: Option<PathBuf>,
    /// Pictures to keep for each channel, those that excite it most
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = args::count)]
    top: usize,
    /// Write a sheet of these pictures (.svg)
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Channels of each layer on the sheet, the most selective ones
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = args::count, requires = "out")]
    show: usize,
    /// Pictures at a time
    #[arg(short, long, value_name = "N", default_value_t = 32, value_parser = args::count, visible_alias = "batch-size")]
    batch: usize,
    #[command(flatten)]
    threads: Threads,
}

/// Height and width of the pictures on the sheet.
const THUMBNAIL: u32 = 32;

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let model = args.file.open()?;
    expect_classifier(&model).map_err(|f| f.context(args.file.path().display()))?;
    let set = eval::open(args.data.as_deref(), &model)?;
    for note in &set.notes {
        log(format!("note: {note}"));
    }
    let pool = args.threads.pool()?;
    let options = EvalOptions { batch: args.batch, ..EvalOptions::default() };
    let mut watch = Watch(Progress::bar(set.dataset.len() as u64, set.name));
    let report = measure_units(&model, &set.dataset, &pool, args.top, &options, &mut watch);
    drop(watch);
    let report = report.map_err(|error| Failure::from(error).context(args.file.path().display()))?;
    if report.skipped > 0 {
        log(format!("{} pictures could not be read and are not counted", report.skipped));
    }
    show(&report, out)?;
    if let Some(path) = &args.out {
        write_sheet(path, &report, &set.dataset, args.show)?;
        out.text(format!("\nwrote {}", path.display()))?;
    }
    Ok(out.result(&report)?)
}

fn name(kind: LayerKind) -> &'static str {
    match kind {
        LayerKind::Depthwise => "depthwise",
        LayerKind::Pointwise => "pointwise",
    }
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.3}"))
}

fn show(report: &UnitReport, out: Output) -> Result {
    let mut table = Table::new()
        .right("")
        .left("layer")
        .left("kind")
        .left("kernel")
        .right("units")
        .right("selectivity")
        .right("R²");
    for (layer, number) in report.layers.iter().zip(1..) {
        let [height, width] = layer.kernel;
        table.row([
            format!("{number}"),
            layer.path.clone(),
            name(layer.kind).into(),
            format!("{height}×{width}"),
            grouped(layer.units.len() as u64),
            share(layer.selectivity),
            share(layer.low_level),
        ]);
    }
    table.rule();
    for kind in [LayerKind::Depthwise, LayerKind::Pointwise] {
        let of: Vec<&LayerUnits> = report.layers.iter().filter(|layer| layer.kind == kind).collect();
        let mean = |value: fn(&LayerUnits) -> Option<f64>| {
            let values: Vec<f64> = of.iter().filter_map(|layer| value(layer)).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let units = of.iter().map(|layer| layer.units.len() as u64).sum();
        table.row([
            String::new(),
            format!("mean of {} layers", of.len()),
            name(kind).into(),
            String::new(),
            grouped(units),
            share(mean(|layer| layer.selectivity)),
            share(mean(|layer| layer.low_level)),
        ]);
    }
    out.text(&table)?;
    out.text(format!(
        "\n{} pictures. selectivity: (µmax − µ−max)/(µmax + µ−max) of class means; R²: variance that mean colours, contrast and \
         edges explain.\n\nDepthwise layers less the pointwise ones beside them, over depth:",
        grouped(report.images)
    ))?;
    let selectivity = report.selectivity.map(|found| (found, found.more_in_depthwise()));
    let low_level = report.low_level.map(|found| (found, found.more_in_pointwise()));
    let claims = [
        ("selectivity", selectivity, "depthwise units are high-level"),
        ("R²", low_level, "pointwise units are low-level"),
    ];
    for (what, comparison, claim) in claims {
        out.text(match comparison {
            None => format!("  {what}: too few layers to compare"),
            Some((found, finding)) => {
                let verdict = match finding {
                    Finding::Agrees => "agrees with",
                    Finding::Contradicts => "contradicts",
                    Finding::Open => "neither agrees with nor contradicts",
                };
                let Comparison { n, mean, low, high } = found;
                format!("  {what}: {mean:+.3} (95 % {low:+.3} … {high:+.3}, n = {n}), {verdict} the claim that {claim}")
            }
        })?;
    }
    Ok(())
}

/// The most selective units of every layer with the pictures that excite them.
fn write_sheet(path: &Path, report: &UnitReport, dataset: &Arc<dyn Dataset>, shown: usize) -> Result {
    let mut sheet = Sheet { title: "What excites the most selective units of each layer".into(), ..Sheet::default() };
    let mut places = HashMap::new();
    for (layer, number) in report.layers.iter().zip(1..) {
        let mut units: Vec<(usize, &Unit)> = layer.units.iter().enumerate().collect();
        let rank = |unit: &Unit| unit.selectivity.unwrap_or(-1.0);
        units.sort_by(|(_, a), (_, b)| rank(b).total_cmp(&rank(a)));
        let mut groups = Vec::new();
        for (channel, unit) in units.into_iter().take(shown) {
            let class = unit.class.and_then(|class| dataset.classes().get(class as usize));
            let caption = format!("{channel}: {} {}", share(unit.selectivity), class.map_or("", String::as_str));
            let mut pictures = Vec::new();
            for &(index, _) in &unit.top {
                let place = match places.get(&index) {
                    Some(&place) => place,
                    None => {
                        sheet.pictures.push(thumbnail(dataset.as_ref(), index as usize)?);
                        places.insert(index, sheet.pictures.len() - 1);
                        sheet.pictures.len() - 1
                    }
                };
                pictures.push(place);
            }
            groups.push((caption, pictures));
        }
        let [height, width] = layer.kernel;
        let (selectivity, low) = (share(layer.selectivity), share(layer.low_level));
        let kind = name(layer.kind);
        let label = format!("{number}  {}, {kind} {height}×{width}: selectivity {selectivity}, R² {low}", layer.path);
        sheet.rows.push(SheetRow { label, groups });
    }
    atomic::write(path, |w| w.write_all(sheet.svg().as_bytes()))?;
    Ok(())
}

/// A picture as a small PNG file.
fn thumbnail(dataset: &dyn Dataset, index: usize) -> Result<Vec<u8>> {
    let picture = dataset.decode(index)?;
    let whole = RgbImage::from_raw(picture.width, picture.height, picture.pixels).unwrap_or_default();
    let mut png = Cursor::new(Vec::new());
    resize(&whole, THUMBNAIL, THUMBNAIL, FilterType::Triangle).write_to(&mut png, ImageFormat::Png)?;
    Ok(png.into_inner())
}

struct Watch(Progress);

impl Observer for Watch {
    fn skipped(&mut self, skipped: &Skipped) {
        self.0.line(&format!("skipped: {}: {}", skipped.path, skipped.cause));
    }

    fn measured(&mut self, done: usize, _: usize) {
        self.0.at(done as u64);
    }
}
