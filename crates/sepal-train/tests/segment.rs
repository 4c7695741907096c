//! Segmenters: training on pictures with masks, measuring, running on pictures of any size.

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use common::options;
use sepal_data::{Augment, DataError, Dataset, IGNORE, LabelMap, MaskClasses, Picture, ScaleCrop, Splits};
use sepal_graph::{Builder, Conv2d, Graph, Meta, Model, Shape, Task, Weights};
use sepal_kernels::pool::{Serial, ThreadPool};
use sepal_train::{
    CheckpointEvery, ClassWeights, Error, EvalOptions, Preprocessing, Recipe, Resize, RunFolder, SegmentOptions,
    Segmenter, State, Trainer, Upsample, evaluate,
};

/// Squares of one colour on dark ground; the colour is the class.
struct Squares {
    count: usize,
    side: usize,
    classes: MaskClasses,
    ignored: bool,
}

impl Squares {
    fn new(count: usize, side: usize) -> Self {
        let names = ["ground", "red", "blue", "never"].map(String::from).to_vec();
        Self { count, side, classes: MaskClasses::numbered(names).unwrap(), ignored: false }
    }

    fn class(&self, index: usize, x: usize, y: usize) -> u8 {
        let (left, top) = (index * 3 % (self.side / 2), index * 5 % (self.side / 2));
        let inside = (left..left + self.side / 2).contains(&x) && (top..top + self.side / 2).contains(&y);
        if inside { 1 + (index % 2) as u8 } else { 0 }
    }
}

impl Dataset for Squares {
    fn len(&self) -> usize {
        self.count
    }

    fn classes(&self) -> &[String] {
        self.classes.names()
    }

    fn label(&self, _: usize) -> u32 {
        0
    }

    fn describe(&self, index: usize) -> String {
        format!("squares/{index}.png")
    }

    fn decode_into(&self, index: usize, picture: &mut Picture) -> sepal_data::Result<()> {
        let pixel = |at: usize| match self.class(index, at % self.side, at / self.side) {
            0 => [30, 35, (at * 7 % 40) as u8],
            1 => [210, 20, (at * 11 % 30) as u8],
            _ => [20, (at * 5 % 30) as u8, 220],
        };
        let pixels = (0..self.side * self.side).flat_map(pixel).collect();
        *picture = Picture { width: self.side as u32, height: self.side as u32, pixels };
        Ok(())
    }

    fn mask_classes(&self) -> Option<&MaskClasses> {
        Some(&self.classes)
    }

    fn decode_mask_into(&self, index: usize, mask: &mut LabelMap) -> sepal_data::Result<()> {
        let side = self.side as u32;
        // The uppermost row has no class.
        let label = |at: usize| match at / self.side {
            0 => IGNORE,
            _ if self.ignored => IGNORE,
            y => self.class(index, at % self.side, y),
        };
        let labels = (0..self.side * self.side).map(label).collect();
        *mask = LabelMap::new(side, side, labels).ok_or(DataError::AllIgnored)?;
        Ok(())
    }
}

fn data(train: Squares) -> Splits {
    let classes = train.classes().to_vec();
    let val = Arc::new(Squares::new(6, 20)) as Arc<dyn Dataset>;
    Splits { kind: "squares", train: Arc::new(train), val: Some(val), test: None, classes, notes: Vec::new() }
}

/// Scores at half the size.
fn graph(side: usize, classes: usize) -> Graph {
    let mut b = Builder::new("halves");
    let x = b.input("input", Shape::chw(3, side, side).unwrap()).unwrap();
    let x = b.conv("stem", x, Conv2d::standard(8, 3).stride(2).same()).unwrap();
    let x = b.batch_norm("bn", x).unwrap();
    let x = b.activation("act", x, sepal_graph::Activation::Relu).unwrap();
    let x = b.conv("classifier", x, Conv2d::pointwise(classes).bias(true)).unwrap();
    b.finish(&[x]).unwrap()
}

fn model(graph: Graph) -> Model {
    let weights = Weights::init(&graph, 1).unwrap();
    Model::new(graph, weights, Meta { task: Task::Segment, ..Meta::default() }).unwrap()
}

fn recipe() -> Recipe {
    Recipe {
        size: 16,
        epochs: 6,
        batch: 4,
        seed: 2,
        lr: Some(0.02),
        warmup_epochs: 0.0,
        ema_decay: 0.5,
        augment: Augment { scale_crop: Some(ScaleCrop { scale: [0.7, 1.4] }), hflip: 0.5, ..Augment::default() },
        preprocessing: Preprocessing { resize: Resize::Keep, ..Preprocessing::default() },
        ..Recipe::scenes()
    }
}

#[test]
fn a_segmenter_learns_and_a_resumed_run_is_the_same_run() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str| RunFolder::create(&dir.path().join(name), &recipe()).unwrap();
    let start = |name: &str, threads: usize| {
        let options = options(Some(run(name)), threads, CheckpointEvery::Steps(1));
        Trainer::with_options(model(graph(16, 4)), &data(Squares::new(24, 20)), &recipe(), options).unwrap()
    };
    let outcome = start("whole", 2).fit(&mut ()).unwrap();
    let metrics = outcome.metrics.as_ref().unwrap();
    // Three classes are there; the fourth, never seen or said, does not count.
    assert!(metrics.miou().unwrap() > 0.6 && metrics.top1 > 0.85, "{metrics:?}");
    assert_eq!((metrics.images, metrics.pixels), (6, Some(6 * 19 * 20)));
    assert_eq!(metrics.classes[3].iou(), None);
    assert_eq!(outcome.best.unwrap().miou, metrics.miou());
    let row = outcome.history.last().unwrap();
    assert!(row.miou.is_some() && row.train_top1 > 0.5 && row.train_top1 <= 1.0, "{row:?}");
    let csv = std::fs::read_to_string(dir.path().join("whole/results.csv")).unwrap();
    assert!(csv.lines().next().unwrap().ends_with("metrics/miou") && !csv.lines().last().unwrap().ends_with(','));

    let mut trainer = start("cut", 1);
    let mut batches = 0;
    let stopped = trainer
        .fit(&mut sepal_train::Callbacks::new().on_batch(|_| {
            batches += 1;
            if batches < 9 { std::ops::ControlFlow::Continue(()) } else { std::ops::ControlFlow::Break(()) }
        }))
        .unwrap();
    assert!(stopped.stopped);
    drop(trainer);
    let state = State::read(&dir.path().join("cut")).unwrap();
    let options = options(Some(RunFolder::open(&dir.path().join("cut")).unwrap()), 3, CheckpointEvery::Epoch);
    let resumed =
        Trainer::resume(state, &data(Squares::new(24, 20)), options).unwrap().run(&mut (), &AtomicBool::new(false));
    assert_eq!(resumed.unwrap().metrics, outcome.metrics);
    let read = |name: &str| std::fs::read(dir.path().join(name).join("weights/last.safetensors")).unwrap();
    assert_eq!(read("whole"), read("cut"));
    let best = sepal_formats::native::read(dir.path().join("whole/weights/best.safetensors")).unwrap();
    assert_eq!((best.meta.colors.len(), best.meta.task), (4, Task::Segment));
}

#[test]
fn what_does_not_fit_is_said() {
    let try_with = |model: Model, data: &Splits, recipe: &Recipe| {
        Trainer::new(model, data, recipe).err().expect("it fits").to_string()
    };
    let squares = data(Squares::new(8, 20));
    let text = try_with(common::model(&common::recipe()), &squares, &Recipe { size: common::SIDE, ..recipe() });
    assert!(text.contains("a class for each pixel"), "{text}");
    let classes = common::data(common::Colours::new(9), None, None);
    assert!(try_with(model(graph(16, 3)), &classes, &recipe()).contains("one class for each picture"));
    assert!(try_with(model(graph(16, 3)), &squares, &recipe()).contains("3 outputs"));
    let odd = Recipe { size: 15, ..recipe() };
    assert!(try_with(model(graph(15, 4)), &squares, &odd).contains("a multiple of 2"));
    let cropped = Recipe { preprocessing: Preprocessing::default(), ..recipe() };
    assert!(try_with(model(graph(16, 4)), &squares, &cropped).contains("preprocessing.resize"));
    let mixed = Augment { mix: Some(Default::default()), ..Augment::default() };
    assert!(try_with(model(graph(16, 4)), &squares, &Recipe { augment: mixed, ..recipe() }).contains("mix"));
    let ignored = data(Squares { ignored: true, ..Squares::new(8, 20) });
    assert!(try_with(model(graph(16, 4)), &ignored, &recipe()).contains("all of them are ignored"));
    // Without weights nobody counts the pixels before.
    let unweighted = Recipe { class_weights: None, ..recipe() };
    let run = Trainer::new(model(graph(16, 4)), &ignored, &unweighted).unwrap().fit(&mut ());
    assert!(matches!(run, Err(Error::Data(DataError::AllIgnored))));
    let bad = Recipe { class_weights: Some(ClassWeights { c: 1.0 }), ..recipe() };
    assert!(bad.check().unwrap_err().to_string().contains("class_weights.c"));
}

fn ready(side: usize, resize: sepal_graph::Resize) -> Model {
    let mut model = model(graph(side, 4));
    model.meta.preprocessing = Some(sepal_graph::Preprocessing {
        size: [side; 2],
        mean: [0.3, 0.4, 0.5],
        std: [0.2, 0.25, 0.3],
        resize,
        filter: Default::default(),
        color_order: Default::default(),
    });
    model
}

fn noise(width: u32, height: u32) -> Picture {
    let pixels = (0..width as usize * height as usize * 3).map(|at| ((at * 2_654_435_761) >> 7) as u8).collect();
    Picture::new(width, height, pixels).unwrap()
}

#[test]
fn pictures_of_any_size_whole_or_in_tiles() {
    let model = ready(16, sepal_graph::Resize::Exact);
    let segment = |options: SegmentOptions, picture: &Picture| {
        Segmenter::new(&model, Arc::new(ThreadPool::new(2).unwrap()), options).unwrap().segment(picture).unwrap()
    };
    let whole = SegmentOptions::default();
    for (width, height) in [(1, 1), (16, 16), (17, 5), (200, 131)] {
        let map = segment(whole, &noise(width, height));
        assert_eq!((map.width, map.height, map.labels.len()), (width, height, (width * height) as usize));
    }
    // The network sees three pixels around each: what tiles share is enough.
    let tiles = SegmentOptions { tile: 64, overlap: 16, ..whole };
    let picture = noise(200, 131);
    assert_eq!(segment(tiles, &picture), segment(whole, &picture));
    let nearest = segment(SegmentOptions { upsample: Upsample::Nearest, ..whole }, &picture);
    assert_ne!(nearest, segment(whole, &picture));
    // Scores at half the size: each is that of four pixels.
    assert!(
        (0..65).all(|y| (0..100).all(|x| nearest.labels[400 * y + 2 * x] == nearest.labels[400 * y + 200 + 2 * x + 1]))
    );

    let squashed = ready(16, sepal_graph::Resize::Squash);
    let mut segmenter = Segmenter::new(&squashed, Arc::new(Serial), whole).unwrap();
    let map = segmenter.segment(&picture).unwrap();
    assert_eq!((map.width, map.height), (200, 131));
    for (bad, text) in
        [(SegmentOptions { tile: 10, ..whole }, "tile"), (SegmentOptions { tile: 64, overlap: 32, ..whole }, "overlap")]
    {
        assert!(Segmenter::new(&model, Arc::new(Serial), bad).err().unwrap().to_string().contains(text));
    }
    let cropped = ready(16, sepal_graph::Resize::ShortSide { crop_pct: 1.0 });
    assert!(Segmenter::new(&cropped, Arc::new(Serial), whole).is_err());
    assert!(Segmenter::new(&common::model(&common::recipe()), Arc::new(Serial), whole).is_err());
}

#[test]
fn blue_green_red_is_the_same_network_with_its_channels_exchanged() {
    let rgb = ready(16, sepal_graph::Resize::Exact);
    let mut bgr = rgb.clone();
    let stem = bgr.weights.iter_mut().find(|(path, _)| *path == "stem.weight").unwrap().1;
    for filter in stem.data_mut().chunks_exact_mut(27) {
        let (red, rest) = filter.split_at_mut(9);
        red.swap_with_slice(&mut rest[9..]);
    }
    let preprocessing = bgr.meta.preprocessing.as_mut().unwrap();
    preprocessing.color_order = sepal_graph::ColorOrder::Bgr;
    preprocessing.mean.reverse();
    preprocessing.std.reverse();
    for resize in [sepal_graph::Resize::Exact, sepal_graph::Resize::Squash] {
        let [a, b] = [&rgb, &bgr].map(|model| {
            let mut model = model.clone();
            model.meta.preprocessing.as_mut().unwrap().resize = resize;
            Segmenter::new(&model, Arc::new(Serial), SegmentOptions::default())
                .unwrap()
                .segment(&noise(40, 30))
                .unwrap()
        });
        let same = a.labels.iter().zip(&b.labels).filter(|(a, b)| a == b).count();
        assert!(same >= 1195, "{resize:?}: {same}");
    }
}

#[test]
fn measuring_counts_pixels_that_have_a_class() {
    let model = ready(16, sepal_graph::Resize::Exact);
    let set: Arc<dyn Dataset> = Arc::new(Squares::new(5, 18));
    let measure = |threads: usize| {
        let pool: Arc<dyn sepal_kernels::pool::Pool> = Arc::new(ThreadPool::new(threads).unwrap());
        evaluate(&model, &set, &pool, &EvalOptions::default(), &mut ()).unwrap()
    };
    let metrics = measure(1);
    assert_eq!(metrics, measure(3));
    assert_eq!((metrics.images, metrics.pixels), (5, Some(5 * 17 * 18)));
    let mut segmenter = Segmenter::new(&model, Arc::new(Serial), SegmentOptions::default()).unwrap();
    let (mut right, mut mask) = (0, LabelMap::default());
    for index in 0..5 {
        let map = segmenter.segment(&set.decode(index).unwrap()).unwrap();
        set.decode_mask_into(index, &mut mask).unwrap();
        right += map.labels.iter().zip(&mask.labels).filter(|(map, mask)| map == mask).count();
    }
    assert_eq!(metrics.classes.iter().map(|class| class.correct).sum::<u64>(), right as u64);
    let ignored: Arc<dyn Dataset> = Arc::new(Squares { ignored: true, ..Squares::new(2, 18) });
    let pool: Arc<dyn sepal_kernels::pool::Pool> = Arc::new(Serial);
    let error = evaluate(&model, &ignored, &pool, &EvalOptions::default(), &mut ()).unwrap_err();
    assert!(error.to_string().contains("ignored"));
}
