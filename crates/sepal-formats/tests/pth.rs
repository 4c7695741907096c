//! PyTorch files that PyTorch wrote (`fixtures/pth/make.py`), in both layouts, and pickles that lie.

use sepal_formats::state::StateDict;
use sepal_formats::{FormatError, pth};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/fixtures/pth/{name}.pth", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn read(name: &str) -> StateDict {
    pth::from_bytes(&fixture(name), name).unwrap()
}

fn eighths(range: std::ops::Range<usize>) -> Vec<f32> {
    range.map(|i| i as f32 / 8.0).collect()
}

fn refuse(bytes: &[u8]) -> (FormatError, String) {
    let error = pth::from_bytes(bytes, "m.pth").unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("m.pth"), "{text}");
    (error, text)
}

#[test]
fn every_kind_of_tensor_in_every_layout() {
    for layout in ["state_zip", "state_legacy", "state_deflated"] {
        let state = read(layout);
        let at = |i: usize| i as f32 / 8.0;
        let expected: Vec<(&str, &str, &[usize], Vec<f32>)> = vec![
            ("plain.weight", "F32", &[2, 3], eighths(0..6)),
            ("half", "F16", &[4], eighths(0..4)),
            ("brain", "BF16", &[4], eighths(0..4)),
            ("double", "F64", &[4], eighths(0..4)),
            ("transposed", "F32", &[4, 6], (0..24).map(|i| at(i % 6 * 4 + i / 6)).collect()),
            ("strided", "F32", &[3, 2], [5, 6, 13, 14, 21, 22].map(at).to_vec()),
            ("expanded", "F32", &[3, 4], (0..12).map(|i| at(i / 4)).collect()),
            ("shared.a", "F32", &[12], eighths(100..112)),
            ("shared.b", "F32", &[2, 2], eighths(104..108)),
            ("scalar", "F32", &[], vec![2.5]),
            ("bool", "BOOL", &[2], vec![1.0, 0.0]),
            ("int", "I32", &[2], vec![-1.0, 7.0]),
            ("parameter", "F32", &[2], eighths(0..2)),
            ("bn.num_batches_tracked", "I64", &[], vec![3.0]),
        ];
        assert_eq!(state.tensors.len(), expected.len());
        for (named, (name, dtype, shape, data)) in state.tensors.iter().zip(expected) {
            assert_eq!((named.name.as_str(), named.dtype), (name, dtype), "{layout}");
            assert_eq!((named.tensor.shape(), named.tensor.data()), (shape, data.as_slice()), "{layout}: {name}");
        }
        let [(name, what)] = state.skipped.as_slice() else { panic!("{:?}", state.skipped) };
        assert!(name == "empty" && what.contains("[0, 3]"), "{what}");
    }
}

#[test]
fn wrappers_and_prefixes_are_removed_and_the_averaged_weights_preferred() {
    for layout in ["zip", "legacy"] {
        for (what, wrapper, add) in [("wrapped", "state_dict", 0.0), ("averaged", "state_dict_ema", 1.0)] {
            let state = read(&format!("{what}_{layout}"));
            assert_eq!(state.metadata["wrapper"], wrapper);
            let names: Vec<&str> = state.tensors.iter().map(|named| named.name.as_str()).collect();
            assert_eq!(names, ["a.weight", "a.bias"]);
            assert_eq!(state.get("a.bias").unwrap().data(), [1.25 + add, 1.375 + add]);
        }
    }
}

#[test]
fn a_module_saved_whole_is_its_state_dict() {
    let state = read("module_zip");
    let names: Vec<&str> = state.tensors.iter().map(|named| named.name.as_str()).collect();
    let block =
        ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"].map(|p| format!("block.0.{p}"));
    let mut expected = vec!["conv.weight", "conv.bias"];
    expected.extend(block.iter().map(String::as_str));
    assert_eq!(names, expected);
    assert_eq!(state.get("conv.weight").unwrap().shape(), [2, 1, 1, 1]);
    assert_eq!(state.get("conv.bias").unwrap().data(), [1.25, 1.375]);
}

#[test]
fn files_without_a_state_dict_say_what_they_hold() {
    for layout in ["zip", "legacy"] {
        let (error, text) = refuse(&fixture(&format!("none_{layout}")));
        assert!(matches!(error, FormatError::Pth { .. }), "{text}");
        assert!(text.contains("epoch, args") && text.contains("argparse.Namespace"), "{text}");
    }
    let (error, text) = refuse(&fixture("quantized_zip"));
    assert!(matches!(error, FormatError::Tensor { .. }) && text.contains("_rebuild_qtensor"), "{text}");
    assert!(refuse(&fixture("quantized_legacy")).1.contains("type that is not read"));
    assert!(refuse(&fixture("torchscript")).1.contains("TorchScript"));
    assert!(refuse(&fixture("bigendian")).1.contains("big-endian"));
    assert!(refuse(b"PK\x03\x04").1.contains("zip archive is damaged"));
    assert!(refuse(b"\x80\x02}q\x00.").1.contains("too few"));
    assert!(refuse(b"\x80\x02}q\x00.padded to be long enough").1.contains("not one that torch.save wrote"));
    assert!(refuse(b"hello").1.contains("neither as a zip archive nor as a pickle"));
}

#[test]
fn files_that_end_early() {
    let bytes = fixture("state_legacy");
    for len in 0..bytes.len() {
        refuse(&bytes[..len]);
    }
    let bytes = fixture("state_zip");
    for len in (0..bytes.len()).step_by(7) {
        refuse(&bytes[..len]);
    }
}

/// A file of the old layout whose object's pickle is `object`, with storage `k` of so many floats.
fn legacy(object: &[u8], floats: usize) -> Vec<u8> {
    let mut bytes = fixture("none_legacy");
    let magic_version_facts = bytes.windows(2).enumerate().filter(|(_, w)| w == b".\x80").nth(2).unwrap().0 + 1;
    bytes.truncate(magic_version_facts);
    bytes.extend(object);
    bytes.extend(b"\x80\x02]X\x01\x00\x00\x00ka.");
    bytes.extend((floats as u64).to_le_bytes());
    bytes.extend(vec![0; floats * 4]);
    bytes
}

/// A state dict with one tensor `t` in storage `k`, of this offset, size and stride.
fn one(offset: &[u8], size: &[u8], stride: &[u8]) -> Vec<u8> {
    let mut p = b"\x80\x02}X\x01\x00\x00\x00tctorch._utils\n_rebuild_tensor_v2\n".to_vec();
    p.extend(b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x00kX\x03\x00\x00\x00cpuK\x04tQ");
    for part in [offset, size, stride] {
        p.extend(part);
    }
    p.extend(b"\x89ccollections\nOrderedDict\n)RtRs.");
    p
}

#[test]
fn tensors_beyond_their_storage() {
    let state = pth::from_bytes(&legacy(&one(b"K\x00", b"K\x04\x85", b"K\x01\x85"), 4), "m").unwrap();
    assert_eq!(state.get("t").unwrap().shape(), [4]);
    let big = b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f";
    let pair = |a: &[u8], b: &[u8]| [a, b, b"\x86"].concat();
    for (offset, size, stride) in [
        (&b"K\x01"[..], b"K\x04\x85".to_vec(), b"K\x01\x85".to_vec()),
        (b"K\x00", b"K\x04\x85".to_vec(), b"K\x02\x85".to_vec()),
        (big, b"K\x04\x85".to_vec(), b"K\x01\x85".to_vec()),
        (b"K\x00", pair(big, big), pair(b"K\x01", b"K\x01")),
        (b"K\x00", pair(b"K\x02", b"K\x02"), pair(big, big)),
        (b"K\x00", pair(b"K\x02", b"K\x02"), b"K\x01\x85".to_vec()),
        (b"J\xff\xff\xff\xff", b"K\x04\x85".to_vec(), b"K\x01\x85".to_vec()),
        (b"K\x00", b"N".to_vec(), b"K\x01\x85".to_vec()),
    ] {
        let (error, text) = refuse(&legacy(&one(offset, &size, &stride), 4));
        assert!(matches!(error, FormatError::Tensor { .. } | FormatError::Pickle { .. }), "{text}");
    }
}

#[test]
fn views_that_repeat_an_element_are_bounded_by_the_file() {
    // 2³⁰ times one float: 4 GiB.
    let (_, text) = refuse(&legacy(&one(b"K\x00", b"J\x00\x00\x00\x40\x85", b"K\x00\x85"), 4));
    assert!(text.contains("far larger than the file"), "{text}");
}

#[test]
fn pickles_that_call_hang_or_swell_do_not() {
    // os.system is a name like any other, and its result no tensor.
    let called = std::env::temp_dir().join(format!("sepal-called-{}", std::process::id()));
    let command = format!("touch {}", called.display());
    let mut p = b"\x80\x02cos\nsystem\nX".to_vec();
    p.extend((command.len() as u32).to_le_bytes());
    p.extend(command.as_bytes());
    p.extend(b"\x85R.");
    let (_, text) = refuse(&legacy(&p, 4));
    assert!(text.contains("os.system") && !called.exists(), "{text}");

    for (object, reason) in [
        (&b"\x80\x02X\xff\xff\xff\xff."[..], "cut short"),
        (b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "cut short"),
        (b"\x80\x02\x8b\xff\xff\xff\xff.", "cut short"),
        (b"\x80\x02h\x07.", "memo 7"),
        (b"\x80\x02.", "empty stack"),
        (b"\x80\x02(K\x010.", "empty stack"),
        (b"\x80\x02u.", "mark"),
        (b"\x80\x02K\x01K\x02a.", "no list"),
        (b"\x80\x02}(K\x01u.", "no value"),
        (b"\x80\x02\x82\x01.", "opcode 0x82"),
        (b"\x80\x00.", "protocol 0"),
        (b"\x80\x02K\x01Q.", "persistent id"),
        // A list that holds itself.
        (b"\x80\x02]q\x00h\x00a.", "no state dict"),
        // A dictionary that wraps itself.
        (b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.", "no state dict"),
    ] {
        let (_, text) = refuse(&legacy(object, 4));
        assert!(text.contains(reason), "{object:?}: {text}");
    }
    let deep = [&b"\x80\x02N"[..], &b"\x85".repeat(500_000), b"."].concat();
    refuse(&legacy(&deep, 4));
    let long = [&b"\x80\x02"[..], &b"N".repeat(3 << 20), b"."].concat();
    assert!(refuse(&legacy(&long, 4)).1.contains("stacks more than"));
    // A long name, copied again and again.
    let name = [&b"X\x00\x10\x00\x00"[..], &b"a".repeat(4096), b"q\x00"].concat();
    let swell = [&b"\x80\x02"[..], &name, &b"h\x00h\x00\x930".repeat(100_000), b"."].concat();
    assert!(refuse(&legacy(&swell, 4)).1.contains("take more than"));
}
