//! IDX files, honest and lying.

use crate::common::{gz, idx, put};
use proptest::prelude::*;
use sepal_data::{DataError, OpenOptions, open, open_eval};

const IMAGES: &str = "train-images-idx3-ubyte";
const LABELS: &str = "train-labels-idx1-ubyte";

/// Four 2×3 pictures.
fn images() -> Vec<u8> {
    idx(0x803, &[4, 2, 3], &(0..24).collect::<Vec<u8>>())
}

fn labels() -> Vec<u8> {
    idx(0x801, &[4], &[0, 1, 2, 1])
}

fn opened(files: &[(&str, Vec<u8>)]) -> Result<sepal_data::Splits, DataError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        put(folder.path().join(name), bytes);
    }
    open(folder.path(), &OpenOptions::default())
}

fn error(files: &[(&str, Vec<u8>)]) -> String {
    opened(files).unwrap_err().to_string()
}

#[test]
fn plain_and_gz_files_read_the_same() {
    let test = [("t10k-images.idx3-ubyte", images()), ("t10k-labels.idx1-ubyte", labels())];
    let plain = opened(&[(IMAGES, images()), (LABELS, labels()), test[0].clone(), test[1].clone()]).unwrap();
    let zipped =
        opened(&[("train-images-idx3-ubyte.gz", gz(&images())), ("train-labels-idx1-ubyte.gz", gz(&labels()))])
            .unwrap();
    assert_eq!(plain.kind, "IDX");
    assert_eq!(plain.classes, ["0", "1", "2"]);
    assert!(plain.val.is_none() && plain.test.unwrap().len() == 4 && zipped.test.is_none());
    for set in [plain.train, zipped.train] {
        assert_eq!(set.len(), 4);
        assert_eq!((0..4).map(|i| set.label(i)).collect::<Vec<_>>(), [0, 1, 2, 1]);
        let picture = set.decode(1).unwrap();
        assert_eq!((picture.width, picture.height), (3, 2));
        assert_eq!(picture.pixels[..6], [6, 6, 6, 7, 7, 7]);
        assert!(set.describe(3).ends_with("[3]"));
        assert!(set.decode(4).unwrap_err().to_string().contains("no such picture"));
    }
}

#[test]
fn class_names_come_from_a_list_and_bound_the_labels() {
    let named = opened(&[(IMAGES, images()), (LABELS, labels()), ("classes.txt", b"a\nb\nc\n".to_vec())]).unwrap();
    assert_eq!(named.classes, ["a", "b", "c"]);
    let text = error(&[(IMAGES, images()), (LABELS, labels()), ("classes.txt", b"a\nb\n".to_vec())]);
    assert!(text.contains("byte 10") && text.contains("label 2 of picture 2") && text.contains("below 2"), "{text}");
    let text = error(&[(IMAGES, images()), (LABELS, labels()), ("classes.txt", b"a\nb\na\n".to_vec())]);
    assert!(text.contains("line 3") && text.contains("second time"), "{text}");
    let text = error(&[(IMAGES, images()), (LABELS, labels()), ("classes.txt", b"a\n\nb\n".to_vec())]);
    assert!(text.contains("line 2"), "{text}");
    let text = error(&[(IMAGES, images()), (LABELS, labels()), ("classes.txt", b"\n".to_vec())]);
    assert!(text.contains("names no class"), "{text}");
}

#[test]
fn a_test_label_beyond_the_training_labels_is_an_error() {
    let text = error(&[
        (IMAGES, images()),
        (LABELS, labels()),
        ("t10k-images-idx3-ubyte", images()),
        ("t10k-labels-idx1-ubyte", idx(0x801, &[4], &[0, 1, 9, 1])),
    ]);
    assert!(text.contains("t10k-labels") && text.contains("label 9"), "{text}");
}

#[test]
fn every_lie_has_its_error() {
    let body: Vec<u8> = (0..24).collect();
    let lies: [(&str, Vec<u8>, &[&str]); 12] = [
        ("empty", vec![], &["0 bytes", "header alone has 16"]),
        ("cut header", images()[..9].to_vec(), &["9 bytes", "header alone"]),
        ("type", idx(0xd03, &[4, 2, 3], &body), &["byte 0", "00000d03", "00000803"]),
        ("dimensions", idx(0x801, &[24], &body), &["00000801", "3 dimension"]),
        ("not idx", b"hello, this is a text file".to_vec(), &["magic number 68656c6c"]),
        ("too short", idx(0x803, &[4, 2, 3], &body[..23]), &["23 bytes", "4×2×3 make 24"]),
        ("too long", idx(0x803, &[4, 2, 3], &[&body[..], &[0]].concat()), &["25 bytes", "make 24"]),
        ("count", idx(0x803, &[5, 2, 3], &body), &["24 bytes", "make 30"]),
        ("huge", idx(0x803, &[u32::MAX, u32::MAX, u32::MAX], &body), &["byte 4", "elements"]),
        ("large", idx(0x803, &[60_000, 300, 300], &body), &["24 bytes", "make 5400000000"]),
        ("no pixels", idx(0x803, &[4, 0, 3], &[]), &["byte 8", "height and width"]),
        ("no pictures", idx(0x803, &[0, 2, 3], &[]), &["0 pictures"]),
    ];
    for (what, bytes, words) in lies {
        let labels = if what == "no pictures" { idx(0x801, &[0], &[]) } else { labels() };
        for (name, bytes) in [(IMAGES, bytes.clone()), ("train-images-idx3-ubyte.gz", gz(&bytes))] {
            let text = error(&[(name, bytes), (LABELS, labels.clone())]);
            let zipped = name.ends_with("gz");
            for word in words {
                // A compressed file is read one byte beyond its announced length and no further.
                let word = if zipped && *word == "25 bytes" { "25 or more bytes" } else { word };
                assert!(text.contains(word) && text.contains(name), "{what}: {text}");
            }
        }
    }
}

#[test]
fn more_or_fewer_labels_than_pictures_is_an_error() {
    let text = error(&[(IMAGES, images()), (LABELS, idx(0x801, &[3], &[0, 1, 2]))]);
    assert!(text.contains("4 pictures") && text.contains("3 labels"), "{text}");
    let text = error(&[(IMAGES, images())]);
    assert!(text.contains("train-labels-… is not"), "{text}");
}

#[test]
fn damaged_gz_data_is_an_error() {
    let whole = gz(&images());
    for cut in [3, 12, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
        let text = error(&[("train-images-idx3-ubyte.gz", whole[..cut].to_vec()), (LABELS, labels())]);
        assert!(text.contains("train-images-idx3-ubyte.gz"), "{cut}: {text}");
    }
    let mut wrong_sum = whole.clone();
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 1;
    let text = error(&[("train-images-idx3-ubyte.gz", wrong_sum), (LABELS, labels())]);
    assert!(text.contains("gz"), "{text}");
}

#[test]
fn one_class_cannot_be_trained_but_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path().join(IMAGES), &images());
    put(folder.path().join(LABELS), &idx(0x801, &[4], &[0; 4]));
    let error = open(folder.path(), &OpenOptions::default()).unwrap_err();
    assert!(matches!(error, DataError::TooFewClasses { count: 1, .. }));
    let set = open_eval(folder.path(), &OpenOptions::default()).unwrap();
    assert_eq!((set.dataset.len(), set.name), (4, "train"));
}

proptest! {
    /// Whatever the bytes, an error or a data set whose every picture decodes; never a panic.
    #[test]
    fn no_bytes_panic(mut images in prop::collection::vec(any::<u8>(), 0..60), flips in prop::collection::vec((0usize..40, any::<u8>()), 0..4)) {
        let mut honest = self::images();
        for (at, byte) in flips {
            honest[at] = byte;
        }
        images.splice(0..0, [0, 0, 8, 3]);
        for bytes in [honest, images] {
            for bytes in [gz(&bytes), bytes] {
                if let Ok(splits) = opened(&[(IMAGES, bytes), (LABELS, labels())]) {
                    for i in 0..splits.train.len() {
                        prop_assert!(splits.train.decode(i).is_ok());
                    }
                }
            }
        }
    }
}
