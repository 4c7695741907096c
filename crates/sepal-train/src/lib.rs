//! Fit a model: reverse pass, optimizers, recipes, checkpoints.

mod accumulate;
mod decathlon;
mod engine;
mod error;
mod evaluate;
mod frozen;
mod groups;
mod history;
mod metric;
mod observer;
mod optim;
mod ortho;
mod params;
mod preprocess;
mod recipe;
mod run;
mod schedule;
mod segment;
mod selectivity;
mod state;
mod trainer;
mod units;

pub use decathlon::{DECATHLON_BASELINE, DecathlonScore, DomainScore, decathlon_score};
pub use engine::{Batch, Engine, EngineOptions, Memory, StepOutput, StepTime, UnitTime};
pub use error::{Error, Result};
pub use evaluate::{EvalOptions, evaluate};
pub use history::{Best, EpochRow};
pub use metric::{ClassMetrics, Confusion, Metrics, Running};
pub use observer::{BatchReport, Callbacks, EpochReport, Observer, Start};
pub use params::{Params, Slot};
pub use preprocess::loader_form;
pub use recipe::{
    ClassWeights, EarlyStopping, FieldDiff, Layer, NamedRecipe, Optimizer, Ortho, ParamGroup, Preprocessing, Recipe,
    Resize, Schedule, StopMetric, find_recipe, named_recipes,
};
pub use run::RunFolder;
pub use schedule::LearningRate;
pub use segment::{SegmentOptions, Segmenter, Upsample};
pub use selectivity::{Comparison, Finding, LayerKind, LayerUnits, Unit, UnitReport, measure_units};
pub use sepal_kernels::loss::Mixed;
pub use state::{State, Summary};
pub use trainer::{CheckpointEvery, FindLr, LrCurve, LrPoint, Outcome, TrainMemory, TrainOptions, Trainer};
