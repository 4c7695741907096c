//! From defaults, recipe file, environment and options to the recipe of a run.

use std::path::Path;

use sepal_data::{ColorJitter, Policy, RandomResizedCrop, Splits};
use sepal_graph::Model;
use sepal_train::{
    EarlyStopping, Layer, Optimizer, ParamGroup, Preprocessing, Recipe, Resize, Schedule, StopMetric, find_recipe,
};

use super::args::{Args, Training, Weights};
use crate::args::{Factor, Pair};
use crate::failure::{Failure, Result};

/// A warm-up that nobody asked for takes at most this share of the epochs.
const WARMUP_SHARE: f64 = 0.2;

/// The recipe that `--recipe` names: a file, or one that ships with the program.
pub(crate) fn layer(word: &Path) -> Result<Layer> {
    let text = word.to_string_lossy();
    let is_name = word.extension().is_none() && !text.contains(['/', '\\']);
    if word.is_file() || !is_name {
        return Ok(Layer::read(word)?);
    }
    Ok(find_recipe(&text)?.layer()?)
}

/// The recipe of a new run of the network that the command line names; see [`resolve`].
pub(super) fn of_new(args: &Args, layers: &[Layer], from: Option<&Model>, data: &Splits) -> Result<Recipe> {
    let mut recipe = resolve(&args.training, layers, from, data)?;
    if let Some(model) = &args.model {
        recipe.model = model.parse::<sepal_zoo::Spec>()?.to_string();
    }
    Ok(recipe)
}

/// The recipe of a new run on `data`: what suits these, then `layers`, each over those before it, then the options.
/// `from` is the model whose weights it starts from, if it is not to start anew.
pub(crate) fn resolve(args: &Training, layers: &[Layer], from: Option<&Model>, data: &Splits) -> Result<Recipe> {
    let mut recipe = Recipe::for_data(data)?;
    if let Some(model) = from {
        follow(&mut recipe, model);
    }
    for layer in layers {
        recipe = over(layer, &recipe, args)?;
    }
    let asked_for = |key: &str| layers.iter().any(|layer| layer.sets(key));
    apply(args, &mut recipe)?;
    if args.fit.warmup_epochs.is_none() && !asked_for("warmup_epochs") {
        recipe.warmup_epochs = recipe.warmup_epochs.min(WARMUP_SHARE * recipe.epochs as f64);
    }
    if args.fit.sched.is_none() && !asked_for("schedule") {
        // Milestones are epochs: those of another number of epochs would mean nothing.
        if let Schedule::Step { .. } = recipe.schedule {
            recipe.schedule = named_schedule("step", recipe.epochs)?;
        }
    }
    recipe.check()?;
    Ok(recipe)
}

/// Takes from a model what its weights were trained with: network, size, preprocessing.
fn follow(recipe: &mut Recipe, model: &Model) {
    if let Ok(spec) = model.graph.name.parse::<sepal_zoo::Spec>() {
        recipe.model = spec.to_string();
    }
    let Some(of) = &model.meta.preprocessing else { return };
    if of.size[0] == of.size[1] {
        recipe.size = of.size[0];
    }
    let segments = model.meta.task == sepal_graph::Task::Segment;
    let (resize, crop_pct) = match of.resize {
        sepal_graph::Resize::ShortSide { crop_pct } => (Resize::ShortSide, crop_pct),
        sepal_graph::Resize::Exact if segments => (Resize::Keep, recipe.preprocessing.crop_pct),
        sepal_graph::Resize::Squash | sepal_graph::Resize::Exact => (Resize::Squash, recipe.preprocessing.crop_pct),
    };
    recipe.preprocessing =
        Preprocessing { resize, crop_pct, filter: of.filter, mean: Some(of.mean), std: Some(of.std) };
}

/// The recipe that the command line asks for when a run with the recipe `before` is resumed.
pub(super) fn of_resumed(args: &Args, before: &Recipe) -> Result<Recipe> {
    let mut recipe = before.clone();
    if let Some(path) = &args.training.recipe {
        recipe = over(&layer(path)?, &recipe, &args.training)?;
    }
    apply(&args.training, &mut recipe)?;
    if let Some(model) = &args.model {
        recipe.model = model.parse::<sepal_zoo::Spec>()?.to_string();
    }
    // Where the data are may change; that they are the same is checked when they are read.
    recipe.data.clone_from(&before.data);
    recipe.check()?;
    Ok(recipe)
}

/// What `layer` sets, over `base`. Where the command line asks for another number of epochs, those at which the rate
/// falls move with it.
fn over(layer: &Layer, base: &Recipe, args: &Training) -> Result<Recipe> {
    let mut recipe = layer.over(base)?;
    if let Some(epochs) = args.epochs.filter(|_| layer.sets("epochs") && layer.sets("schedule")) {
        let (now, before) = (epochs as f64, recipe.epochs as f64);
        match &mut recipe.schedule {
            Schedule::Step { milestones, .. } => milestones.iter_mut().for_each(|epoch| *epoch = *epoch * now / before),
            Schedule::Exponential { every, .. } => *every = *every * now / before,
            Schedule::Cosine { .. } | Schedule::Polynomial { .. } => {}
            Schedule::OneCycle { .. } | Schedule::Constant {} => {}
        }
    }
    Ok(recipe)
}

/// Sets what the command line (or the environment) says.
fn apply(args: &Training, recipe: &mut Recipe) -> Result {
    fn set<T: Clone>(field: &mut T, value: &Option<T>) {
        if let Some(value) = value {
            *field = value.clone();
        }
    }
    let Training { epochs, batch, size, seed, fit, augment, files, machine, recipe: _ } = args;
    set(&mut recipe.epochs, epochs);
    set(&mut recipe.batch, batch);
    set(&mut recipe.size, size);
    set(&mut recipe.seed, seed);
    set(&mut recipe.workers, &machine.workers);
    recipe.strict |= files.strict;
    if files.val_split.is_some() {
        recipe.val_split = files.val_split;
    }

    if let Some(name) = &fit.opt {
        let optimizer = Optimizer::named(name).ok_or_else(|| unknown("optimizer", name, &Optimizer::NAMES))?;
        if std::mem::discriminant(&optimizer) != std::mem::discriminant(&recipe.optimizer) {
            recipe.optimizer = optimizer;
        }
    }
    if let Some(value) = fit.momentum {
        match &mut recipe.optimizer {
            Optimizer::Sgd { momentum, nesterov } => {
                *momentum = value;
                *nesterov &= value > 0.0;
            }
            Optimizer::Rmsprop { momentum, .. } => *momentum = value,
            Optimizer::Adam { .. } | Optimizer::Adamw { .. } => {
                return Err(Failure::usage(
                    "--momentum is for sgd and rmsprop: adam and adamw have betas, set in a recipe",
                ));
            }
        }
    }
    if let Some(name) = &fit.sched {
        recipe.schedule = named_schedule(name, recipe.epochs)?;
    }
    recipe.lr = fit.lr.or(recipe.lr);
    recipe.weight_decay = fit.weight_decay.or(recipe.weight_decay);
    recipe.clip_grad = fit.clip_grad.or(recipe.clip_grad);
    set(&mut recipe.accumulate, &fit.accumulate);
    match fit.patience {
        Some(0) => recipe.early_stopping = None,
        Some(patience) => match &mut recipe.early_stopping {
            Some(stop) => stop.patience = patience,
            none => *none = Some(EarlyStopping { patience, metric: StopMetric::default(), min_delta: 0.0 }),
        },
        None => {}
    }
    if !fit.lr_factor.is_empty() {
        let group = |factor: &Factor| ParamGroup {
            paths: vec![factor.glob.clone()],
            lr_factor: factor.value,
            weight_decay: None,
        };
        recipe.groups = fit.lr_factor.iter().map(group).collect();
    }
    match fit.ortho {
        Some(0.0) => recipe.ortho = None,
        Some(alpha) => recipe.ortho.get_or_insert_default().alpha = alpha,
        None => {}
    }
    set(&mut recipe.warmup_epochs, &fit.warmup_epochs);
    set(&mut recipe.label_smoothing, &fit.smoothing);
    set(&mut recipe.ema_decay, &fit.ema);
    if !fit.freeze.is_empty() {
        recipe.freeze.clone_from(&fit.freeze);
    }

    if augment.no_aug {
        recipe.augment = sepal_data::Augment::default();
    }
    match fit.class_weights {
        Some(Weights::None) => recipe.class_weights = None,
        Some(Weights::Log) => {
            recipe.class_weights.get_or_insert_default();
        }
        None => {}
    }
    recipe.sampling.balanced |= augment.balanced;
    set(&mut recipe.sampling.repeats, &augment.repeats);
    set(&mut recipe.augment.hflip, &augment.hflip);
    if augment.crop_padding.is_some() {
        recipe.augment.crop_padding = augment.crop_padding.filter(|&pixels| pixels > 0);
    }
    if let (Some(crop), Some(Pair(scale)), None) = (&mut recipe.augment.scale_crop, augment.scale, augment.ratio) {
        crop.scale = scale;
    } else if augment.scale.is_some() || augment.ratio.is_some() {
        recipe.augment.scale_crop = None;
        let crop = recipe.augment.random_resized_crop.get_or_insert_with(RandomResizedCrop::default);
        set(&mut crop.scale, &augment.scale.map(|pair| pair.0));
        set(&mut crop.ratio, &augment.ratio.map(|pair| pair.0));
    }
    if let Some(name) = &augment.policy {
        recipe.augment.policy = match name.as_str() {
            "none" => None,
            name => Some(Policy::named(name).ok_or_else(|| unknown("policy", name, &Policy::NAMES))?),
        };
    }
    if let Some(by) = augment.color_jitter {
        let jitter = ColorJitter { brightness: by, contrast: by, saturation: by, hue: 0.0 };
        recipe.augment.color_jitter = (by != 0.0).then_some(jitter);
    }
    match augment.erasing {
        Some(0.0) => recipe.augment.random_erasing = None,
        Some(p) => recipe.augment.random_erasing.get_or_insert_default().p = p,
        None => {}
    }
    if augment.mixup.is_some() || augment.cutmix.is_some() {
        let mix = recipe.augment.mix.get_or_insert_default();
        set(&mut mix.mixup, &augment.mixup);
        set(&mut mix.cutmix, &augment.cutmix);
        if (mix.mixup, mix.cutmix) == (0.0, 0.0) {
            recipe.augment.mix = None;
        }
    }
    Ok(())
}

fn named_schedule(name: &str, epochs: usize) -> Result<Schedule> {
    Schedule::named(name, epochs).ok_or_else(|| unknown("schedule", name, &Schedule::NAMES))
}

fn unknown(what: &str, name: &str, there: &[&str]) -> Failure {
    Failure::usage(format!("unknown {what} `{name}`")).hint(format!("there are: {}", there.join(", ")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(words: &[&str]) -> Args {
        Line::try_parse_from(std::iter::once(&"train").chain(words)).unwrap().args
    }

    fn resolved(words: &[&str], file: Option<&str>) -> Result<Recipe> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.toml");
        let file = file.map(|text| {
            std::fs::write(&path, text).unwrap();
            layer(&path).unwrap()
        });
        of_new(&args(words), file.as_slice(), None, &sepal_data::sample().unwrap())
    }

    #[test]
    fn options_win_over_the_file_and_the_file_over_defaults() {
        let file = "epochs = 7\nseed = 3\n[augment]\nhflip = 0.25\n";
        let recipe = resolved(&["--epochs", "9", "--opt", "adamw"], Some(file)).unwrap();
        assert_eq!((recipe.epochs, recipe.seed, recipe.batch), (9, 3, Recipe::default().batch));
        assert_eq!((recipe.augment.hflip, recipe.augment.crop_padding), (0.25, None));
        assert!(matches!(recipe.optimizer, Optimizer::Adamw { .. }));
        assert_eq!(recipe.lr(), 2e-3);
    }

    #[test]
    fn a_named_recipe_is_below_the_options_and_a_file_over_its_base() {
        let bsconv = layer(Path::new("bsconv_u")).unwrap();
        let data = sepal_data::sample().unwrap();
        let recipe = of_new(&args(&["--epochs", "3"]), &[bsconv], None, &data).unwrap();
        assert_eq!((recipe.epochs, recipe.batch, recipe.lr()), (3, 128, 0.1));
        // Milestones are at the same shares of the run: 100, 150 and 180 of 200.
        assert_eq!(recipe.schedule, Schedule::Step { milestones: vec![1.5, 2.25, 2.7], gamma: 0.1 });
        assert_eq!(of_resumed(&args(&["--recipe", "bsconv_u", "--epochs", "3"]), &recipe).unwrap(), recipe);
        let recipe = resolved(&[], Some("base = \"bsconv_u\"\nbatch = 64\n")).unwrap();
        assert_eq!((recipe.epochs, recipe.batch, recipe.lr()), (200, 64, 0.1));
        for (word, text) in [("bsconv", "bsconv_u"), ("nowhere.toml", "nowhere.toml")] {
            let message = layer(Path::new(word)).unwrap_err().to_string();
            assert!(message.contains(text), "{message}");
        }
    }

    #[test]
    fn a_short_run_has_a_short_warm_up() {
        assert_eq!(resolved(&["--epochs", "1"], None).unwrap().warmup_epochs, 0.2);
        let recipe = resolved(&["--epochs", "2", "--warmup-epochs", "1.5"], None).unwrap();
        assert_eq!(recipe.warmup_epochs, 1.5);
    }

    #[test]
    fn rates_patience_and_accumulation() {
        let words = ["--lr-factor", "stem*=0.1", "--lr-factor", "*=0.5", "--patience", "3", "--accumulate", "4"];
        let recipe = resolved(&words, Some("[early_stopping]\npatience = 9\nmetric = \"loss\"\n")).unwrap();
        let groups: Vec<_> = recipe.groups.iter().map(|g| (g.paths[0].as_str(), g.lr_factor)).collect();
        assert_eq!(groups, [("stem*", 0.1), ("*", 0.5)]);
        let stop = recipe.early_stopping.unwrap();
        assert_eq!((stop.patience, stop.metric, recipe.accumulate), (3, StopMetric::Loss, 4));
        assert_eq!(resolved(&["--patience", "0"], None).unwrap().early_stopping, None);
    }

    #[test]
    fn augmentation_flags() {
        let none = resolved(&["--no-aug"], None).unwrap();
        assert_eq!(none.augment, sepal_data::Augment::default());
        let crop = resolved(&["--scale", "0.5,1", "--crop-padding", "0"], None).unwrap().augment;
        assert_eq!(crop.random_resized_crop.unwrap().scale, [0.5, 1.0]);
        assert_eq!(crop.crop_padding, None);
        let drawn = resolved(&["--balanced", "--repeats", "3"], None).unwrap().sampling;
        assert_eq!(drawn, sepal_data::Sampling { balanced: true, repeats: 3 });
        let words =
            ["--policy", "rand", "--color-jitter", "0.4", "--erasing", "0.25", "--mixup", "0.2", "--cutmix", "1"];
        let all = resolved(&words, None).unwrap().augment;
        assert_eq!(all.policy, Policy::named("rand"));
        assert_eq!((all.color_jitter.unwrap().contrast, all.random_erasing.unwrap().p), (0.4, 0.25));
        assert_eq!(all.mix.map(|mix| (mix.mixup, mix.cutmix)), Some((0.2, 1.0)));
        let file = "[augment]\nmix = { mixup = 0.5 }\npolicy = { kind = \"trivial\" }\n";
        let none = resolved(&["--mixup", "0", "--policy", "none"], Some(file)).unwrap().augment;
        assert!(none.mix.is_none() && none.policy.is_none());
    }

    #[test]
    fn wrong_values_are_wrong_command_lines() {
        for words in [
            ["--lr", "-1"],
            ["--opt", "sgdd"],
            ["--sched", "cos"],
            ["--smoothing", "1"],
            ["--model", "mobilenet_v1:width=0"],
            ["--hflip", "2"],
            ["--scale", "0.9,0.1"],
            ["--freeze", "["],
            ["--lr-factor", "*=0"],
            ["--policy", "auto"],
            ["--erasing", "1.5"],
            ["--mixup", "-1"],
            ["--color-jitter", "-1"],
        ] {
            assert_eq!(resolved(&words, None).unwrap_err().code(), 2, "{words:?}");
        }
        let adam = resolved(&["--opt", "adamw", "--momentum", "0.5"], None).unwrap_err();
        assert_eq!(adam.code(), 2);
    }
}
