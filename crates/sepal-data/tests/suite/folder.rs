//! Image folders: layouts, mapping by name, splits, and folders that are none.

use std::path::Path;

use crate::common::{put, put_picture};
use sepal_data::{DataError, OpenOptions, class_counts, open, open_eval};

fn error(path: &Path) -> String {
    open(path, &OpenOptions::default()).unwrap_err().to_string()
}

#[test]
fn split_folders_are_mapped_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for class in ["ant", "bee", "cat", "10", "9", "Zebra"] {
        put_picture(at(&format!("train/{class}/1.png")), 1);
    }
    put_picture(at("train/bee/deeper/2.JPG"), 2);
    put(at("train/bee/notes.txt"), b"not a picture");
    put(at("train/.hidden/1.png"), b"");
    put(at("train/ant/._1.png"), b"");
    put_picture(at("train/stray.png"), 2);
    // Validation lacks classes in the middle: the others must not move up.
    put_picture(at("valid/cat/1.png"), 3);
    put_picture(at("valid/ant/1.png"), 4);
    std::fs::create_dir_all(at("valid/9")).unwrap();
    put_picture(at("test/Zebra/1.png"), 5);
    let splits = open(folder.path(), &OpenOptions::default()).unwrap();
    // Sorted by code point: digits before capitals before small letters, and not as numbers.
    assert_eq!(splits.classes, ["10", "9", "Zebra", "ant", "bee", "cat"]);
    assert_eq!(class_counts(splits.train.as_ref()), [1, 1, 1, 1, 2, 1]);
    let val = splits.val.unwrap();
    assert_eq!((0..val.len()).map(|i| val.label(i)).collect::<Vec<_>>(), [3, 5]);
    assert_eq!(splits.test.unwrap().label(0), 2);
    let notes = splits.notes.join("\n");
    for words in [
        "1 file(s) that are not pictures",
        "1 picture(s) outside",
        "no folder for class '10'",
        "no picture of class '9'",
    ] {
        assert!(notes.contains(words), "{words}: {notes}");
    }
    let picture = splits.train.decode(0).unwrap();
    assert_eq!((picture.width, picture.height, picture.pixels[0]), (6, 5, 1));
    assert!(splits.train.describe(0).ends_with("1.png"));
}

#[test]
fn a_class_that_training_does_not_know_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["train/a/1.png", "train/b/1.png", "val/a/1.png", "val/x/1.png", "val/y/1.png"] {
        put_picture(folder.path().join(name), 1);
    }
    let text = error(folder.path());
    assert!(text.contains("unknown classes 'x', 'y'") && text.contains("'a', 'b'") && text.contains("val"), "{text}");
}

#[test]
fn a_class_map_gives_the_indices() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["data/a/1.png", "data/b/1.png", "data/b/2.png"] {
        put_picture(folder.path().join(name), 1);
    }
    let map = folder.path().join("classes.txt");
    put(&map, b"b\r\nnever seen\r\na\r\n");
    let data = folder.path().join("data");
    let options = OpenOptions { class_map: Some(map.clone()), val_split: Some(0.0), ..OpenOptions::default() };
    let splits = open(&data, &options).unwrap();
    assert_eq!(splits.classes, ["b", "never seen", "a"]);
    assert_eq!(class_counts(splits.train.as_ref()), [2, 0, 1]);
    assert!(splits.notes[0].contains("'never seen'"));
    put(&map, b"b\n");
    assert!(matches!(open(&data, &options).unwrap_err(), DataError::UnknownClasses { .. }));
    let both = OpenOptions { classes: Some(vec!["a".into()]), ..options };
    assert!(open(&data, &both).unwrap_err().to_string().contains("class_map"));
}

#[test]
fn flat_folders_are_split_class_by_class() {
    let folder = tempfile::tempdir().unwrap();
    for (class, n) in [("a", 20), ("b", 5), ("c", 2), ("d", 1)] {
        for i in 0..n {
            put_picture(folder.path().join(format!("{class}/{i}.png")), i);
        }
    }
    let paths = |seed, val_split| {
        let splits = open(folder.path(), &OpenOptions { seed, val_split, ..OpenOptions::default() }).unwrap();
        let val = splits.val.unwrap();
        let list = |d: &dyn sepal_data::Dataset| (0..d.len()).map(|i| d.describe(i)).collect::<Vec<_>>();
        (
            class_counts(splits.train.as_ref()),
            class_counts(val.as_ref()),
            list(splits.train.as_ref()),
            list(val.as_ref()),
        )
    };
    let (train, val, train_paths, val_paths) = paths(0, None);
    // A fifth of each class, but one at least and never all.
    assert_eq!((train, val), (vec![16, 4, 1, 1], vec![4, 1, 1, 0]));
    let mut all = [train_paths.clone(), val_paths.clone()].concat();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 28);
    assert_eq!(paths(0, None).3, val_paths);
    assert_ne!(paths(1, None).3, val_paths);
    assert_eq!(paths(0, Some(0.5)).1, [10, 3, 1, 0]);
    let whole = open(folder.path(), &OpenOptions { val_split: Some(0.0), ..OpenOptions::default() }).unwrap();
    assert!(whole.val.is_none() && whole.train.len() == 28);
    for split in [-0.1, 1.0, f32::NAN] {
        let options = OpenOptions { val_split: Some(split), ..OpenOptions::default() };
        assert!(open(folder.path(), &options).unwrap_err().to_string().contains("val_split"));
    }
}

#[test]
fn evaluation_takes_the_test_set_and_the_models_classes() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["train/a/1.png", "train/b/1.png", "val/b/1.png"] {
        put_picture(folder.path().join(name), 1);
    }
    let classes = Some(vec!["x".to_string(), "b".into(), "a".into()]);
    let options = OpenOptions { classes, ..OpenOptions::default() };
    let label_and_name = |path: &Path, options: &OpenOptions| {
        let set = open_eval(path, options).unwrap();
        (set.dataset.label(0), set.dataset.len(), set.name)
    };
    assert_eq!(label_and_name(folder.path(), &options), (1, 1, "val"));
    put_picture(folder.path().join("test/a/1.png"), 1);
    assert_eq!(label_and_name(folder.path(), &options), (2, 1, "test"));
    assert_eq!(label_and_name(folder.path(), &OpenOptions::default()), (0, 1, "test"));
    assert_eq!(label_and_name(&folder.path().join("train"), &options), (2, 2, "all"));
    // A folder of held-out sets alone can be evaluated, not trained on.
    std::fs::remove_dir_all(folder.path().join("train")).unwrap();
    assert_eq!(label_and_name(folder.path(), &options), (2, 1, "test"));
    assert!(error(folder.path()).contains("no 'train'"));
}

#[test]
fn folders_that_are_no_data_set_say_what_would_be() {
    let folder = tempfile::tempdir().unwrap();
    let text = error(folder.path());
    assert!(text.contains("empty") && text.contains("DATA/CLASS/x.jpg") && text.contains("CIFAR"), "{text}");
    assert!(error(&folder.path().join("missing")).contains("missing"));
    put_picture(folder.path().join("1.png"), 1);
    assert!(error(folder.path()).contains("1 picture(s) lie directly in it"));
    assert!(error(&folder.path().join("1.png")).contains("a file where a folder is expected"));
    std::fs::create_dir_all(folder.path().join("train")).unwrap();
    assert!(error(folder.path()).contains("no class folder"));
}

#[test]
fn a_class_folder_without_pictures_is_named() {
    for layout in ["train/", ""] {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path().join(format!("{layout}a/readme.txt")), b"");
        let text = error(folder.path());
        assert!(text.contains("class 'a' holds no picture"), "{text}");
        put_picture(folder.path().join(format!("{layout}b/1.png")), 1);
        assert!(error(folder.path()).contains("class 'a' holds no picture"));
    }
}

#[test]
fn one_class_is_too_few_to_train() {
    let folder = tempfile::tempdir().unwrap();
    put_picture(folder.path().join("train/a/1.png"), 1);
    assert!(error(folder.path()).contains("1 class; a classifier needs at least 2"));
}

#[cfg(unix)]
#[test]
fn links_in_a_circle_end() {
    let folder = tempfile::tempdir().unwrap();
    put_picture(folder.path().join("a/1.png"), 1);
    put_picture(folder.path().join("b/1.png"), 1);
    std::os::unix::fs::symlink(folder.path().join("a"), folder.path().join("a/again")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("nowhere"), folder.path().join("a/2.png")).unwrap();
    let splits = open(folder.path(), &OpenOptions { val_split: Some(0.0), ..OpenOptions::default() }).unwrap();
    assert_eq!(class_counts(splits.train.as_ref()), [2, 1]);
    assert!(splits.train.decode(1).unwrap_err().to_string().contains("2.png"));
}
