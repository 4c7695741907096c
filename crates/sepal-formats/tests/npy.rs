//! NumPy arrays: fixtures that NumPy wrote (`fixtures/npy/make.py`), round trips, one test per way of lying.

use std::fs;
use std::path::PathBuf;

use sepal_formats::{FormatError, npy};
use sepal_graph::Tensor;
use sepal_testing::Filler;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/npy").join(format!("{name}.npy"))
}

fn ramp() -> Tensor {
    Tensor::new(vec![2, 3, 4], (0..24u8).map(f32::from).collect()).unwrap()
}

#[test]
fn every_type_that_numpy_writes() {
    for name in
        ["le_f2", "le_f4", "be_f4", "le_f8", "be_f8", "i1", "le_i2", "be_i4", "le_i8", "u1", "le_u2", "le_u4", "be_u8"]
    {
        let tensor = npy::read(fixture(name)).unwrap();
        assert_eq!(tensor.shape(), [2, 3], "{name}");
        assert_eq!(tensor.data(), [0.0, 1.0, 2.0, 100.0, 101.0, 127.0], "{name}");
    }
    assert_eq!(npy::read(fixture("b1")).unwrap().data(), [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
}

#[test]
fn both_orders_all_versions_and_small_ranks() {
    for name in ["c_order", "fortran", "version2", "version3"] {
        assert_eq!(npy::read(fixture(name)).unwrap(), ramp(), "{name}");
    }
    assert_eq!(npy::read(fixture("scalar")).unwrap(), Tensor::new(vec![], vec![2.5]).unwrap());
    assert_eq!(npy::read(fixture("vector")).unwrap(), Tensor::new(vec![2], vec![1.5, -2.5]).unwrap());
}

#[test]
fn written_as_numpy_writes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("y.npy");
    for name in ["c_order", "vector", "scalar"] {
        npy::write(&path, &npy::read(fixture(name)).unwrap()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), fs::read(fixture(name)).unwrap(), "{name}");
    }
}

#[test]
fn types_that_do_not_become_f32() {
    for (name, dtype) in [("complex", "<c16"), ("structured", "'a'")] {
        let error = npy::read(fixture(name)).unwrap_err();
        assert!(matches!(error, FormatError::NpyType { .. }) && error.to_string().contains(dtype), "{error}");
    }
}

#[test]
fn an_empty_array_is_refused() {
    let error = npy::read(fixture("empty")).unwrap_err();
    assert!(matches!(error, FormatError::Model { .. }) && error.to_string().contains("empty.npy"), "{error}");
}

#[test]
fn not_an_array() {
    for bytes in [&b""[..], b"\x93NUMP", b"\x93NUMPY\x01\x00\x00", b"0123456789abcdef"] {
        let error = npy::from_bytes(bytes, "x.npy").unwrap_err();
        assert!(matches!(error, FormatError::NotNpy { .. }), "{error}");
    }
}

#[test]
fn headers_that_lie() {
    let with = |version: [u8; 2], length: &[u8], text: &str, data: usize| {
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend(version);
        bytes.extend(length);
        bytes.extend(text.as_bytes());
        bytes.extend(vec![0; data]);
        npy::from_bytes(&bytes, "x.npy").unwrap_err()
    };
    let header = |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    let text = header("2,");
    let len = u8::try_from(text.len()).unwrap();
    for (error, part) in [
        (with([9, 0], &[len, 0], &text, 8), "version 9.0"),
        (with([1, 0], &[255, 255], &text, 8), "announces 65535 bytes"),
        (with([2, 0], &[255, 255, 255, 255], &text, 8), "announces 4294967295 bytes"),
        (with([1, 0], &[len - 1, 0], &text, 8), "byte"),
    ] {
        assert!(matches!(error, FormatError::NpyHeader { .. }) && error.to_string().contains(part), "{error}");
    }
    for shape in ["1,", "3,", "18446744073709551615, 2", "4611686018427387904, 4", "4611686018427387904,"] {
        let text = header(shape);
        let error = with([1, 0], &[u8::try_from(text.len()).unwrap(), 0], &text, 8);
        assert!(matches!(error, FormatError::NpyLength { actual: 8, .. }), "{error}");
    }
}

#[test]
fn mutations_are_errors_or_arrays_and_never_panic() {
    let mut rng = Filler::new(1);
    let mut next = move || rng.bits() as usize;
    let start = fs::read(fixture("fortran")).unwrap();
    for _ in 0..20_000 {
        let mut bytes = start.clone();
        for _ in 0..1 + next() % 3 {
            let at = next() % 128;
            bytes[at] = next() as u8;
        }
        if next() % 4 == 0 {
            bytes.truncate(next() % start.len());
        }
        let _ = npy::from_bytes(&bytes, "x.npy");
    }
}
