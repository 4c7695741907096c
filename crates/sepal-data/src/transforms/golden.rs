//! Operations against torchvision's: `tools/golden/augment.py` made the pictures.

use super::color;
use super::operation::Operation;
use crate::picture::Picture;

const WIDTH: u32 = 19;
const HEIGHT: u32 = 15;

/// Operation, strength and pixels of every line.
fn lines() -> Vec<(&'static str, f32, Vec<u8>)> {
    let text = include_str!("../../../../tools/golden/augment.txt");
    let line = |line: &'static str| {
        let mut words = line.split(' ');
        let (name, strength, hex) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (name, strength.parse().unwrap(), (0..hex.len()).step_by(2).map(byte).collect())
    };
    text.lines().map(line).collect()
}

#[test]
fn operations_are_torchvisions() {
    let lines = lines();
    let original = Picture::new(WIDTH, HEIGHT, lines[0].2.clone()).unwrap();
    let mut seen = 0;
    for (name, strength, expected) in &lines[1..] {
        let (mut picture, mut spare) = (original.clone(), Picture::default());
        let operation = Operation::ALL.into_iter().find(|operation| format!("{operation:?}") == *name);
        match operation {
            Some(operation) => operation.apply(*strength, &mut picture, &mut spare),
            None => color::hue(&mut picture, *strength),
        }
        // On tensors torchvision truncates after scaling to 0…1 and back.
        let apart = if operation.is_some() { 0 } else { 1 };
        let off = picture.pixels.iter().zip(expected).filter(|(a, b)| a.abs_diff(**b) > apart).count();
        assert!(off == 0, "{name} {strength}: {off} values differ");
        seen += 1;
    }
    assert_eq!(seen, 29);
}
