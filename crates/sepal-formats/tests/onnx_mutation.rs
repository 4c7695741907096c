//! Thousands of damaged ONNX files: an error or a model, never a panic, a hang or a flood of memory.

mod damage;
#[path = "onnx/models.rs"]
#[allow(dead_code, reason = "shared with the other ONNX tests, which need more of it")]
mod models;

use std::time::{Duration, Instant};

use prost::encoding::{decode_key, decode_varint, encode_varint};
use sepal_formats::onnx::{self, ExportOptions};
use sepal_testing::Filler;

use damage::{peak_kib, times};
use models::models;

fn files() -> Vec<Vec<u8>> {
    let mut files: Vec<Vec<u8>> =
        models().iter().map(|m| onnx::to_bytes(m, &ExportOptions::default()).unwrap()).collect();
    let others = ["upsample_9", "odd_11", "odd_18", "torch_13", "torch_17"];
    files.extend(
        others.map(|name| {
            std::fs::read(format!("{}/tests/fixtures/onnx/{name}.onnx", env!("CARGO_MANIFEST_DIR"))).unwrap()
        }),
    );
    files
}

/// The fields of a message, as tag, wire type, begin and end of the whole field.
fn fields(bytes: &[u8]) -> Vec<(u32, usize, usize, usize)> {
    let mut list = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let begin = bytes.len() - rest.len();
        let Ok((tag, wire)) = decode_key(&mut rest) else { break };
        let mut content = bytes.len() - rest.len();
        let skip = match wire as u8 {
            0 => decode_varint(&mut rest).map(|_| 0).ok(),
            1 => Some(8),
            2 => decode_varint(&mut rest).ok().map(|n| {
                content = bytes.len() - rest.len();
                n as usize
            }),
            5 => Some(4),
            _ => None,
        };
        let Some(after) = skip.and_then(|n| rest.get(n..)) else { break };
        rest = after;
        list.push((tag, begin, content, bytes.len() - rest.len()));
    }
    list
}

/// Changes one field of the message, or of one within it, and repairs the lengths around it, so that the damage is one
/// of meaning: numbers grow, names change, nodes and tensors are lost, doubled or swapped.
fn restructure(rng: &mut Filler, bytes: &[u8], depth: usize) -> Vec<u8> {
    let list = fields(bytes);
    let Some(&(tag, begin, content, end)) = list.get(rng.below(list.len().max(1))) else { return bytes.to_vec() };
    let (before, field, after) = (&bytes[..begin], &bytes[begin..end], &bytes[end..]);
    let length_delimited = bytes[begin] & 7 == 2;
    if length_delimited && depth < 5 && rng.below(8) > 0 {
        let inner = restructure(rng, &bytes[content..end], depth + 1);
        let mut out = before.to_vec();
        encode_varint(u64::from(tag) << 3 | 2, &mut out);
        encode_varint(inner.len() as u64, &mut out);
        return [&out, &inner[..], after].concat();
    }
    match rng.below(4) {
        0 => [before, after].concat(),
        1 => [before, field, field, after].concat(),
        2 => {
            let (_, b, _, e) = list[rng.below(list.len())];
            [before, &bytes[b..e], after].concat()
        }
        _ if bytes[begin] & 7 == 0 => {
            let mut out = before.to_vec();
            encode_varint(u64::from(tag) << 3, &mut out);
            encode_varint(rng.bits() >> rng.below(64), &mut out);
            [&out, after].concat()
        }
        _ => {
            let mut out = bytes.to_vec();
            if content < end {
                out[content + rng.below(end - content)] ^= 1 << rng.below(8);
            }
            out
        }
    }
}

fn mutate(rng: &mut Filler, start: &[u8]) -> Vec<u8> {
    let mut bytes = start.to_vec();
    for _ in 0..1 + rng.below(3) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.below(bytes.len());
        match rng.below(10) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = rng.below(256) as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..(at + 1 + rng.below(16)).min(bytes.len()))),
            _ => bytes = restructure(rng, &bytes, 0),
        }
    }
    bytes
}

#[test]
fn damaged_files_are_errors_or_models() {
    let files = files();
    let mut rng = Filler::new(7);
    let (mut errors, mut models, mut slowest) = (0, 0, Duration::ZERO);
    let count = 30_000 * times();
    for _ in 0..count {
        let file = &files[rng.below(files.len())];
        let bytes = mutate(&mut rng, file);
        let start = Instant::now();
        match onnx::from_bytes(bytes, "m") {
            Ok(_) => models += 1,
            Err(e) => {
                errors += 1;
                assert!(e.to_string().len() < 40_000, "a message is readable");
            }
        }
        slowest = slowest.max(start.elapsed());
    }
    assert!(errors > count / 3 && models > count / 50, "neither all fatal nor all harmless: {errors}, {models}");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    if let Some(peak) = peak_kib("VmHWM") {
        assert!(peak < 1 << 20, "{peak} KiB");
    }
}
