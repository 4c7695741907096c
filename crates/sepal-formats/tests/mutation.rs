//! Thousands of damaged model files: an error or a model, never a panic, and no allocation that the file does not back.

mod common;
mod damage;

use common::model;
use damage::{peak_kib, times};
use sepal_formats::Result;
use sepal_formats::bundle::{Bundle, Record};
use sepal_formats::native::{self, ReadOptions};
use sepal_graph::Protocol;
use sepal_testing::Filler;

fn mutate(rng: &mut Filler, start: &[u8], header: usize) -> Vec<u8> {
    let mut bytes = start.to_vec();
    for _ in 0..1 + rng.below(3) {
        // The header is where the damage can be clever.
        let at = if rng.below(8) == 0 { rng.below(bytes.len()) } else { rng.below(header.min(bytes.len())) };
        match rng.below(6) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = rng.below(256) as u8,
            2 => bytes.truncate(at.max(1)),
            3 => grow_number(rng, &mut bytes, at),
            4 => drop(bytes.drain(at..(at + 1 + rng.below(16)).min(bytes.len()))),
            _ => {
                let end = (at + 1 + rng.below(64)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    // Half the files get a header length that is right again, so that the damage is found by what comes after.
    if rng.below(2) == 0 && bytes.len() >= start.len() / 2 {
        let data = start.len() - header;
        let length = bytes.len().saturating_sub(data + 8) as u64;
        bytes.splice(..8, length.to_le_bytes());
    }
    bytes
}

/// Puts more digits into the number at or after `at`.
fn grow_number(rng: &mut Filler, bytes: &mut Vec<u8>, at: usize) {
    if let Some(i) = bytes[at..].iter().position(u8::is_ascii_digit) {
        let digits = b"99999999999999999999";
        let n = 1 + rng.below(digits.len());
        bytes.splice(at + i..at + i, digits[..n].iter().copied());
    }
}

#[test]
fn damaged_files_are_errors_or_models() {
    damage(&native::to_bytes(&model()).unwrap(), |bytes, allow_not_finite| {
        native::from_bytes(bytes, "m", &ReadOptions { allow_not_finite }).map(drop)
    });
}

#[test]
fn damaged_bundles_are_errors_or_bundles() {
    let mut bundle = Bundle::new("first", model(), Record::default()).unwrap();
    bundle.add("second", Protocol::Features, model(), Record::default()).unwrap();
    damage(&bundle.to_bytes().unwrap(), |bytes, _| {
        let bundle = Bundle::from_bytes(bytes, "m")?;
        bundle.domains().iter().try_for_each(|domain| bundle.model(&domain.name).map(drop))
    });
}

/// Reads thousands of damaged copies of a file.
fn damage(start: &[u8], read: impl Fn(&[u8], bool) -> Result<()>) {
    let header = 8 + u64::from_le_bytes(start[..8].try_into().unwrap()) as usize;
    let mut rng = Filler::new(1);
    let (mut errors, mut models) = (0, 0);
    let mut before = None;
    for i in 0..24_000 * times() {
        let bytes = mutate(&mut rng, start, header);
        match read(&bytes, i % 2 == 0) {
            Ok(()) => models += 1,
            Err(e) => {
                errors += 1;
                assert!(e.to_string().len() < 20_000, "a message is readable");
            }
        }
        if i == 1000 {
            before = peak_kib("VmPeak");
        }
    }
    assert!(errors > 10_000 && models > 100, "the damage is neither all fatal nor all harmless: {errors}, {models}");
    if let (Some(before), Some(after)) = (before, peak_kib("VmPeak")) {
        assert!(after - before < 8 << 10, "{} KiB more than after the first thousand files", after - before);
    }
}
