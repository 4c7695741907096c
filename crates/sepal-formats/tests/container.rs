//! The tensor container: against the reference crate, and one test per way of lying.

mod common;

use std::collections::{BTreeMap, HashMap};

use common::container;
use safetensors::tensor::{Dtype, TensorView};
use sepal_formats::tensors::{self, Stored};
use sepal_formats::{FormatError, Result};

fn read(header: &str, data: &[u8]) -> Result<tensors::Contents> {
    tensors::from_bytes(&container(header, data), "m.safetensors")
}

fn lie(header: &str, data: &[u8]) -> (FormatError, String) {
    let error = read(header, data).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("m.safetensors"), "{text}");
    (error, text)
}

type List<'a> = &'a [(&'a str, &'a [usize], &'a [f32])];

fn metadata() -> BTreeMap<String, String> {
    BTreeMap::from([("step".into(), u64::MAX.to_string()), ("é\"\n".into(), "×".into())])
}

#[test]
fn round_trip_by_file_with_odd_shapes_and_values() {
    let big: Vec<f32> = (0..100_003).map(|i| i as f32 * 0.5).collect();
    let odd = [f32::NAN, f32::INFINITY, -0.0, f32::MIN_POSITIVE / 2.0];
    let list: Vec<(&str, &[usize], &[f32])> =
        vec![("z.flat", &[100_003], &big), ("a", &[2, 2], &odd), ("scalar", &[], &[3.0]), ("none", &[0, 7], &[])];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.safetensors");
    tensors::write(&path, &list, &metadata()).unwrap();
    let back = tensors::read(&path).unwrap();
    assert_eq!(back.metadata, metadata());
    assert_eq!(back.tensors.len(), list.len());
    for (name, shape, data) in list {
        let Stored { shape: s, data: d } = &back.tensors[name];
        assert_eq!(s, shape);
        assert!(d.iter().map(|v| v.to_bits()).eq(data.iter().map(|v| v.to_bits())), "{name}");
    }
}

#[test]
fn the_reference_crate_reads_what_is_written() {
    let list: List = &[("b", &[2, 1], &[1.0, 2.0]), ("a", &[1], &[3.0])];
    let mut bytes = Vec::new();
    tensors::to_writer(&mut bytes, list, &metadata()).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let read: BTreeMap<String, String> = header.metadata().clone().unwrap().into_iter().collect();
    assert_eq!(read, metadata());
    let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let b = theirs.tensor("b").unwrap();
    assert_eq!((b.dtype(), b.shape(), b.data()), (Dtype::F32, &[2, 1][..], &bytes[bytes.len() - 12..bytes.len() - 4]));
    let start = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert_eq!(start % 8, 0, "data is aligned");
}

#[test]
fn what_the_reference_crate_writes_is_read() {
    let floats: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let halves: Vec<u8> = [0x3c00u16, 0xc000].iter().flat_map(|v| v.to_le_bytes()).collect();
    let brains: Vec<u8> = [0x3f80u16, 0xc2f7].iter().flat_map(|v| v.to_le_bytes()).collect();
    let views = [
        ("full", TensorView::new(Dtype::F32, vec![2], &floats).unwrap()),
        ("half", TensorView::new(Dtype::F16, vec![1, 2], &halves).unwrap()),
        ("brain", TensorView::new(Dtype::BF16, vec![2, 1], &brains).unwrap()),
    ];
    let info = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = safetensors::serialize(views, Some(info)).unwrap();
    let back = tensors::from_bytes(&bytes, "m").unwrap();
    assert_eq!(back.metadata["format"], "pt");
    assert_eq!(back.tensors["full"], Stored { shape: vec![2], data: vec![1.5, -2.0] });
    assert_eq!(back.tensors["half"], Stored { shape: vec![1, 2], data: vec![1.0, -2.0] });
    assert_eq!(back.tensors["brain"], Stored { shape: vec![2, 1], data: vec![1.0, -123.5] });
}

#[test]
fn equal_content_is_equal_bytes() {
    let write = || {
        let mut bytes = Vec::new();
        let many: BTreeMap<String, String> = (0..50).map(|i| (format!("k{i}"), i.to_string())).collect();
        tensors::to_writer(&mut bytes, &[("a", &[1], &[1.0])], &many).unwrap();
        bytes
    };
    assert_eq!(write(), write());
}

#[test]
fn the_writer_refuses_what_could_not_be_read() {
    let none = BTreeMap::new();
    let rank: [usize; 9] = [1; 9];
    let cases: [(List, &str); 5] = [
        (&[("a", &[1], &[1.0]), ("a", &[1], &[1.0])], "taken"),
        (&[("__metadata__", &[1], &[1.0])], "taken"),
        (&[("a", &[2], &[1.0])], "has 1 values"),
        (&[("a", &[usize::MAX, 2], &[1.0])], "has 1 values"),
        (&[("a", &rank, &[1.0])], "shape"),
    ];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.safetensors");
    for (list, reason) in cases {
        let error = tensors::write(&path, list, &none).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, FormatError::Write { .. }) && text.contains(reason), "{text}");
        assert!(text.contains("x.safetensors") && !path.exists());
    }
}

#[test]
fn missing_file_and_folder() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().join("absent"), dir.path().to_owned()] {
        let error = tensors::read(&path).unwrap_err();
        assert!(matches!(error, FormatError::Read { .. }), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()));
    }
}

#[test]
fn too_short_for_a_length() {
    for bytes in [&b""[..], b"1234567"] {
        let error = tensors::from_bytes(bytes, "m").unwrap_err();
        assert!(matches!(error, FormatError::TooShort { len, .. } if len == bytes.len() as u64), "{error}");
    }
}

#[test]
fn header_longer_than_the_file() {
    for declared in [3u64, 1 << 40, u64::MAX] {
        let mut bytes = declared.to_le_bytes().to_vec();
        bytes.extend(b"{}");
        let error = tensors::from_bytes(&bytes, "m").unwrap_err();
        assert!(matches!(error, FormatError::HeaderLength { declared: d, len: 10, .. } if d == declared), "{error}");
    }
}

#[test]
fn header_beyond_the_limit() {
    // A sparse file: the length is real, the disk space is not.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sparse");
    std::fs::write(&path, (1u64 << 30).to_le_bytes()).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(8 + (1 << 30)).unwrap();
    let error = tensors::read(&path).unwrap_err();
    assert!(matches!(error, FormatError::HeaderTooLarge { .. }), "{error}");
}

#[test]
fn header_that_is_not_json() {
    for (header, offset, reason) in [
        ("", 8, "EOF"),
        ("[]", 8, "object of tensors"),
        ("{\"a\":1}", 13, "\"a\""),
        ("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 38, "integer `-1`"),
        ("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 39, "missing field `data_offsets`"),
        ("{\"__metadata__\":{\"k\":1}}", 29, "expected a string"),
        ("{\"__metadata__\":{},\"__metadata__\":{}}", 40, "there twice"),
        ("{}x", 10, "trailing"),
        ("{\n\"a\"\n:1}", 15, "invalid type"),
    ] {
        let (error, text) = lie(header, b"");
        let FormatError::Header { offset: at, .. } = error else { panic!("{text}") };
        assert!(at.abs_diff(offset) <= 1 && text.contains(reason), "{header}: {text}");
        assert!(!text.contains(" line "), "{text}");
    }
    let bytes = container("{\"\u{e9}\":", b"");
    let mut broken = bytes.clone();
    broken[10] = 0xff;
    let error = tensors::from_bytes(&broken, "m").unwrap_err();
    assert!(matches!(error, FormatError::Header { offset: 10, .. }), "{error}");
    let deep = "[".repeat(100_000);
    assert!(matches!(lie(&deep, b"").0, FormatError::Header { .. }));
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    assert!(matches!(lie(&deep, b"").0, FormatError::Header { .. }));
}

#[test]
fn a_name_twice() {
    let entry = "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}";
    let (error, text) = lie(&format!("{{{entry},{entry}}}"), &[0; 4]);
    assert!(matches!(error, FormatError::DuplicateTensor { .. }) && text.contains("`a`"), "{text}");
}

#[test]
fn an_unknown_type() {
    for dtype in ["F8_E5M2", "C64", "U4", "", "f32"] {
        let (error, text) =
            lie(&format!("{{\"a.b\":{{\"dtype\":\"{dtype}\",\"shape\":[1],\"data_offsets\":[0,4]}}}}"), &[0; 4]);
        assert!(matches!(error, FormatError::DType { .. }) && text.contains("`a.b`"), "{text}");
    }
}

#[test]
fn a_shape_that_does_not_fill_its_bytes() {
    for shape in ["2", "0", "1,2", "18446744073709551615,2", "4611686018427387905", "1,1,1,1,1,1,1,1,1"] {
        let (error, text) =
            lie(&format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":[{shape}],\"data_offsets\":[0,4]}}}}"), &[0; 4]);
        assert!(matches!(error, FormatError::ShapeBytes { bytes: 4, .. }) && text.contains("`a`"), "{text}");
    }
}

#[test]
fn offsets_with_gap_overlap_or_reversed() {
    for (begin, end) in [(4u64, 8u64), (1, 5), (8, 4), (u64::MAX, 4)] {
        let header = format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[{begin},{end}]}}}}");
        let (error, text) = lie(&header, &[0; 8]);
        assert!(matches!(error, FormatError::Offsets { expected: 0, .. }), "{text}");
    }
    let header = "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\
                  \"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}";
    let (error, text) = lie(header, &[0; 12]);
    assert!(matches!(error, FormatError::Offsets { expected: 8, .. }) && text.contains("`b`"), "{text}");
}

#[test]
fn cut_inside_a_tensor() {
    let header = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\
                  \"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}";
    let whole = container(header, &[0; 12]);
    tensors::from_bytes(&whole, "m").unwrap();
    for cut in 1..=8 {
        let error = tensors::from_bytes(&whole[..whole.len() - cut], "m").unwrap_err();
        let FormatError::CutShort { tensor, end, len, .. } = &error else { panic!("{error}") };
        assert_eq!((tensor.as_str(), *end, *len), ("b", whole.len() as u64, (whole.len() - cut) as u64));
        assert!(error.hint().is_some());
    }
    // Sizes that only the file's length can contradict: nothing of that size may be allocated.
    let huge = "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387903],\"data_offsets\":[0,18446744073709551612]}}";
    assert!(matches!(lie(huge, &[0; 4]).0, FormatError::CutShort { .. }));
}

#[test]
fn bytes_after_the_last_tensor() {
    let (error, text) = lie("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", &[0; 7]);
    assert!(matches!(error, FormatError::TrailingBytes { bytes: 3, offset: 66, .. }), "{text}");
}
