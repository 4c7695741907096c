//! Batches: the same whatever the workers, whole after a resume, honest about what could not be read.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{put, put_picture};
use sepal_data::{
    Augment, Batch, ColorJitter, DataError, Dataset, ErasingFill, LastBatch, Limits, Loader, LoaderOptions, Mix,
    OpenOptions, Picture, Pipeline, Policy, Preprocess, RandomErasing, RandomResizedCrop, Stream, Transform, check,
    mean_std, open, order, sample,
};

/// Pictures made on the spot; some are unreadable, one may panic.
struct Made {
    len: usize,
    unreadable: Vec<usize>,
    panics: Option<usize>,
    classes: Vec<String>,
}

impl Made {
    fn new(len: usize) -> Self {
        Self { len, unreadable: vec![], panics: None, classes: vec!["a".into(), "b".into(), "c".into()] }
    }
}

impl Dataset for Made {
    fn len(&self) -> usize {
        self.len
    }
    fn classes(&self) -> &[String] {
        &self.classes
    }
    fn label(&self, index: usize) -> u32 {
        index as u32 % 3
    }
    fn describe(&self, index: usize) -> String {
        format!("made[{index}]")
    }
    fn decode_into(&self, index: usize, picture: &mut Picture) -> Result<(), DataError> {
        if self.panics == Some(index) {
            panic!("made to fail");
        }
        // So that workers finish out of order.
        std::thread::sleep(Duration::from_micros(index as u64 * 7919 % 300));
        if self.unreadable.contains(&index) {
            return Err(DataError::Picture { path: self.describe(index), cause: "made unreadable".into() });
        }
        let (width, height) = (9 + index as u32 % 3, 8);
        let pixels = (0..width * height * 3).map(|i| (i * 7 + index as u32 * 31) as u8).collect();
        *picture = Picture::new(width, height, pixels).unwrap();
        Ok(())
    }
}

fn view() -> Preprocess {
    Preprocess { size: [8, 8], ..Preprocess::default() }
}

fn augment() -> Augment {
    Augment {
        hflip: 0.5,
        scale_crop: None,
        crop_padding: Some(2),
        random_resized_crop: Some(RandomResizedCrop { scale: [0.3, 1.0], ..RandomResizedCrop::default() }),
        policy: Some(Policy::Rand { operations: 2, magnitude: 9 }),
        color_jitter: Some(ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }),
        random_erasing: Some(RandomErasing { fill: ErasingFill::Noise, ..RandomErasing::default() }),
        mix: Some(Mix { mixup: 0.4, cutmix: 1.0, p: 0.8, ..Mix::default() }),
    }
}

fn loader(data: Made, options: LoaderOptions) -> Loader {
    let order = order(data.len, options.seed, options.epoch);
    Loader::new(Arc::new(data), order, Pipeline::train(view(), &augment()).unwrap(), options).unwrap()
}

fn all(mut loader: Loader) -> Vec<Batch> {
    let mut batches = Vec::new();
    while let Some(batch) = loader.next() {
        let batch = batch.unwrap();
        batches.push(batch.clone());
        // Recycled buffers must not leak into later batches.
        loader.recycle(batch);
    }
    batches
}

#[test]
fn batches_do_not_depend_on_the_workers_and_a_resume_goes_on() {
    let data = || Made { unreadable: vec![5, 40, 41], ..Made::new(67) };
    let options = |workers, start_batch| LoaderOptions {
        batch_size: 11,
        last: LastBatch::Merge,
        workers,
        start_batch,
        prefetch: 2,
        seed: 3,
        epoch: 4,
        ..LoaderOptions::default()
    };
    let reference = all(loader(data(), options(0, 0)));
    assert_eq!(reference.len(), 6);
    // 67 = 6 × 11 + 1, and the one joined the last batch.
    let planned: Vec<_> = reference.iter().map(|b| b.len() + b.skipped.len()).collect();
    assert_eq!(planned, [11, 11, 11, 11, 11, 12]);
    let mut skipped: Vec<_> = reference.iter().flat_map(|b| &b.skipped).map(|s| s.index).collect();
    skipped.sort_unstable();
    assert_eq!(skipped, [5, 40, 41]);
    for batch in &reference {
        assert_eq!(batch.images.len(), batch.len() * 3 * 64);
        assert_eq!(batch.labels, batch.indices.iter().map(|i| i % 3).collect::<Vec<_>>());
    }
    for workers in [1, 3] {
        assert_eq!(all(loader(data(), options(workers, 0))), reference);
    }
    for start in [1, 4, 6] {
        assert_eq!(all(loader(data(), options(2, start))), reference[start..]);
    }
    let mixed = reference.iter().filter(|batch| !batch.others.is_empty());
    let opposites = |batch: &Batch| batch.labels.iter().rev().copied().collect::<Vec<_>>();
    assert!((1..=6).contains(&mixed.clone().count()));
    assert!(mixed.clone().all(|batch| batch.others == opposites(batch) && batch.shares.len() == batch.len()));
    let other_epoch = all(loader(data(), LoaderOptions { epoch: 5, ..options(0, 0) }));
    assert_ne!(other_epoch[0].indices, reference[0].indices);
    let mut loader = loader(data(), options(2, 4));
    assert_eq!((loader.batches(), loader.max_batch_len(), loader.position()), (6, 12, 4));
    loader.next();
    assert_eq!(loader.position(), 5);
}

#[test]
fn a_picture_is_augmented_the_same_wherever_it_stands() {
    let one = |order: Vec<u32>, epoch| {
        let pipeline = Pipeline::train(view(), &Augment { mix: None, ..augment() }).unwrap();
        let options = LoaderOptions { batch_size: 4, epoch, ..LoaderOptions::default() };
        let batch = Loader::new(Arc::new(Made::new(9)), order, pipeline, options).unwrap().next().unwrap().unwrap();
        let at = batch.indices.iter().position(|&i| i == 7).unwrap();
        batch.images[at * 192..(at + 1) * 192].to_vec()
    };
    assert_eq!(one(vec![7, 1, 2], 0), one(vec![3, 4, 5, 7], 0));
    assert_ne!(one(vec![7], 0), one(vec![7], 1));
}

#[test]
fn a_picture_that_comes_again_is_augmented_anew() {
    let one = |order: Vec<u32>, start_batch| {
        let pipeline = Pipeline::train(view(), &Augment { mix: None, ..augment() }).unwrap();
        let options = LoaderOptions { batch_size: 2, start_batch, ..LoaderOptions::default() };
        Loader::new(Arc::new(Made::new(9)), order, pipeline, options).unwrap().next().unwrap().unwrap().images
    };
    let both = one(vec![7, 7], 0);
    assert_ne!(both[..192], both[192..]);
    // The first time as if it were the only one, the third time whatever comes between, and after a resume.
    assert_eq!(both[..192], one(vec![7, 3], 0)[..192]);
    assert_eq!(one(vec![7, 7, 1, 7], 1)[192..], one(vec![7, 4, 7, 5, 7], 2)[..192]);
}

#[test]
fn unreadable_pictures_are_skipped_with_their_path_or_fail_when_strict() {
    for workers in [0, 2] {
        let data = || Made { unreadable: vec![0, 1, 2, 3, 9], ..Made::new(12) };
        let options = LoaderOptions { batch_size: 4, workers, ..LoaderOptions::default() };
        let in_order = |options| {
            Loader::new(Arc::new(data()), (0..12).collect(), Pipeline::eval(view()).unwrap(), options).unwrap()
        };
        let batches = all(in_order(options.clone()));
        assert!(batches[0].is_empty() && batches[0].images.is_empty());
        assert_eq!(batches[0].skipped[1].path, "made[1]");
        assert_eq!(batches[0].skipped[1].cause, "made unreadable");
        assert_eq!((batches[1].len(), batches[2].indices.as_slice()), (4, &[8, 10, 11][..]));
        let mut strict = in_order(LoaderOptions { strict: true, start_batch: 1, ..options });
        assert!(strict.next().unwrap().is_ok());
        assert_eq!(strict.next().unwrap().unwrap_err().to_string(), "made[9]: made unreadable");
        assert!(strict.next().is_none());
    }
}

#[test]
fn a_panic_is_an_error_and_no_hang() {
    for workers in [0, 1, 3] {
        let data = Made { panics: Some(6), ..Made::new(20) };
        let options = LoaderOptions { batch_size: 2, workers, ..LoaderOptions::default() };
        let order = (0..20).collect();
        let mut loader = Loader::new(Arc::new(data), order, Pipeline::eval(view()).unwrap(), options).unwrap();
        for _ in 0..3 {
            assert!(loader.next().unwrap().is_ok());
        }
        assert!(loader.next().unwrap().unwrap_err().to_string().contains("made to fail"));
        assert!(loader.next().is_none());
    }
}

#[test]
fn dropping_a_loader_stops_its_workers() {
    let data: Arc<dyn Dataset> = Arc::new(Made::new(500));
    let options = LoaderOptions { batch_size: 2, workers: 3, prefetch: 1, ..LoaderOptions::default() };
    let pipeline = Pipeline::eval(view()).unwrap();
    let mut loader = Loader::new(data.clone(), (0..500).collect(), pipeline, options).unwrap();
    loader.next();
    drop(loader);
    // No thread holds the data set any more.
    assert_eq!(Arc::strong_count(&data), 1);
}

#[test]
fn options_out_of_range_are_errors() {
    let new = |order: Vec<u32>, options| {
        Loader::new(Arc::new(Made::new(9)), order, Pipeline::eval(view()).unwrap(), options)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    let options = LoaderOptions::default;
    assert!(new(vec![9], options()).contains("order = 9"));
    assert!(new(vec![1], LoaderOptions { batch_size: 0, ..options() }).contains("batch_size = 0"));
    assert!(new(vec![1], LoaderOptions { workers: 1000, ..options() }).contains("workers = 1000"));
    assert!(new(vec![1], LoaderOptions { start_batch: 2, ..options() }).contains("start_batch = 2"));
    assert!(new(vec![1], LoaderOptions { last: LastBatch::Merge, ..options() }).contains("batch normalisation"));
    assert!(new(vec![1], LoaderOptions { last: LastBatch::Drop, ..options() }).contains("a batch has 64"));
}

#[test]
fn a_transform_of_ones_own_joins_the_pipeline() {
    struct Black;
    impl Transform for Black {
        fn name(&self) -> &'static str {
            "black"
        }
        fn apply(&self, picture: &mut Picture, _spare: &mut Picture, _random: &mut Stream) {
            picture.pixels.fill(0);
        }
    }
    let view = Preprocess { mean: [0.5; 3], std: [0.5; 3], ..view() };
    let pipeline = Pipeline::eval(view).unwrap().with(Black);
    let options = LoaderOptions::default();
    let batch = Loader::new(Arc::new(Made::new(1)), vec![0], pipeline, options).unwrap().next().unwrap().unwrap();
    assert_eq!(batch.images, vec![-1.0; 192]);
}

#[test]
fn a_bad_file_among_good_ones_is_reported_by_path() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..3 {
        put_picture(folder.path().join(format!("train/a/{i}.png")), i);
        put_picture(folder.path().join(format!("train/b/{i}.png")), 200 + i);
    }
    put(folder.path().join("train/b/broken.jpg"), b"text");
    let splits = open(folder.path(), &OpenOptions { limits: Limits::default(), ..OpenOptions::default() }).unwrap();
    let pipeline = Pipeline::eval(view()).unwrap();
    let options = LoaderOptions { workers: 2, ..LoaderOptions::default() };
    let batch =
        Loader::new(splits.train.clone(), (0..7).collect(), pipeline, options).unwrap().next().unwrap().unwrap();
    assert_eq!(batch.len(), 6);
    assert!(batch.skipped[0].path.ends_with("broken.jpg") && batch.skipped[0].cause.starts_with("not a picture"));
    let mut steps = 0;
    let report = check(splits.train.as_ref(), |_| steps += 1);
    assert_eq!((report.pictures, report.bad.len(), steps), (7, 1, 7));
    assert_eq!((report.class_counts, report.width, report.height, report.grey), (vec![3, 4], [6, 6], [5, 5], 0));
}

#[test]
fn the_sample_is_balanced_and_whole() {
    let splits = sample().unwrap();
    assert_eq!(splits.classes[9], "Ankle boot");
    assert_eq!(sepal_data::class_counts(splits.train.as_ref()), [500; 10]);
    let test = splits.test.unwrap();
    assert_eq!(sepal_data::class_counts(test.as_ref()), [100; 10]);
    assert!(splits.val.is_none());
    assert_eq!(test.describe(3), "sample/t10k-images-idx3-ubyte.gz[3]");
    // The first picture of the test set is the one that is kept as a file.
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/ankle-boot.png");
    let file = sepal_data::read_picture(&root, &Limits::default()).unwrap();
    assert_eq!((test.decode(0).unwrap(), test.label(0)), (file, 9));
    // Fashion-MNIST's own mean and deviation are .2860 and .3530.
    let (mean, std) = mean_std(splits.train.as_ref(), 0).unwrap();
    assert!((mean[0] - 0.286).abs() < 0.005 && (std[2] - 0.353).abs() < 0.005, "{mean:?} {std:?}");
    let (some, _) = mean_std(splits.train.as_ref(), 500).unwrap();
    assert!((some[0] - mean[0]).abs() < 0.02 && mean_std(splits.train.as_ref(), 500).unwrap().0 == some);
}

#[test]
fn statistics_of_nothing_are_an_error_and_of_one_colour_usable() {
    let unreadable = Made { unreadable: vec![0], ..Made::new(1) };
    assert!(mean_std(&unreadable, 0).unwrap_err().to_string().contains("made unreadable"));
    assert!(mean_std(&Made::new(0), 0).unwrap_err().to_string().contains("empty"));
    let folder = tempfile::tempdir().unwrap();
    put_picture(folder.path().join("a/1.png"), 255);
    put_picture(folder.path().join("b/1.png"), 255);
    let data = open(folder.path(), &OpenOptions::default()).unwrap().train;
    let (mean, std) = mean_std(data.as_ref(), 0).unwrap();
    assert_eq!((mean, std), ([1.0, 127.0 / 255.0, 0.0], [1.0 / 255.0; 3]));
}
