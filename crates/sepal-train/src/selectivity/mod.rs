//! Which layer learns what: for every channel of the depthwise and pointwise layers of a network, the pictures that excite
//! it most, how selective it is for a class, and how much of it follows from the picture's colours and edges.
//!
//! A unit is a channel of a layer's output, read after the norm and the activation that alone follow it. Its response to
//! a picture is the mean over space of its positive part; what excites it most is judged by its maximum over space.

mod compare;
mod probe;
mod tally;

use std::sync::Arc;

use sepal_data::{Batch, Dataset};
use sepal_graph::Model;
use sepal_kernels::pool::Pool;
use sepal_runtime::compile_owned;
use serde::Serialize;

pub use compare::{Comparison, Finding};

use crate::error::{Error, Result};
use crate::evaluate::{EvalOptions, check_fit, compile_options, run_on_all};
use crate::observer::Observer;
use probe::{Layer, layers, probe};
use tally::{Tally, features};

/// The two halves of a separable convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerKind {
    /// One kernel per channel.
    Depthwise,
    /// Mixes all channels: a 1×1 convolution, or one of any size that reads a depthwise one.
    Pointwise,
}

/// A channel of a layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unit {
    /// (µmax − µ−max)/(µmax + µ−max), from 0 (the same for all classes) to 1 (silent but for one), where µmax is the mean
    /// response to the class that excites it most and µ−max the mean over the other classes. Morcos et al. 2018,
    /// arXiv:1803.06959, §2.2. `None` if the unit never responds, or pictures of one class only were measured.
    pub selectivity: Option<f64>,
    /// That class.
    pub class: Option<u32>,
    /// The share of its variance over pictures that a linear function of six numbers explains: mean red, green and
    /// blue, contrast, and the energy of vertical and horizontal edges. Adjusted for their number (R̄²), so that it is 0
    /// on average where they explain nothing. `None` if it is the same for all pictures, or there are too few.
    pub low_level: Option<f64>,
    /// The pictures that excite it most, the most exciting first: index in the data set and maximum over space.
    pub top: Vec<(u32, f32)>,
}

/// The units of a layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerUnits {
    /// The convolution's path.
    pub path: String,
    /// Which half.
    pub kind: LayerKind,
    /// Height and width of its kernel.
    pub kernel: [usize; 2],
    /// Mean over its units.
    pub selectivity: Option<f64>,
    /// Mean over its units.
    pub low_level: Option<f64>,
    /// Its channels.
    pub units: Vec<Unit>,
}

/// What [`measure_units`] finds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitReport {
    /// Pictures measured.
    pub images: u64,
    /// Pictures that could not be read.
    pub skipped: u64,
    /// In the order in which they compute.
    pub layers: Vec<LayerUnits>,
    /// Selectivity of depthwise layers over that of the pointwise ones beside them; `None` if there are fewer than three.
    pub selectivity: Option<Comparison>,
    /// The same of what colours and edges explain.
    pub low_level: Option<Comparison>,
}

/// Measures the units of every depthwise and pointwise layer of `model` on the pictures of `dataset`, in one pass.
/// `top` pictures are kept for each unit. The result does not depend on `options`, but for rounding on the level.
///
/// # Errors
/// As [`evaluate`](crate::evaluate), and [`Error::Mismatch`] for a network without depthwise or without pointwise layers.
pub fn measure_units(
    model: &Model,
    dataset: &Arc<dyn Dataset>,
    pool: &Arc<dyn Pool>,
    top: usize,
    options: &EvalOptions,
    observer: &mut dyn Observer,
) -> Result<UnitReport> {
    check_fit(&model.graph, &model.meta, dataset.as_ref())?;
    let layers = layers(&model.graph)?;
    for kind in [LayerKind::Depthwise, LayerKind::Pointwise] {
        if !layers.iter().any(|layer| layer.kind == kind) {
            let kind = format!("{kind:?}").to_lowercase();
            return Err(Error::Mismatch(format!("`{}` has no {kind} layer to compare with", model.graph.name)));
        }
    }
    let plan = compile_owned(probe(model, &layers)?, &compile_options(dataset.as_ref(), options))?;
    let width = plan.output_shape().elements();
    let pixels = plan.input_shape().elements();
    let [_, height, breadth] = plan.input_shape().as_chw().unwrap_or([0; 3]);
    let mut tally = Tally::new(width / 2, dataset.classes().len(), top.min(dataset.len()));
    let add = |batch: &Batch, values: &[f32]| {
        let pictures = batch.images.chunks_exact(pixels).zip(values.chunks_exact(width));
        for ((picture, values), (&label, &index)) in pictures.zip(batch.labels.iter().zip(&batch.indices)) {
            tally.add(values, label as usize, index, &features(picture, height, breadth));
        }
    };
    let [images, skipped] = run_on_all(plan, &model.meta, dataset, pool, options, observer, add)?;
    Ok(report(&layers, tally.finish(), images as u64, skipped as u64))
}

fn report(layers: &[Layer], units: Vec<Unit>, images: u64, skipped: u64) -> UnitReport {
    let mut units = units.into_iter();
    let layers: Vec<LayerUnits> = layers
        .iter()
        .map(|layer| {
            let units: Vec<Unit> = units.by_ref().take(layer.channels).collect();
            LayerUnits {
                path: layer.path.clone(),
                kind: layer.kind,
                kernel: layer.kernel,
                selectivity: mean(units.iter().filter_map(|unit| unit.selectivity)),
                low_level: mean(units.iter().filter_map(|unit| unit.low_level)),
                units,
            }
        })
        .collect();
    let compare = |of: fn(&LayerUnits) -> Option<f64>| {
        let values: Vec<_> = layers.iter().filter_map(|layer| Some((layer.kind, of(layer)?))).collect();
        compare::beside(&values)
    };
    let (selectivity, low_level) = (compare(|layer| layer.selectivity), compare(|layer| layer.low_level));
    UnitReport { images, skipped, layers, selectivity, low_level }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}
