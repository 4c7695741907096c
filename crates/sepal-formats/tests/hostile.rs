//! Thousands of damaged weight files of every format: an error or tensors, never a panic, a hang or memory out of
//! proportion.

mod damage;

use std::time::{Duration, Instant};

use sepal_formats::names::{LoadOptions, load};
use sepal_formats::state::StateDict;
use sepal_formats::{Result, keras, pth};
use sepal_graph::Graph;
use sepal_testing::Filler;

use damage::{peak_kib, times};

/// Numbers that lengths, counts and offsets may be lied to be.
const LIES: [u64; 10] =
    [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 32, 0x7fff_ffff_ffff_ffff, 0xffff_ffff_ffff_ffff];

fn mutate(rng: &mut Filler, start: &[u8]) -> Vec<u8> {
    let mut bytes = start.to_vec();
    for _ in 0..1 + rng.below(3) {
        let at = rng.below(bytes.len());
        match rng.below(8) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = rng.below(256) as u8,
            2 => bytes.truncate(at.max(1)),
            3 | 4 => {
                let lie = LIES[rng.below(LIES.len())].to_le_bytes();
                let width = [1, 2, 4, 8][rng.below(4)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&lie[..width]);
            }
            5 => drop(bytes.drain(at..(at + 1 + rng.below(16)).min(bytes.len()))),
            6 => {
                let end = (at + 1 + rng.below(64)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                let to = rng.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            // A number one more, with carry, as an offset or a dimension that is just too large.
            _ => {
                for byte in &mut bytes[at..] {
                    *byte = byte.wrapping_add(1);
                    if *byte != 0 {
                        break;
                    }
                }
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn attack(seed: u64, files: &[&str], rounds: usize, read: impl Fn(&[u8]) -> Result<StateDict>) -> [usize; 2] {
    let graph: Graph = sepal_zoo::build(&"mobilenet_v1:width=0.25".parse().unwrap(), None, 10).unwrap();
    let mut rng = Filler::new(seed);
    let before = peak_kib("VmHWM");
    let [mut errors, mut states] = [0, 0];
    for file in files {
        let start = fixture(file);
        read(&start).unwrap();
        for _ in 0..rounds {
            let bytes = mutate(&mut rng, &start);
            let began = Instant::now();
            match read(&bytes) {
                Ok(state) => {
                    states += 1;
                    assert!(state.elements() < 1 << 27, "{file}");
                    // Fitting what is left to a network must not be where it goes wrong either.
                    if states % 64 == 0 {
                        load(&graph, state, &LoadOptions::default()).unwrap_err();
                    }
                }
                Err(e) => {
                    errors += 1;
                    assert!(e.to_string().len() < 20_000, "a message is readable");
                }
            }
            assert!(began.elapsed() < Duration::from_secs(5), "{file}: it hangs");
        }
    }
    if let (Some(before), Some(after)) = (before, peak_kib("VmHWM")) {
        let more = after.saturating_sub(before);
        assert!(more < 900 << 10, "{more} KiB more than before");
    }
    [errors, states]
}

#[test]
fn damaged_pickles_are_errors_or_tensors() {
    let files = ["pth/state_legacy.pth", "pth/wrapped_legacy.pth", "pth/averaged_legacy.pth"];
    let [errors, states] = attack(0x9e37_79b9, &files, 6000 * times(), |bytes| pth::from_bytes(bytes, "m"));
    assert!(errors > 5000 && states > 500, "{errors}, {states}");
}

#[test]
fn damaged_archives_are_errors_or_tensors() {
    let files = ["pth/state_zip.pth", "pth/state_deflated.pth", "pth/wrapped_zip.pth", "pth/module_zip.pth"];
    let [errors, states] = attack(0x7f4a_7c15, &files, 4000 * times(), |bytes| pth::from_bytes(bytes, "m"));
    assert!(errors > 2000 && states > 500, "{errors}, {states}");
}

#[test]
fn damaged_hdf5_files_are_errors_or_tensors() {
    let files = ["keras/old.h5", "keras/layers.h5", "keras/three.weights.h5", "keras/whole.h5"];
    // The reader may panic on a damaged file; the panic is caught and would only fill the screen.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|info| {
        if !keras::panics_are_caught() {
            eprintln!("{info}");
        }
    }));
    let [errors, states] = attack(0x85eb_ca6b, &files, 1500 * times(), |bytes| keras::from_bytes(bytes, "m"));
    std::panic::set_hook(hook);
    assert!(errors > 500 && states > 500, "{errors}, {states}");
}

#[test]
fn damaged_safetensors_files_are_errors_or_tensors() {
    let start: Vec<u8> = {
        let header = r#"{"__metadata__":{"format":"pt"},"a.weight":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]},
            "a.num_batches_tracked":{"dtype":"I64","shape":[],"data_offsets":[8,16]}}"#;
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 16]].concat()
    };
    let mut rng = Filler::new(0xc2b2_ae35);
    let [mut errors, mut states] = [0, 0];
    for _ in 0..10_000 * times() {
        match StateDict::from_safetensors(&mutate(&mut rng, &start), "m") {
            Ok(_) => states += 1,
            Err(_) => errors += 1,
        }
    }
    assert!(errors > 1000 && states > 100, "{errors}, {states}");
}
