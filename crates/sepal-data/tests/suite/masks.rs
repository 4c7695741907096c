//! Pictures with masks: layouts, lists of classes, what is wrong with them, scenes, batches.

use std::path::Path;
use std::sync::Arc;

use image::{ImageFormat, Rgb, RgbImage};
use sepal_data::{
    Augment, DataError, Dataset, IGNORE, IGNORED, LabelMap, Limits, Loader, LoaderOptions, MaskClasses, OpenOptions,
    Picture, Pipeline, Policy, Preprocess, ResizeMode, ScaleCrop, Scenes, check, class_weights, decode_pair,
    encode_labels, open, open_eval, order, pixel_counts, read_mask, write_scenes,
};

use crate::common::{encode, put};

const COLORS: [[u8; 3]; 3] = [[10, 20, 30], [200, 0, 0], [0, 200, 0]];

fn map(width: u32, height: u32, labels: &[u8]) -> LabelMap {
    LabelMap::new(width, height, labels.to_vec()).unwrap()
}

/// A picture whose red is the label times 40, and its mask.
fn put_pair(data: &Path, set: &str, name: &str, mask: &LabelMap) {
    let picture = RgbImage::from_fn(mask.width, mask.height, |x, y| {
        Rgb([mask.labels[(y * mask.width + x) as usize].wrapping_mul(40), 0, 0])
    });
    put(data.join("images").join(set).join(format!("{name}.png")), &encode(&picture, ImageFormat::Png));
    put(data.join("masks").join(set).join(format!("{name}.png")), &encode_labels(mask, &COLORS).unwrap());
}

fn grey(values: &[u8], width: u32, depth: png::BitDepth, color: png::ColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    let channels = if color == png::ColorType::Rgb { 3 } else { 1 };
    let bits = depth as usize;
    let height = (values.len() * 8 / bits / channels) as u32 / width;
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder.write_header().unwrap().write_image_data(values).unwrap();
    bytes
}

fn opened(data: &Path) -> sepal_data::Splits {
    open(data, &OpenOptions::default()).unwrap()
}

fn mask_of(set: &dyn Dataset, index: usize) -> Vec<u8> {
    let mut mask = LabelMap::default();
    set.decode_mask_into(index, &mut mask).unwrap();
    mask.labels
}

#[test]
fn sets_come_from_folders_from_lists_or_are_held_out() {
    let dir = tempfile::tempdir().unwrap();
    let mask = map(4, 2, &[0, 1, 2, 255, 2, 2, 1, 0]);
    for (set, name) in [("train", "a"), ("train", "b"), ("val", "c")] {
        put_pair(dir.path(), set, name, &mask);
    }
    let data = opened(dir.path());
    assert_eq!((data.train.len(), data.val.as_ref().unwrap().len(), data.test.is_none()), (2, 1, true));
    // Without a list of classes they are the values that are there.
    assert_eq!(data.classes, ["0", "1", "2"]);
    assert_eq!(mask_of(data.train.as_ref(), 1), mask.labels);
    let set = open_eval(dir.path(), &OpenOptions::default()).unwrap();
    assert_eq!((set.name, set.dataset.len()), ("val", 1));

    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c", "d", "e"] {
        put_pair(dir.path(), "", name, &mask);
    }
    let data = opened(dir.path());
    assert_eq!((data.train.len(), data.val.as_ref().unwrap().len()), (4, 1));
    put(dir.path().join("train.txt"), b"a\nimages/b.png masks/b.png\n\nc\n");
    put(dir.path().join("val.txt"), b"/somewhere/else/d.png\n");
    let data = opened(dir.path());
    assert_eq!((data.train.len(), data.val.as_ref().unwrap().len()), (3, 1));
    assert!(data.train.describe(1).ends_with("b.png") && data.val.unwrap().describe(0).ends_with("d.png"));
    put(dir.path().join("test.txt"), b"nobody\n");
    let text = open(dir.path(), &OpenOptions::default()).unwrap_err().to_string();
    assert!(text.contains("test.txt, line 1") && text.contains("nobody"), "{text}");
}

#[test]
fn lists_name_values_and_colours_and_a_model_reorders_them() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    put(at("classes.toml"), b"ignore = [0, [9, 9, 9]]\n[[class]]\nname = \"road\"\nvalue = 7\ncolor = [1, 2, 3]\n[[class]]\nname = \"sky\"\n");
    put(at("classes.csv"), b"name,r,g,b\nsky,0,0,255\nroad,1,2,3\nVoid,0,0,0\n");
    let (toml, csv) = (MaskClasses::read(&at("classes.toml")).unwrap(), MaskClasses::read(&at("classes.csv")).unwrap());
    assert_eq!((toml.names(), toml.colors()[0]), (&["road".to_owned(), "sky".to_owned()][..], [1, 2, 3]));
    let read = |bytes: &[u8], classes: &MaskClasses| {
        put(at("m.png"), bytes);
        read_mask(&at("m.png"), classes, &Limits::default()).map(|map| map.labels)
    };
    // Grey of eight bits, of two, RGB.
    assert_eq!(
        read(&grey(&[7, 1, 0, 255], 2, png::BitDepth::Eight, png::ColorType::Grayscale), &toml).unwrap(),
        [0, 1, 255, 255]
    );
    assert_eq!(
        read(&grey(&[0b0100_0101], 4, png::BitDepth::Two, png::ColorType::Grayscale), &toml).unwrap(),
        [1, 255, 1, 1]
    );
    let rgb = |pixels: &[u8]| grey(pixels, 2, png::BitDepth::Eight, png::ColorType::Rgb);
    assert_eq!(read(&rgb(&[0, 0, 255, 0, 0, 0]), &csv).unwrap(), [0, 255]);
    let known = csv.mapped(&["road".to_owned(), "sea".to_owned(), "sky".to_owned()], Path::new("d")).unwrap();
    assert_eq!(read(&rgb(&[0, 0, 255, 1, 2, 3]), &known).unwrap(), [2, 0]);
    assert!(csv.mapped(&["road".to_owned()], Path::new("d")).unwrap_err().to_string().contains("'sky'"));

    let text = read(&rgb(&[0, 0, 255, 5, 5, 5]), &csv).unwrap_err().to_string();
    assert!(text.contains("m.png: the colour 5, 5, 5 at column 1, row 0"), "{text}");
    let value = grey(&[7, 1, 3, 0], 2, png::BitDepth::Eight, png::ColorType::Grayscale);
    let text = read(&value, &toml).unwrap_err().to_string();
    assert!(text.contains("the value 3 at column 0, row 1") && text.contains("known"), "{text}");
    assert!(read(b"nothing", &toml).unwrap_err().to_string().contains("masks are PNG"));
    let cut = &value[..value.len() - 20];
    assert!(matches!(read(cut, &toml), Err(DataError::Picture { .. })));

    for (text, problem) in [
        ("class = []", "0 classes"),
        ("[[class]]\nname=\"a\"\n[[class]]\nname=\"a\"", "second time"),
        ("[[class]]\nname=\"a\"\nvalue=1\n[[class]]\nname=\"b\"", "the value 1"),
        ("ignore=0\n[[class]]\nname=\"a\"", "ignored"),
        ("[[class]]\nname=\"a\"\ncolour=3", "colour"),
    ] {
        put(at("classes.toml"), text.as_bytes());
        let text = MaskClasses::read(&at("classes.toml")).unwrap_err().to_string();
        assert!(text.contains("classes.toml") && text.contains(problem), "{text}");
    }
    put(at("classes.csv"), b"name,r,g,b\nsky,0,0,256\n");
    assert!(MaskClasses::read(&at("classes.csv")).unwrap_err().to_string().contains("line 2: '256'"));
}

#[test]
fn what_is_wrong_with_a_pair_is_said() {
    let dir = tempfile::tempdir().unwrap();
    put_pair(dir.path(), "train", "a", &map(2, 2, &[0, 1, 1, 0]));
    put_pair(dir.path(), "train", "b", &map(2, 2, &[0, 1, 1, 1]));
    put(dir.path().join("masks/train/a.png"), &encode_labels(&map(3, 1, &[0, 1, 1]), &COLORS).unwrap());
    let data = opened(dir.path());
    let (mut picture, mut mask) = (Picture::default(), LabelMap::default());
    let error = decode_pair(data.train.as_ref(), 0, &mut picture, &mut mask).unwrap_err();
    assert!(matches!(error, DataError::MaskSize { picture: [2, 2], mask: [3, 1], .. }), "{error}");
    let report = check(data.train.as_ref(), |_| {});
    assert_eq!((report.bad.len(), report.class_counts, report.ignored), (1, vec![1, 3], Some(0)));
    assert_eq!(report.bad[0].cause, "the picture has 2×2 pixels, its mask 3×1");

    std::fs::remove_file(dir.path().join("masks/train/b.png")).unwrap();
    let text = open(dir.path(), &OpenOptions::default()).unwrap_err().to_string();
    assert!(text.contains("images/train/b.png: there is no mask") && text.contains("masks/train/b.png"), "{text}");
    std::fs::remove_dir_all(dir.path().join("masks")).unwrap();
    assert!(open(dir.path(), &OpenOptions::default()).unwrap_err().to_string().contains("no 'masks'"));

    let dir = tempfile::tempdir().unwrap();
    put_pair(dir.path(), "train", "a", &map(2, 1, &[255, 255]));
    assert!(matches!(open(dir.path(), &OpenOptions::default()), Err(DataError::AllIgnored)));
    put(dir.path().join("classes.toml"), b"[[class]]\nname = \"a\"\n[[class]]\nname = \"b\"\n");
    let data = opened(dir.path());
    assert_eq!(check(data.train.as_ref(), |_| {}).empty.len(), 1);
    let (counts, ignored) = pixel_counts(data.train.as_ref(), |_| {});
    assert_eq!((&counts[..], ignored), (&[0, 0][..], 2));
    assert!(matches!(class_weights(&counts, 1.1), Err(DataError::AllIgnored)));
}

#[test]
fn cityscapes_and_camvid_bring_their_classes() {
    let dir = tempfile::tempdir().unwrap();
    let picture = encode(&RgbImage::new(2, 1), ImageFormat::Png);
    let value = |values: &[u8]| grey(values, 2, png::BitDepth::Eight, png::ColorType::Grayscale);
    for set in ["train", "val"] {
        put(dir.path().join(format!("leftImg8bit/{set}/aachen/a_1_leftImg8bit.png")), &picture);
        put(dir.path().join(format!("gtFine/{set}/aachen/a_1_gtFine_labelIds.png")), &value(&[7, 4]));
        put(dir.path().join(format!("gtFine/{set}/aachen/a_1_gtFine_color.png")), &picture);
    }
    let data = opened(dir.path());
    assert_eq!((data.kind, data.classes.len(), data.classes[18].as_str()), ("Cityscapes", 19, "bicycle"));
    assert_eq!(mask_of(data.val.unwrap().as_ref(), 0), [0, 255]);
    for set in ["train", "val"] {
        put(dir.path().join(format!("gtFine/{set}/aachen/a_1_gtFine_labelTrainIds.png")), &value(&[18, 255]));
    }
    assert_eq!(mask_of(opened(dir.path()).train.as_ref(), 0), [18, 255]);

    let dir = tempfile::tempdir().unwrap();
    put(dir.path().join("train/a.png"), &picture);
    put(dir.path().join("trainannot/a.png"), &value(&[10, 11]));
    let data = opened(dir.path());
    assert_eq!((data.kind, data.classes.len(), data.val.is_none()), ("CamVid", 11, true));
    assert_eq!(mask_of(data.train.as_ref(), 0), [10, IGNORE]);
}

#[test]
fn masks_follow_their_pictures_through_every_augmentation() {
    let dir = tempfile::tempdir().unwrap();
    // Patches of three columns and rows, so that a resized picture has whole pixels of each.
    let labels: Vec<u8> = (0..48 * 36).map(|at: usize| ((at % 48 / 6 + at / 48 / 6) % 5) as u8).collect();
    put_pair(dir.path(), "train", "a", &map(48, 36, &labels));
    let data = opened(dir.path());
    let view = Preprocess {
        size: [32, 32],
        resize: ResizeMode::Keep,
        filter: sepal_data::Filter::Nearest,
        mean: [0.0; 3],
        std: [1.0; 3],
        bgr: false,
    };
    let augments = [
        Augment::default(),
        Augment { hflip: 1.0, crop_padding: Some(9), ..Augment::default() },
        Augment { scale_crop: Some(ScaleCrop { scale: [0.5, 2.0] }), hflip: 0.5, ..Augment::default() },
        Augment { random_resized_crop: Some(Default::default()), ..Augment::default() },
    ];
    for augment in augments {
        let mut beyond = 0;
        for epoch in 0..40 {
            let options = LoaderOptions { batch_size: 1, workers: 0, epoch, strict: true, ..LoaderOptions::default() };
            let pipeline = Pipeline::train(view, &augment).unwrap();
            let batch = Loader::new(Arc::clone(&data.train), order(1, 0, 0), pipeline, options)
                .unwrap()
                .next()
                .unwrap()
                .unwrap();
            assert_eq!((batch.len(), batch.labels.len(), batch.images.len()), (1, 1024, 3072));
            for (red, &label) in batch.images[..1024].iter().zip(&batch.labels) {
                beyond += usize::from(label == IGNORED);
                let expected = if label == IGNORED { 0.0 } else { label as f32 * 40.0 };
                assert!((red * 255.0 - expected).abs() < 0.6, "{augment:?}: {} for label {label}", red * 255.0);
            }
        }
        let leaves = augment.scale_crop.is_some() || augment.crop_padding.is_some();
        assert_eq!(beyond > 0, leaves, "{augment:?}");
    }
    // Operations that change colours leave masks alone; those that move pixels move both.
    let pipeline = Pipeline::train(view, &Augment { policy: Policy::named("rand"), ..Augment::default() }).unwrap();
    let mut moved = 0;
    for epoch in 0..60 {
        let mut labels = vec![0; 1024];
        pipeline
            .apply_mask(&map(48, 36, &vec![1; 48 * 36]), (0, epoch, 0), &mut Default::default(), &mut labels)
            .unwrap();
        assert!(labels.iter().all(|&label| label == 1 || label == IGNORED));
        moved += usize::from(labels.contains(&IGNORED));
    }
    assert!((15..50).contains(&moved), "{moved}");
}

#[test]
fn small_and_odd_pictures_fit_into_any_input() {
    let view = Preprocess { size: [8, 8], resize: ResizeMode::Keep, ..Preprocess::default() };
    let pipeline = Pipeline::eval(view).unwrap();
    let mut labels = vec![0; 64];
    pipeline.apply_mask(&map(1, 1, &[3]), (0, 0, 0), &mut Default::default(), &mut labels).unwrap();
    assert_eq!(labels.iter().filter(|&&label| label == 3).count(), 1);
    assert_eq!(labels.iter().filter(|&&label| label == IGNORED).count(), 63);
    let mix = Augment { mix: Some(Default::default()), ..Augment::default() };
    let [scenes, _] = Scenes::splits(5, 16, 0).unwrap();
    let mixed =
        Loader::new(Arc::new(scenes), order(4, 0, 0), Pipeline::train(view, &mix).unwrap(), LoaderOptions::default());
    assert!(mixed.err().unwrap().to_string().contains("not mixed"));
}

#[test]
fn scenes_are_the_same_every_time_and_read_back_exactly() {
    let dir = tempfile::tempdir().unwrap();
    write_scenes(dir.path(), 10, 33, 7, |_| {}).unwrap();
    let data = opened(dir.path());
    assert_eq!((data.train.len(), data.val.as_ref().unwrap().len(), data.classes.len()), (8, 2, 11));
    let [train, _] = Scenes::splits(10, 33, 7).unwrap();
    let (mut picture, mut mask) = (Picture::default(), LabelMap::default());
    for index in 0..8 {
        decode_pair(data.train.as_ref(), index, &mut picture, &mut mask).unwrap();
        assert_eq!(train.decode(index).unwrap(), picture);
        assert_eq!(mask_of(&train, index), mask.labels);
    }
    let (counts, ignored) = pixel_counts(&Scenes::splits(100, 64, 1).unwrap()[0], |_| {});
    assert!(ignored == 0 && counts.iter().all(|&count| count > 1000), "{counts:?}");
    let weights = class_weights(&counts, 1.1).unwrap();
    assert!(weights[0] < 3.0 && weights[1..].iter().all(|&weight| (4.0..10.5).contains(&weight)), "{weights:?}");
    assert!(
        Scenes::splits(1, 33, 0).is_err() && Scenes::splits(10, 8, 0).is_err() && Scenes::splits(10, 9000, 0).is_err()
    );
}
