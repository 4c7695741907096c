//! Recipes: defaults, TOML, ranges, differences.

use sepal_data::{Augment, ColorJitter, ErasingFill, Mix, Policy, RandomErasing, Sampling};
use sepal_train::{EarlyStopping, Optimizer, Ortho, ParamGroup, Recipe, Schedule, StopMetric};

fn parse(text: &str) -> Recipe {
    Recipe::from_toml(text, "test.toml").unwrap()
}

fn refusal(text: &str) -> String {
    Recipe::from_toml(text, "test.toml").unwrap_err().to_string()
}

#[test]
fn defaults_pass_their_own_check_and_survive_toml() {
    for recipe in [Recipe::default(), Recipe::small_pictures(), Recipe::photographs()] {
        recipe.check().unwrap();
        assert_eq!(parse(&recipe.to_toml()), recipe);
        assert_eq!(parse(&recipe.resolved().to_toml()), recipe.resolved());
    }
    assert_eq!(parse(""), Recipe::default());
}

#[test]
fn every_field_survives_toml() {
    let recipe = Recipe {
        data: Some("pictures".into()),
        val_split: Some(0.25),
        lr: Some(0.012_345_678_901_234_567),
        clip_grad: Some(1.5),
        freeze: vec!["*.pointwise.*".into(), "stem.*".into()],
        ortho: Some(Ortho { alpha: 0.25, paths: Some(vec!["*.expand.weight".into()]) }),
        optimizer: Optimizer::Rmsprop { alpha: 0.9, eps: 1e-3, momentum: 0.5 },
        schedule: Schedule::Step { milestones: vec![3.0, 6.5], gamma: 0.2 },
        early_stopping: Some(EarlyStopping { patience: 5, metric: StopMetric::Loss, min_delta: 0.01 }),
        groups: vec![
            ParamGroup { paths: vec!["stem.*".into()], lr_factor: 0.1, weight_decay: None },
            ParamGroup { paths: vec!["fc.*".into(), "*.bn.*".into()], lr_factor: 1.0, weight_decay: Some(0.0) },
        ],
        accumulate: 4,
        epochs: 8,
        seed: u64::from(u32::MAX),
        sampling: Sampling { balanced: true, repeats: 3 },
        augment: Augment {
            policy: Some(Policy::Rand { operations: 3, magnitude: 12 }),
            color_jitter: Some(ColorJitter { brightness: 0.5, contrast: 0.25, saturation: 0.125, hue: 0.1 }),
            random_erasing: Some(RandomErasing { fill: ErasingFill::Noise, ..RandomErasing::default() }),
            mix: Some(Mix { mixup: 0.2, cutmix: 1.0, p: 0.75, switch: 0.25 }),
            ..Recipe::photographs().augment
        },
        ..Recipe::photographs()
    };
    assert_eq!(parse(&recipe.to_toml()), recipe);
}

#[test]
fn choices_take_their_own_defaults() {
    let recipe = parse("[optimizer]\nkind = \"adamw\"\n[schedule]\nkind = \"constant\"\n");
    assert_eq!(recipe.optimizer, Optimizer::named("adamw").unwrap());
    assert_eq!(recipe.schedule, Schedule::Constant {});
    assert_eq!((recipe.lr(), recipe.weight_decay()), (2e-3, 0.05));
    assert_eq!(recipe.resolved().lr, Some(2e-3));
    assert_eq!(parse("[ortho]\n").ortho, Some(Ortho { alpha: 0.1, paths: None }));
    let recipe = parse("lr = 0.3\n[optimizer]\nkind = \"sgd\"\nmomentum = 0.0\nnesterov = false\n");
    assert_eq!(recipe.optimizer, Optimizer::Sgd { momentum: 0.0, nesterov: false });
    assert_eq!(recipe.lr(), 0.3);
    for name in Optimizer::NAMES {
        assert!(Optimizer::named(name).is_some());
    }
    for name in Schedule::NAMES {
        assert!(Schedule::named(name, 100).is_some());
    }
    assert!(Optimizer::named("sdg").is_none() && Schedule::named("cosinus", 1).is_none());
}

#[test]
fn unknown_fields_and_wrong_types_name_field_and_line() {
    for (text, words) in [
        ("epoch = 3", &["test.toml", "epoch", "epochs"][..]),
        ("\n\nepochs = \"three\"", &["line 3", "epochs"]),
        ("epochs = -1", &["epochs", "-1"]),
        ("seed = -4", &["seed"]),
        ("[optimizer]\nkind = \"sdg\"", &["sdg", "sgd", "adam", "adamw", "rmsprop"]),
        ("[optimizer]\nkind = \"sgd\"\nbetas = [0.9, 0.99]", &["betas", "momentum"]),
        ("[schedule]\nkind = \"constant\"\ngamma = 1", &["gamma"]),
        ("[augment]\nmix = { mixop = 1.0 }", &["mixop", "mixup"]),
        ("[augment]\npolicy = { kind = \"auto\" }", &["auto", "trivial", "rand"]),
        ("[sampling]\nrepeat = 2", &["repeat", "repeats"]),
        ("[augment]\nflip = 1", &["flip", "hflip"]),
        ("[preprocessing]\nsigma = 1", &["sigma", "std"]),
        ("epochs 3", &["line 1"]),
    ] {
        let message = refusal(text);
        for word in words {
            assert!(message.contains(word), "{text:?} gives {message}");
        }
    }
}

#[test]
fn numbers_out_of_range_name_field_value_and_range() {
    for (text, words) in [
        ("epochs = 0", &["epochs is 0", "from 1"][..]),
        ("batch = 0", &["batch is 0", "from 1"]),
        ("size = 0", &["size is 0"]),
        ("model = \" \"", &["model is empty"]),
        ("lr = -0.1", &["lr is -0.1", "above 0"]),
        ("lr = 0.0", &["lr is 0"]),
        ("lr = nan", &["lr is NaN"]),
        ("lr = inf", &["lr is inf"]),
        ("weight_decay = -1.0", &["weight_decay is -1", "at least 0"]),
        ("warmup_epochs = nan", &["warmup_epochs is NaN"]),
        ("epochs = 2\nwarmup_epochs = 3", &["warmup_epochs is 3", "at most the number of epochs, 2"]),
        ("label_smoothing = 1.0", &["label_smoothing is 1", "below 1"]),
        ("ema_decay = 1.0", &["ema_decay is 1", "below 1"]),
        ("clip_grad = 0.0", &["clip_grad is 0", "above 0"]),
        ("[ortho]\nalpha = 0.0", &["ortho.alpha is 0", "above 0"]),
        ("[ortho]\npaths = [\"a[\"]", &["ortho.paths", "is not a glob"]),
        ("val_split = 1.0", &["val_split is 1", "below 1"]),
        ("workers = 5000", &["workers is 5000"]),
        ("freeze = [\"a[\"]", &["freeze", "a[", "not a glob"]),
        ("[optimizer]\nkind = \"sgd\"\nmomentum = 1.0", &["optimizer.momentum is 1"]),
        ("[optimizer]\nkind = \"sgd\"\nmomentum = 0.0", &["optimizer.nesterov is true", "momentum is 0"]),
        ("[optimizer]\nkind = \"adamw\"\nbetas = [0.9, 1.5]", &["optimizer.betas is 1.5"]),
        ("[optimizer]\nkind = \"adamw\"\neps = 0.0", &["optimizer.eps is 0"]),
        ("[optimizer]\nkind = \"rmsprop\"\nalpha = -0.5", &["optimizer.alpha is -0.5"]),
        ("[schedule]\nkind = \"cosine\"\nmin = 2.0", &["schedule.min is 2"]),
        ("[schedule]\nkind = \"step\"\nmilestones = [5.0, 2.0]", &["schedule.milestones is [5.0, 2.0]", "rising"]),
        ("[schedule]\nkind = \"step\"\nmilestones = []\ngamma = 0.0", &["schedule.gamma is 0"]),
        ("[schedule]\nkind = \"exponential\"\nevery = 0.0", &["schedule.every is 0", "above 0"]),
        ("[schedule]\nkind = \"exponential\"\ngamma = 1.5", &["schedule.gamma is 1.5", "at most 1"]),
        ("[schedule]\nkind = \"polynomial\"\npower = -1.0", &["schedule.power is -1", "above 0"]),
        ("[schedule]\nkind = \"one_cycle\"\nrise = 1.0", &["schedule.rise is 1", "below 1"]),
        ("[schedule]\nkind = \"one_cycle\"\ndiv = 0.5", &["schedule.div is 0.5", "at least 1"]),
        ("[schedule]\nkind = \"one_cycle\"\nfinal_div = nan", &["schedule.final_div is NaN"]),
        ("accumulate = 0", &["accumulate is 0", "from 1"]),
        ("[early_stopping]\npatience = 0", &["early_stopping.patience is 0", "from 1"]),
        ("[early_stopping]\npatience = 1\nmin_delta = -1.0", &["early_stopping.min_delta is -1"]),
        ("[[groups]]\npaths = []", &["groups.paths is empty"]),
        ("[[groups]]\npaths = [\"[\"]", &["groups.paths", "not a glob"]),
        ("[[groups]]\npaths = [\"a\"]\nlr_factor = 0.0", &["groups.lr_factor is 0", "above 0"]),
        ("[[groups]]\npaths = [\"a\"]\nweight_decay = -0.1", &["groups.weight_decay is -0.1"]),
        ("[augment]\nhflip = 2.0", &["hflip", "2"]),
        ("[augment]\ncrop_padding = 5000", &["crop_padding", "5000"]),
        ("[augment]\npolicy = { kind = \"rand\", magnitude = 31 }", &["policy.magnitude = 31", "0 to 30"]),
        ("[augment]\npolicy = { kind = \"rand\", operations = 0 }", &["policy.operations = 0", "1 to 14"]),
        ("[augment]\ncolor_jitter = { brightness = -1.0 }", &["color_jitter.brightness = -1", "at least 0"]),
        ("[augment]\ncolor_jitter = { hue = 0.6 }", &["color_jitter.hue = 0.6", "0 to 0.5"]),
        ("[augment]\nrandom_erasing = { p = 1.5 }", &["random_erasing.p = 1.5", "0 to 1"]),
        ("[augment]\nrandom_erasing = { scale = [0.5, 1.0] }", &["random_erasing.scale = [0.5, 1.0]", "below 1"]),
        ("[augment]\nrandom_erasing = { ratio = [2.0, 1.0] }", &["random_erasing.ratio = [2.0, 1.0]", "in order"]),
        ("[augment]\nmix = { mixup = -1.0 }", &["mix.mixup = -1", "0 to 1000"]),
        ("[augment]\nmix = { cutmix = 1.0, p = 2.0 }", &["mix.p = 2", "0 to 1"]),
        ("[sampling]\nrepeats = 0", &["sampling.repeats = 0", "from 1 to 1000"]),
        ("[preprocessing]\nstd = [1.0, 0.0, 1.0]", &["preprocessing.std is 0"]),
        ("[preprocessing]\nmean = [nan, 0.0, 1.0]", &["preprocessing.mean is NaN"]),
        ("[preprocessing]\ncrop_pct = 0.0", &["preprocessing.crop_pct is 0"]),
    ] {
        let message = refusal(text);
        for word in words {
            assert!(message.contains(word), "{text:?} gives {message}");
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    let message = Recipe::read("nowhere/recipe.toml".as_ref()).unwrap_err().to_string();
    assert!(message.contains("nowhere/recipe.toml"), "{message}");
}

#[test]
fn differences_name_every_field_that_changes_the_weights() {
    let before = Recipe::default();
    assert!(before.differences(&before.resolved()).is_empty());
    let now = Recipe { workers: 7, strict: true, ..before.clone() };
    assert!(before.differences(&now).is_empty());
    let now = Recipe {
        epochs: 99,
        freeze: vec!["*".into()],
        optimizer: Optimizer::Sgd { momentum: 0.5, nesterov: true },
        ..before.clone()
    };
    let fields: Vec<_> = before.differences(&now).into_iter().map(|d| (d.field, d.before, d.now)).collect();
    let expected = [("epochs", "20", "99"), ("freeze", "absent", "[\"*\"]"), ("optimizer.momentum", "0.9", "0.5")];
    assert_eq!(fields, expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
}

#[test]
fn the_recipe_for_data_goes_by_the_pictures() {
    let recipe = Recipe::for_data(&sepal_data::sample().unwrap()).unwrap();
    assert_eq!(recipe, Recipe::default());
}
