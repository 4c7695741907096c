//! `sepal train --find-lr`: which learning rate suits network, data and recipe.

use std::path::Path;

use sepal_formats::atomic;
use sepal_report::{Figure, LinePlot, Series, Table};
use sepal_train::{FindLr, LrCurve, TrainOptions, Trainer};
use serde::Serialize;

use super::args::Args;
use super::{result, start};
use crate::failure::Result;
use crate::interrupt;
use crate::output::{Output, log};
use crate::progress::Progress;

/// Rows for people; JSON has all points.
const ROWS: usize = 20;

#[derive(Serialize)]
struct Report {
    network: String,
    #[serde(flatten)]
    curve: LrCurve,
}

pub(super) fn run(args: &Args, svg: Option<&Path>, out: Output) -> Result {
    let start::Prepared { model, data, recipe } = start::prepare(args)?;
    let options = TrainOptions { pool: args.training.machine.threads.pool()?, ..TrainOptions::default() };
    let trainer = Trainer::with_options(model, &data, &recipe, options)?;
    let find = FindLr::around(&recipe);
    let bar = Progress::run(find.steps, 0);
    let stop = interrupt::watch()?;
    let curve = trainer.find_lr(&find, &mut |done| bar.at(done as u64), &stop)?;
    drop(bar);

    let mut table = Table::new().right("learning rate").right("loss").right("smoothed");
    for point in curve.points.iter().step_by(curve.points.len().div_ceil(ROWS).max(1)) {
        table.row([format!("{:.2e}", point.lr), format!("{:.4}", point.loss), format!("{:.4}", point.smoothed)]);
    }
    out.text(&table)?;
    if curve.diverged {
        out.text("beyond these the loss diverges")?;
    }
    match curve.suggestion {
        Some(lr) => out.text(format!(
            "\nsuggested: {lr:.2e}\ntry: {} train --lr {lr:.2e} with the same options",
            result::program()
        ))?,
        None => out.text("\nthe loss hardly fell at any of these rates")?,
    }
    if let Some(svg) = svg {
        let picture = draw(&curve);
        atomic::write(svg, |w| w.write_all(picture.as_bytes()))?;
        log(format!("curve in {}", svg.display()));
    }
    Ok(out.result(&Report { network: recipe.model, curve })?)
}

fn draw(curve: &LrCurve) -> String {
    let line = |name: &str, value: fn(&sepal_train::LrPoint) -> f64| {
        Series::new(name.to_owned(), curve.points.iter().map(|point| (point.lr.log10(), value(point))))
    };
    let panel = LinePlot {
        title: "loss by learning rate".to_owned(),
        x_label: "log10 of the learning rate".to_owned(),
        y_label: "nats".to_owned(),
        series: vec![line("batch", |point| point.loss), line("smoothed", |point| point.smoothed)],
        y_range: None,
    };
    Figure { panels: vec![panel], ..Figure::default() }.svg()
}
