//! Everything before the first batch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use sepal_data::{OpenOptions, Splits, Subset, stratified};
use sepal_formats::FormatError;
use sepal_graph::{Meta, Model, Weights};
use sepal_train::{CheckpointEvery, Layer, Optimizer, Recipe, RunFolder, Schedule, State, TrainOptions, Trainer};
use sepal_zoo::Spec;

use super::args::{Args, Machine, Training};
use super::{describe_data, describe_model, init, recipe};
use crate::failure::{Failure, Result};
use crate::output::log;
use crate::target::{load_weights, not_opened};

/// Where runs go if nothing else is said.
const RUNS: &str = "runs";

/// A run that is ready.
pub(crate) struct Started {
    pub(crate) trainer: Trainer,
    pub(super) data: Splits,
    pub(crate) run: PathBuf,
}

/// What a run starts from: a model, or weights of the network that the run trains.
fn start_model(path: &Path, args: &Args) -> Result<Model> {
    match (&args.model, sepal_formats::open(path)) {
        (Some(spec), Err(FormatError::WeightsOnly { .. } | FormatError::NoNetwork { .. })) => {
            let spec: Spec = spec.parse()?;
            // A classifier of other classes is not taken anyway.
            let classes = spec.defaults()?.classes;
            load_weights(path, &spec, None, Some(classes))
        }
        (_, Ok(model)) => Ok(model),
        (_, Err(error)) => Err(not_opened(path, error)),
    }
}

/// What a new run is made of.
pub(crate) struct Prepared {
    pub(crate) model: Model,
    pub(crate) data: Splits,
    pub(crate) recipe: Recipe,
}

/// Reads what the command line names.
pub(super) fn prepare(args: &Args) -> Result<Prepared> {
    if let Some(model) = &args.model {
        // Before anything is read.
        model.parse::<Spec>()?;
    }
    let file = args.training.recipe.as_deref().map(recipe::layer).transpose()?;
    let from = args.from.init.as_deref().map(|path| Ok::<_, Failure>((path, start_model(path, args)?))).transpose()?;
    let path = args.data.clone().or_else(|| file.as_ref().and_then(|file| file.recipe().data.clone()));
    let data = new_data(path.as_deref(), &args.training, file.as_ref())?;
    let mut recipe = recipe::of_new(args, file.as_slice(), from.as_ref().map(|(_, model)| model), &data)?;
    recipe.data = path;

    let spec: Spec = recipe.model.parse()?;
    let graph = sepal_zoo::build(&spec, Some([recipe.size; 2]), data.classes.len())?;
    let mut weights = Weights::init(&graph, recipe.seed)?;
    if let Some((path, model)) = &from {
        let taken = init::transfer(model, path, &graph, &data.classes, &mut weights)?;
        let anew =
            if taken.anew.is_empty() { String::new() } else { format!("; starting anew: {}", taken.anew.join(", ")) };
        log(format!("took {} tensors from {}{anew}", taken.tensors, path.display()));
    }
    let task = spec.network().task;
    let init = from.as_ref().map(|(path, _)| ("init".to_owned(), path.display().to_string()));
    let meta = Meta { task, provenance: provenance(&recipe, &data, init), ..Meta::default() };
    let model = Model::new(graph, weights, meta)?;
    Ok(Prepared { model, data, recipe })
}

/// A new run.
pub(super) fn new(args: &Args) -> Result<Started> {
    let prepared = prepare(args)?;
    let name = prepared.recipe.model.parse::<Spec>()?.network().name;
    begin(prepared, &args.training, name)
}

/// A new run in the folder that is asked for, or one of that name.
pub(crate) fn begin(prepared: Prepared, args: &Training, name: &str) -> Result<Started> {
    let Prepared { model, data, recipe } = prepared;
    let folder = match &args.files.out {
        Some(out) => RunFolder::create(out, &recipe)?,
        None => RunFolder::create_named(Path::new(RUNS), name, &recipe)?,
    };
    let run = folder.path().to_owned();
    let trainer = match Trainer::with_options(model, &data, &recipe, options(&args.machine, folder)?) {
        Ok(trainer) => trainer,
        Err(error) => {
            take_back(&run);
            return Err(error.into());
        }
    };
    Ok(Started { trainer, data, run })
}

/// A run that was interrupted.
pub(super) fn resume(args: &Args, run: Option<&Path>) -> Result<Started> {
    let run = match run {
        Some(run) => run.to_owned(),
        None => latest(Path::new(RUNS))?,
    };
    if args.training.files.class_map.is_some() {
        return Err(Failure::usage("--class-map is for a new run: this one has its classes"));
    }
    let mut state = State::read(&run)?;
    let asked = recipe::of_resumed(args, &state.recipe)?;
    state.check_recipe(&asked)?;
    (state.recipe.workers, state.recipe.strict) = (asked.workers, asked.strict);
    let Recipe { data: path, val_split, seed, .. } = &state.recipe;
    let path = args.data.as_deref().or(path.as_deref());
    // The sample has its classes already.
    let classes = path.map(|_| state.meta.classes.clone());
    let data = open_data(path, OpenOptions { val_split: *val_split, seed: *seed, classes, ..OpenOptions::default() })?;
    let folder = RunFolder::open(&run)?;
    let trainer = Trainer::resume(state, &data, options(&args.training.machine, folder)?)?;
    Ok(Started { trainer, data, run })
}

fn options(machine: &Machine, run: RunFolder) -> Result<TrainOptions> {
    let checkpoint =
        machine.checkpoint_every.map_or_else(CheckpointEvery::default, |n| CheckpointEvery::Steps(n as u64));
    Ok(TrainOptions { pool: machine.threads.pool()?, run: Some(run), checkpoint, ..TrainOptions::default() })
}

/// The data of a new run at `path`, or the embedded sample; `file` is its recipe file.
pub(crate) fn new_data(path: Option<&Path>, args: &Training, file: Option<&Layer>) -> Result<Splits> {
    let file = file.map(Layer::recipe);
    let options = OpenOptions {
        val_split: args.files.val_split.or(file.and_then(|file| file.val_split)),
        seed: args.seed.or(file.map(|file| file.seed)).unwrap_or_default(),
        class_map: args.files.class_map.clone(),
        ..OpenOptions::default()
    };
    open_data(path, options)
}

/// The data at `path`, or the embedded sample.
fn open_data(path: Option<&Path>, options: OpenOptions) -> Result<Splits> {
    let data = match path {
        Some(path) => sepal_data::open(path, &options)?,
        None => sample(&options)?,
    };
    for note in &data.notes {
        log(format!("note: {note}"));
    }
    Ok(data)
}

/// The embedded sample, a part of it held out for validation if that was asked for.
fn sample(options: &OpenOptions) -> Result<Splits> {
    if options.class_map.is_some() {
        return Err(Failure::usage("--class-map is for a folder of DATA: the embedded sample has its classes"));
    }
    let mut data = sepal_data::sample()?;
    match options.val_split {
        None | Some(0.0) => Ok(data),
        Some(share) if !(0.0..1.0).contains(&share) => {
            Err(Failure::usage(format!("--val-split is {share}, must be at least 0 and below 1")))
        }
        Some(share) => {
            let (train, val) = stratified(data.train.as_ref(), share, options.seed);
            data.val = Some(Arc::new(Subset::new(Arc::clone(&data.train), val)?));
            data.train = Arc::new(Subset::new(Arc::clone(&data.train), train)?);
            Ok(data)
        }
    }
}

/// Where the weights come from, for who finds the file; `more` is what else there is to say.
pub(crate) fn provenance(
    recipe: &Recipe,
    data: &Splits,
    more: impl IntoIterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    let text = |key: &str, value: String| (key.to_owned(), value);
    let source = recipe.data.as_ref().map_or(data.kind.to_owned(), |path| path.display().to_string());
    [
        text("network", recipe.model.clone()),
        text("data", source),
        text("seed", recipe.seed.to_string()),
        text("software", format!("sepal {}", env!("CARGO_PKG_VERSION"))),
    ]
    .into_iter()
    .chain(more)
    .collect()
}

/// The run that was touched last.
fn latest(runs: &Path) -> Result<PathBuf> {
    let touched = |folder: PathBuf| -> Option<(SystemTime, PathBuf)> {
        let state = folder.join("state.safetensors").metadata().ok()?;
        Some((state.modified().ok()?, folder))
    };
    let entries = std::fs::read_dir(runs).into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| touched(entry.path())).max();
    found.map(|(_, folder)| folder).ok_or_else(|| {
        Failure::failed(format!("there is no run to resume under {}", runs.display()))
            .hint("name its folder: --resume RUN")
    })
}

/// A name for a run that is not taken.
pub(super) fn free(name: &str) -> Result<PathBuf> {
    let names = (1..10_000).map(|n| Path::new(RUNS).join(if n == 1 { name.to_owned() } else { format!("{name}-{n}") }));
    let free = names.into_iter().find(|path| !path.exists());
    free.ok_or_else(|| Failure::failed(format!("every name for a run called {name} is taken under {RUNS}")))
}

/// Removes what was just made of a run that cannot start, and nothing else.
fn take_back(run: &Path) {
    let _ = std::fs::remove_file(run.join("recipe.toml"));
    let _ = std::fs::remove_dir(run.join("weights"));
    let _ = std::fs::remove_dir(run);
}

/// What people see before training starts.
pub(super) fn describe(trainer: &Trainer, data: &Splits, run: &Path, machine: &Machine) -> Result<String> {
    let recipe = trainer.recipe();
    let plan = format!(
        "{} epochs, batches of {}{}, {} with a learning rate of {}, seed {}, {} thread(s)",
        recipe.epochs,
        recipe.batch,
        if recipe.accumulate > 1 { format!(" by {}", recipe.accumulate) } else { String::new() },
        optimizer(&recipe.optimizer),
        recipe.lr(),
        recipe.seed,
        machine.threads.count(),
    );
    let lines = [
        format!("model    {}", describe_model(trainer)?),
        format!("data     {}", describe_data(data)),
        format!("recipe   {plan}"),
        format!("run      {}", run.display()),
    ];
    Ok(lines.join("\n"))
}

/// An optimizer's name for people.
pub(crate) fn optimizer(optimizer: &Optimizer) -> &'static str {
    match optimizer {
        Optimizer::Sgd { .. } => "SGD",
        Optimizer::Adam { .. } => "Adam",
        Optimizer::Adamw { .. } => "AdamW",
        Optimizer::Rmsprop { .. } => "RMSprop",
    }
}

/// A schedule in a few words.
pub(crate) fn schedule(schedule: &Schedule) -> String {
    match schedule {
        Schedule::Cosine { .. } => "cosine".to_owned(),
        Schedule::Step { milestones, gamma } => {
            let at: Vec<String> = milestones.iter().map(ToString::to_string).collect();
            format!("× {gamma} at {}", at.join(", "))
        }
        Schedule::Exponential { gamma, every } => format!("× {gamma} every {every}"),
        Schedule::Polynomial { power, .. } => format!("polynomial of power {power}"),
        Schedule::OneCycle { .. } => "one cycle".to_owned(),
        Schedule::Constant {} => "constant".to_owned(),
    }
}
