//! The Visual Decathlon: a small one in exactly the challenge's layout, and what may be wrong with it.

use std::path::Path;

use crate::common::{encode, gradient, put, put_picture};
use image::ImageFormat;
use sepal_data::{DataError, OpenOptions, class_counts, decathlon_sets, open, open_eval};

/// An annotation file with the fields of the challenge's. Pictures are (id, file, category).
fn annotations(name: &str, categories: &[(u64, &str)], pictures: &[(u64, &str, Option<u64>)]) -> String {
    let images: Vec<_> = pictures
        .iter()
        .map(|(id, file, _)| format!(r#"{{"id": {id}, "width": 121, "height": 72, "file_name": "{file}"}}"#))
        .collect();
    let labels: Vec<_> = pictures
        .iter()
        .filter_map(|(id, _, category)| category.map(|c| (id, c)))
        .map(|(id, category)| {
            format!(
                r#"{{"id": {id}, "image_id": {id}, "category_id": {category}, "segmentation": [], "area": 0, "bbox": [],
                "iscrowd": 0}}"#
            )
        })
        .collect();
    let categories: Vec<_> = categories
        .iter()
        .map(|(id, class)| format!(r#"{{"id": {id}, "name": "{class}", "supercategory": "{name}"}}"#))
        .collect();
    format!(
        r#"{{"info": {{"year": 2017, "version": 1, "description": "Decathlon", "contributor": "misc", "url": "",
        "date_created": "02-Jun-2017 20:36:12"}}, "images": [{}], "annotations": [{}], "categories": [{}],
        "licenses": [{{"id": 1, "name": "decathlon", "url": ""}}]}}"#,
        images.join(", "),
        labels.join(", "),
        categories.join(", ")
    )
}

fn names(categories: &[(u64, &str)]) -> Vec<String> {
    categories.iter().map(|(_, name)| (*name).to_owned()).collect()
}

const AIRCRAFT: &[(u64, &str)] = &[(10000001, "707-320"), (10000002, "727-200"), (10000003, "737-200")];
const TRAIN: &[(u64, &str, Option<u64>)] = &[
    (10200001, "data/aircraft/train/0002/000001.jpg", Some(10000002)),
    (10200002, "data/aircraft/train/0001/000001.jpg", Some(10000001)),
    (10200003, "data/aircraft/train/0003/000001.jpg", Some(10000003)),
    (10200004, "data/aircraft/train/0003/000002.jpg", Some(10000003)),
];
const VAL: &[(u64, &str, Option<u64>)] = &[(10200005, "data/aircraft/val/0003/000001.jpg", Some(10000003))];

/// Two of the ten data sets.
fn challenge(root: &Path) {
    let test = [(10206668, "data/aircraft/test/000001.jpg", None)];
    for (file, _, _) in [TRAIN, VAL, &test].iter().flat_map(|set| set.iter()).map(|(id, file, c)| (file, id, c)) {
        put(root.join(file), &encode(&gradient(121, 72), ImageFormat::Jpeg));
    }
    let at = |name: &str| root.join("annotations").join(name);
    put(at("aircraft_train.json"), annotations("aircraft", AIRCRAFT, TRAIN).as_bytes());
    put(at("aircraft_val.json"), annotations("aircraft", AIRCRAFT, VAL).as_bytes());
    put(at("aircraft_test_stripped.json"), annotations("aircraft", AIRCRAFT, &test).as_bytes());
    let (ped, classes) = ("data/daimlerpedcls/train/0001/1.png", &[(30000001, "nonped"), (30000002, "ped")]);
    put_picture(root.join(ped), 1);
    put(at("daimlerpedcls_train.json"), annotations("d", classes, &[(1, ped, Some(30000002))]).as_bytes());
}

#[test]
fn one_data_set_of_the_challenge() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("decathlon-1.0");
    challenge(&root);
    let aircraft = root.join("data/aircraft");
    let splits = open(&aircraft, &OpenOptions::default()).unwrap();
    assert_eq!((splits.kind, splits.classes.as_slice()), ("Visual Decathlon", &names(AIRCRAFT)[..]));
    assert_eq!(class_counts(splits.train.as_ref()), [1, 1, 2]);
    assert_eq!((splits.train.label(0), splits.train.label(1)), (1, 0));
    let picture = splits.train.decode(0).unwrap();
    assert_eq!((picture.width, picture.height), (121, 72));
    assert_eq!(splits.val.unwrap().label(0), 2);
    // The challenge keeps the test labels.
    assert!(splits.test.is_none() && splits.notes[0].contains("1 pictures without labels"), "{:?}", splits.notes);
    let eval = open_eval(&aircraft, &OpenOptions::default()).unwrap();
    assert_eq!((eval.name, eval.dataset.len()), ("val", 1));

    let labelled = [(10206668, "data/aircraft/test/000001.jpg", Some(10000002))];
    put(root.join("annotations/aircraft_test.json"), annotations("aircraft", AIRCRAFT, &labelled).as_bytes());
    let eval = open_eval(&aircraft, &OpenOptions::default()).unwrap();
    assert_eq!((eval.name, eval.dataset.label(0)), ("test", 1));
    // A trained model's order of classes.
    let classes: Vec<_> = names(AIRCRAFT).into_iter().rev().collect();
    let eval = open_eval(&aircraft, &OpenOptions { classes: Some(classes), ..OpenOptions::default() }).unwrap();
    assert_eq!(eval.dataset.label(0), 1);
    let few = OpenOptions { classes: Some(vec!["707-320".into()]), ..OpenOptions::default() };
    assert!(matches!(open(&aircraft, &few), Err(DataError::UnknownClasses { .. })));
}

#[test]
fn the_whole_challenge_names_its_data_sets() {
    let folder = tempfile::tempdir().unwrap();
    challenge(&folder.path().join("decathlon-1.0"));
    for path in [folder.path().to_path_buf(), folder.path().join("decathlon-1.0")] {
        let sets = decathlon_sets(&path).unwrap();
        assert_eq!(sets.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["aircraft", "daimlerpedcls"]);
        assert_eq!(open(&sets[1].1, &OpenOptions::default()).unwrap().classes, ["nonped", "ped"]);
        let error = open(&path, &OpenOptions::default()).unwrap_err().to_string();
        assert!(error.contains("2 data sets") && error.contains("data/daimlerpedcls"), "{error}");
    }
    std::fs::remove_file(folder.path().join("decathlon-1.0/annotations/daimlerpedcls_train.json")).unwrap();
    assert_eq!(open(folder.path(), &OpenOptions::default()).unwrap().train.len(), 4);
    assert!(decathlon_sets(&folder.path().join("decathlon-1.0/data")).unwrap().is_empty());
}

#[test]
fn errors_say_where_and_why() {
    let folder = tempfile::tempdir().unwrap();
    challenge(folder.path());
    let file = folder.path().join("annotations/aircraft_train.json");
    let data = folder.path().join("data/aircraft");
    let with = |index: usize, picture| {
        let mut pictures = TRAIN.to_vec();
        pictures[index] = picture;
        annotations("aircraft", AIRCRAFT, &pictures)
    };
    let good = annotations("aircraft", AIRCRAFT, TRAIN);
    let second = [(10000001, "a"), (10000001, "b")];
    let same = [(10000001, "a"), (10000002, "a")];
    for (text, words) in [
        ("[".repeat(1 << 20), &["line 1, column"][..]),
        (good[..good.len() / 2].into(), &["line", "column"]),
        (good.replace("\"images\"", "\"pictures\""), &["images"]),
        (good.replace("10200002,", "-3,"), &["line", "column", "-3"]),
        (with(1, (7, "../../etc/x.jpg", Some(10000001))), &["images[1]", "'../../etc/x.jpg'", "inside"]),
        (with(2, (7, "/etc/x.jpg", Some(10000001))), &["images[2]", "inside"]),
        (with(0, (7, "data/aircraft/train/passwd", Some(10000001))), &["images[0]", "picture"]),
        (with(3, (10200001, "data/a.jpg", Some(10000002))), &["images[3]", "10200001", "second time"]),
        (with(3, (8, "data/a.jpg", Some(77))), &["annotations[3]", "category 77"]),
        (with(3, (8, "data/a.jpg", None)), &["images[3]", "picture 8", "no annotation"]),
        (with(0, (8, "data/a.jpg", Some(10000001))), &["images[0]", "data/a.jpg", "aircraft.tar"]),
        (good.replace("\"image_id\": 10200002", "\"image_id\": 10200001"), &["annotations[1]", "second class"]),
        (annotations("aircraft", AIRCRAFT, &[]), &["images", "empty"]),
        (annotations("aircraft", &second, TRAIN), &["categories[1]", "10000001"]),
        (annotations("aircraft", &same, TRAIN), &["categories[1]", "'a'"]),
    ] {
        put(&file, text.as_bytes());
        let error = open(&data, &OpenOptions::default()).unwrap_err().to_string();
        for word in words.iter().chain(&["aircraft_train.json"]) {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}
