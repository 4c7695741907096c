//! CIFAR's binary files.

use crate::common::put;
use sepal_data::{DataError, OpenOptions, Splits, open};

fn record(labels: &[u8], tone: u8) -> Vec<u8> {
    let mut bytes = labels.to_vec();
    for plane in 0..3 {
        bytes.extend((0..1024).map(|i| tone + plane + u8::from(i == 1)));
    }
    bytes
}

fn opened(files: &[(&str, Vec<u8>)], options: &OpenOptions) -> Result<Splits, DataError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        put(folder.path().join(name), bytes);
    }
    open(folder.path(), options)
}

#[test]
fn cifar10_batches_are_one_set() {
    let files = [
        ("data_batch_1.bin", [record(&[3], 10), record(&[0], 20)].concat()),
        ("data_batch_2.bin", record(&[9], 30)),
        ("test_batch.bin", record(&[1], 40)),
        ("batches.meta.txt", b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n".to_vec()),
    ];
    let splits = opened(&files, &OpenOptions::default()).unwrap();
    assert_eq!((splits.kind, splits.classes[9].as_str()), ("CIFAR-10", "j"));
    assert!(splits.notes[0].contains("data_batch_3.bin"), "{:?}", splits.notes);
    let train = splits.train;
    assert_eq!((0..3).map(|i| train.label(i)).collect::<Vec<_>>(), [3, 0, 9]);
    assert!(train.describe(2).ends_with("data_batch_2.bin[0]"));
    let picture = train.decode(2).unwrap();
    assert_eq!((picture.width, picture.height), (32, 32));
    // Planes in the file, interleaved here.
    assert_eq!(picture.pixels[..6], [30, 31, 32, 31, 32, 33]);
    assert_eq!(splits.test.unwrap().label(0), 1);
    // In the folder that the archive unpacks to, and without names.
    let nested = [("cifar-10-batches-bin/data_batch_1.bin", record(&[3], 10))];
    assert_eq!(opened(&nested, &OpenOptions::default()).unwrap().classes[6], "frog");
}

#[test]
fn cifar100_takes_the_fine_label() {
    let files = [("train.bin", record(&[19, 99], 10)), ("test.bin", record(&[1, 7], 10))];
    let splits = opened(&files, &OpenOptions::default()).unwrap();
    assert_eq!((splits.kind, splits.classes.len(), splits.train.label(0)), ("CIFAR-100", 100, 99));
    assert_eq!(splits.test.unwrap().label(0), 7);
}

#[test]
fn a_part_can_be_held_out() {
    let train: Vec<u8> = (0..40).flat_map(|i| record(&[i % 10], i)).collect();
    let options = OpenOptions { val_split: Some(0.25), ..OpenOptions::default() };
    let splits = opened(&[("data_batch_1.bin", train)], &options).unwrap();
    let val = splits.val.unwrap();
    assert_eq!((splits.train.len(), val.len()), (30, 10));
    assert_eq!(sepal_data::class_counts(val.as_ref()), [1; 10]);
}

#[test]
fn every_lie_has_its_error() {
    let error =
        |bytes: Vec<u8>| opened(&[("data_batch_1.bin", bytes)], &OpenOptions::default()).unwrap_err().to_string();
    assert!(error(vec![]).contains("0 bytes"));
    let text = error(record(&[3], 10)[..3000].to_vec());
    assert!(text.contains("3000 bytes") && text.contains("3073"), "{text}");
    let text = error([record(&[3], 10), record(&[10], 10)].concat());
    assert!(
        text.contains("byte 3073") && text.contains("label 10 of picture 1") && text.contains("below 10"),
        "{text}"
    );
    let few = [("train.bin", record(&[0, 1], 0)), ("fine_label_names.txt", b"a\nb\n".to_vec())];
    let text = opened(&few, &OpenOptions::default()).unwrap_err().to_string();
    assert!(text.contains("2 class names") && text.contains("100 classes"), "{text}");
}
