//! Keras files that Keras and h5py wrote (`fixtures/keras/make.py`).

use sepal_formats::state::StateDict;
use sepal_formats::{FormatError, keras};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/fixtures/keras/{name}.h5", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn read(name: &str) -> StateDict {
    keras::from_bytes(&fixture(name), name).unwrap()
}

/// Name, shape here, shape in Keras, place of each Keras dimension here; in the order of the layers.
type Row = (&'static str, &'static [usize], &'static [usize], &'static [usize]);

const TENSORS: &[Row] = &[
    ("stem.weight", &[4, 3, 3, 3], &[3, 3, 3, 4], &[2, 3, 1, 0]),
    ("stem.bias", &[4], &[4], &[0]),
    ("stem_bn.weight", &[4], &[4], &[0]),
    ("stem_bn.bias", &[4], &[4], &[0]),
    ("stem_bn.running_mean", &[4], &[4], &[0]),
    ("stem_bn.running_var", &[4], &[4], &[0]),
    ("sep.depthwise.weight", &[4, 1, 3, 3], &[3, 3, 4, 1], &[2, 3, 0, 1]),
    ("sep.pointwise.weight", &[5, 4, 1, 1], &[1, 1, 4, 5], &[2, 3, 1, 0]),
    ("sep_bn.bias", &[5], &[5], &[0]),
    ("sep_bn.running_mean", &[5], &[5], &[0]),
    ("sep_bn.running_var", &[5], &[5], &[0]),
    ("conv_dw_1.weight", &[10, 1, 3, 3], &[3, 3, 5, 2], &[]),
    ("predictions.weight", &[2, 10], &[10, 2], &[1, 0]),
    ("predictions.bias", &[2], &[2], &[0]),
];

fn index(at: usize, shape: &[usize]) -> Vec<usize> {
    let mut at = at;
    let mut index: Vec<usize> = shape.iter().rev().map(|d| (at % d, at /= d).0).collect();
    index.reverse();
    index
}

fn offset(index: &[usize], shape: &[usize]) -> usize {
    index.iter().zip(shape).fold(0, |at, (i, d)| at * d + i)
}

#[test]
fn every_layout_gives_the_same_tensors() {
    for name in ["three.weights", "whole", "layers", "old"] {
        let state = read(name);
        assert_eq!(state.tensors.len(), TENSORS.len(), "{name}");
        for (place, (tensor, shape, stored, order)) in TENSORS.iter().enumerate() {
            let found = state.get(tensor).unwrap_or_else(|| panic!("{name} lacks {tensor}"));
            assert_eq!(found.shape(), *shape, "{name}: {tensor}");
            for (at, &value) in found.data().iter().enumerate() {
                let here = index(at, shape);
                let there: Vec<usize> = match order {
                    // Output channel i·2 + m is input i, multiplier m.
                    [] => vec![here[2], here[3], here[0] / 2, here[0] % 2],
                    order => order.iter().map(|&i| here[i]).collect(),
                };
                assert_eq!(value, (1000 * place + offset(&there, stored)) as f32, "{name}: {tensor} at {here:?}");
            }
        }
        assert_eq!(state.ordered, name != "three.weights");
        if state.ordered {
            let names: Vec<&str> = state.tensors.iter().map(|named| named.name.as_str()).collect();
            assert_eq!(names, TENSORS.iter().map(|row| row.0).collect::<Vec<_>>(), "{name}");
        }
    }
    assert_eq!(read("old").metadata["keras_version"], "2.1.1");
}

#[test]
fn files_that_are_no_weights() {
    for (bytes, reason) in [
        (b"".to_vec(), "HDF5"),
        (b"\x89HDF\r\n\x1a\n".to_vec(), "HDF5"),
        (b"PK\x03\x04".to_vec(), "archive"),
        (fixture("old")[..4000].to_vec(), "HDF5"),
    ] {
        let error = keras::from_bytes(&bytes, "m.h5").unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, FormatError::Keras { .. }), "{text}");
        assert!(text.starts_with("m.h5") && text.contains(reason), "{text}");
    }
}
