//! Recipes that have names, and files over them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sepal_data::{Dataset, Splits, Subset, sample};
use sepal_graph::{Meta, Model, Protocol, Sharing, Task, Weights};
use sepal_kernels::pool::Serial;
use sepal_train::{
    Batch, Engine, EngineOptions, Layer, Optimizer, Params, Recipe, Schedule, TrainOptions, Trainer, find_recipe,
    named_recipes,
};

/// Six pictures of the sample.
fn six() -> Splits {
    let data = sample().unwrap();
    let train: Arc<dyn Dataset> = Arc::new(Subset::new(data.train, (0..6).collect()).unwrap());
    Splits { train, val: None, test: None, ..sample().unwrap() }
}

#[test]
fn every_one_trains_its_network() {
    for named in named_recipes() {
        let name = named.name;
        let layer = named.layer().unwrap_or_else(|error| panic!("{name}: {error}"));
        let whole = layer.recipe();
        let task = whole.model.parse::<sepal_zoo::Spec>().unwrap().network().task;
        // What it takes to pass every stride.
        let size = if whole.size > 100 { 96 } else { 32 };
        let recipe = Recipe { size, epochs: 1, batch: 3, ema_decay: 0.0, ..whole.clone() };
        let data = six();
        let classes = data.classes.len();
        let mut graph = sepal_zoo::build(&recipe.model.parse().unwrap(), Some([size; 2]), classes).unwrap();
        if recipe.protocol == Some(Protocol::Soft) {
            graph = sepal_zoo::soften(&graph, &["first", "second"]).unwrap();
        }
        let sharing = Sharing::new(recipe.protocol.unwrap_or(Protocol::Scratch), &graph);
        let weights = Weights::init(&graph, 1).unwrap();
        if task == Task::Segment {
            let mut params = Params::new(&graph, &weights).unwrap();
            let mut engine = Engine::new(&graph, &params, 1, Arc::new(Serial), EngineOptions::default()).unwrap();
            let output = graph.output_shape().unwrap();
            let labels = vec![1; output.elements() / classes];
            let images = vec![0.5; 3 * size * size];
            let batch = Batch { images: &images, labels: &labels, weights: None, mixed: None, smoothing: 0.0, seed: 1 };
            let step = engine.step(&mut params, &batch).unwrap();
            assert!(step.loss.is_finite() && params.grads.iter().any(|&gradient| gradient != 0.0), "{name}");
            continue;
        }
        let model = Model::new(graph, weights, Meta::default()).unwrap();
        let before = model.weights.clone();
        let mut trainer = Trainer::with_options(model, &data, &recipe, TrainOptions::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let outcome = trainer.run(&mut (), &AtomicBool::new(false)).unwrap();
        assert!(outcome.history[0].train_loss.is_finite(), "{name}");
        assert_eq!(outcome.history[0].ortho.is_some(), recipe.ortho.is_some(), "{name}");
        let after = trainer.model().unwrap().weights;
        let moved = |path: &str| before.get(path).unwrap() != after.get(path).unwrap();
        let Sharing { shared, private } = sharing.unwrap();
        assert!(shared.iter().all(|spec| !moved(&spec.path)), "{name}");
        let mut weights = private.iter().filter(|spec| spec.path.ends_with("wise.weight"));
        assert!(weights.all(|spec| moved(&spec.path)), "{name}");
        assert!(moved("classifier.weight"), "{name}");
    }
}

#[test]
fn the_papers_values() {
    let of = |name: &str| find_recipe(name).unwrap().layer().unwrap().recipe().clone();
    let mobilenet = of("mobilenet_v1");
    assert!(matches!(mobilenet.optimizer, Optimizer::Rmsprop { .. }) && !mobilenet.decay_depthwise);
    let xception = of("xception");
    assert_eq!((xception.size, xception.lr(), xception.weight_decay()), (299, 0.045, 1e-5));
    assert_eq!(xception.schedule, Schedule::Exponential { gamma: 0.94, every: 2.0 });
    let (first, further) = (of("resdsc"), of("resdsc_domain"));
    assert_eq!(first.schedule, Schedule::Step { milestones: vec![40.0, 60.0, 80.0], gamma: 0.1 });
    assert_eq!(further, Recipe { protocol: Some(Protocol::SharePointwise), ..first });
    let (textures, signs) = (of("resdsc_dtd"), of("resdsc_gtsrb"));
    assert_eq!((textures.weight_decay(), textures.epochs, textures.augment.crop_padding), (2e-3, 100, Some(8)));
    assert_eq!(
        (signs.weight_decay(), signs.model.as_str(), signs.augment.crop_padding),
        (3e-4, "resdsc26:dropout=0.5", None)
    );
    assert_eq!((of("pydmobilenet").batch, of("pydmobilenet").augment.crop_padding), (128, Some(4)));
    let espnet = of("espnet");
    assert_eq!((espnet.epochs, espnet.lr(), espnet.model.as_str()), (300, 5e-4, "espnet:p=2,q=8"));
    assert_eq!(of("bsconv_s").ortho.unwrap().alpha, 0.1);
    assert_eq!((of("bsconv_u").epochs, of("bsconv_u").weight_decay()), (200, 1e-4));
}

#[test]
fn a_file_over_a_base() {
    let text = "# mine\nbase = \"bsconv_u\" # then\nbatch = 32\n\n[augment]\nhflip = 0.25\n";
    let layer = Layer::from_toml(text, "mine.toml").unwrap();
    let recipe = layer.recipe();
    let base = find_recipe("bsconv_u").unwrap().layer().unwrap();
    assert_eq!((recipe.batch, recipe.epochs), (32, 200));
    // A table is taken whole.
    assert_eq!((recipe.augment.hflip, recipe.augment.crop_padding), (0.25, None));
    assert_eq!(recipe.optimizer, base.recipe().optimizer);
    assert!(layer.sets("optimizer") && layer.sets("batch") && !layer.sets("seed") && !layer.sets("base"));
    let other = Recipe { seed: 9, epochs: 7, ..Recipe::photographs() };
    let over = layer.over(&other).unwrap();
    assert_eq!((over.seed, over.epochs, over.batch), (9, 200, 32));

    for (text, words) in [
        ("base = \"bsconv\"", &["'bsconv'", "bsconv_u", "xception"][..]),
        ("epochs = 1\nbase = \"bsconv_u\"\nepoch = 3", &["mine.toml", "line 3", "epoch", "epochs"]),
        ("base = 3", &["mine.toml", "line 1"]),
        ("base = \"bsconv_u\"\nlr = -1.0", &["lr is -1"]),
    ] {
        let message = Layer::from_toml(text, "mine.toml").unwrap_err().to_string();
        for word in words {
            assert!(message.contains(word), "{text:?} gives {message}");
        }
    }
}
