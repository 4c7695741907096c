//! Resizing, cropping and normalisation against their definitions.

use proptest::prelude::*;
use sepal_data::{Augment, Filter, Picture, Pipeline, Preprocess, RandomResizedCrop, ResizeMode, Scratch};

fn picture(width: u32, height: u32) -> Picture {
    Picture::new(width, height, crate::common::gradient(width, height).into_raw()).unwrap()
}

/// Values back on the scale of bytes: mean 0, deviation 1/255.
fn bytes(size: [usize; 2], resize: ResizeMode) -> Preprocess {
    Preprocess { size, resize, filter: Filter::Bilinear, mean: [0.0; 3], std: [1.0 / 255.0; 3], bgr: false }
}

fn apply(view: &Preprocess, picture: &Picture) -> Vec<f32> {
    let mut out = vec![0.0; view.output_len()];
    view.apply(picture, &mut Scratch::new(), &mut out).unwrap();
    out
}

/// Resize with the triangle filter widened by the factor, the definition in f64, then cut the middle out.
fn by_definition(picture: &Picture, scaled: [usize; 2], size: [usize; 2], channel: usize) -> Vec<f64> {
    let weights = |from: usize, to: usize| -> Vec<Vec<f64>> {
        let scale = from as f64 / to as f64;
        let support = scale.max(1.0);
        (0..to)
            .map(|i| {
                let centre = (i as f64 + 0.5) * scale;
                let w: Vec<f64> =
                    (0..from).map(|j| (1.0 - ((j as f64 + 0.5 - centre) / support).abs()).max(0.0)).collect();
                let sum: f64 = w.iter().sum();
                w.into_iter().map(|x| x / sum).collect()
            })
            .collect()
    };
    let (w, h) = (picture.width as usize, picture.height as usize);
    let (wx, wy) = (weights(w, scaled[1]), weights(h, scaled[0]));
    let offset = |i: usize| ((scaled[i] - size[i]) as f64 / 2.0).round_ties_even() as usize;
    let mut out = Vec::new();
    for y in 0..size[0] {
        for x in 0..size[1] {
            let (row, column) = (&wy[y + offset(0)], &wx[x + offset(1)]);
            let mut sum = 0.0;
            for (j, wj) in row.iter().enumerate().filter(|w| *w.1 > 0.0) {
                for (i, wi) in column.iter().enumerate().filter(|w| *w.1 > 0.0) {
                    sum += wj * wi * f64::from(picture.pixels[(j * w + i) * 3 + channel]);
                }
            }
            out.push(sum);
        }
    }
    out
}

#[test]
fn short_side_and_centre_crop_equal_their_definition() {
    // (source, crop_pct, size of the whole scaled picture as torchvision rounds it)
    let cases = [
        ((40u32, 30u32), 1.0, [16, 21]),
        ((30, 40), 0.875, [24, 18]),
        ((33, 57), 0.9, [29, 17]),
        ((9, 7), 1.0, [16, 20]),
    ];
    for ((w, h), crop_pct, scaled) in cases {
        let picture = picture(w, h);
        let out = apply(&bytes([16, 16], ResizeMode::ShortSideCrop { crop_pct }), &picture);
        for channel in 0..3 {
            let expected = by_definition(&picture, scaled, [16, 16], channel);
            for (got, want) in out[channel * 256..].iter().zip(&expected) {
                // Bytes between the passes: half a step each.
                assert!((f64::from(*got) - want).abs() <= 1.01, "{w}×{h} {crop_pct}: {got} {want}");
            }
        }
    }
}

#[test]
fn squash_keeps_everything() {
    let picture = picture(40, 10);
    let out = apply(&bytes([6, 8], ResizeMode::Squash), &picture);
    let expected = by_definition(&picture, [6, 8], [6, 8], 0);
    assert!(out.iter().zip(&expected).all(|(a, b)| (f64::from(*a) - b).abs() <= 1.01));
}

#[test]
fn a_picture_of_the_right_size_is_only_normalised() {
    let picture = picture(5, 4);
    let view = Preprocess { size: [4, 5], mean: [0.5, 0.25, 0.0], std: [0.5, 0.2, 1.0], ..Preprocess::default() };
    for resize in [ResizeMode::Squash, ResizeMode::ShortSideCrop { crop_pct: 1.0 }] {
        let out = apply(&Preprocess { resize, ..view }, &picture);
        for (i, rgb) in picture.pixels.chunks_exact(3).enumerate() {
            for c in 0..3 {
                let want = (f64::from(rgb[c]) / 255.0 - f64::from(view.mean[c])) / f64::from(view.std[c]);
                assert!((f64::from(out[c * 20 + i]) - want).abs() < 1e-6);
            }
        }
    }
}

#[test]
fn options_out_of_range_are_errors() {
    let view = Preprocess::default();
    let wrong = [
        ("size", Preprocess { size: [0, 4], ..view }),
        ("size", Preprocess { size: [4, 20_000], ..view }),
        ("crop_pct", Preprocess { resize: ResizeMode::ShortSideCrop { crop_pct: 0.0 }, ..view }),
        ("crop_pct", Preprocess { resize: ResizeMode::ShortSideCrop { crop_pct: f32::NAN }, ..view }),
        ("mean", Preprocess { mean: [f32::NAN; 3], ..view }),
        ("std", Preprocess { std: [0.0; 3], ..view }),
    ];
    for (name, view) in wrong {
        assert!(view.validate().unwrap_err().to_string().starts_with(name));
        assert!(Pipeline::eval(view).is_err());
    }
    let text = view.apply(&picture(4, 4), &mut Scratch::new(), &mut [0.0; 3]).unwrap_err().to_string();
    assert!(text.contains("out = 3 numbers"), "{text}");
    let lying = Picture { width: 9, height: 9, pixels: vec![0; 3] };
    let mut out = vec![0.0; view.output_len()];
    assert!(view.apply(&lying, &mut Scratch::new(), &mut out).is_err());
    let none = Augment::default();
    let crop = |scale, ratio| Augment { random_resized_crop: Some(RandomResizedCrop { scale, ratio }), ..none };
    for augment in [
        Augment { hflip: 1.5, ..none },
        Augment { hflip: f32::NAN, ..none },
        Augment { crop_padding: Some(5000), ..none },
        crop([0.0, 1.0], [1.0, 1.0]),
        crop([0.9, 0.1], [1.0, 1.0]),
        crop([0.1, 1.0], [0.0, 1.0]),
    ] {
        assert!(Pipeline::train(view, &augment).is_err(), "{augment:?}");
    }
    assert!("lanczos".parse::<Filter>().unwrap().name() == "lanczos" && "box".parse::<Filter>().is_err());
}

proptest! {
    /// Any picture through any view: numbers within the bytes' range, and no rounding pushes a box out.
    #[test]
    fn any_size_fits_any_size(w in 1u32..90, h in 1u32..90, oh in 1usize..40, ow in 1usize..40, pct in 0.05f32..=1.0, squash: bool, crop: bool, index: u64) {
        let resize = if squash { ResizeMode::Squash } else { ResizeMode::ShortSideCrop { crop_pct: pct } };
        let view = bytes([oh, ow], resize);
        let augment = Augment { random_resized_crop: crop.then(RandomResizedCrop::default), crop_padding: Some(3), hflip: 0.5, ..Augment::default() };
        let mut out = vec![f32::NAN; view.output_len()];
        let picture = picture(w, h);
        for pipeline in [Pipeline::eval(view).unwrap(), Pipeline::train(view, &augment).unwrap()] {
            pipeline.apply(&picture, (1, 2, index), &mut Scratch::new(), &mut out).unwrap();
            prop_assert!(out.iter().all(|x| (-0.001..=255.001).contains(x)));
        }
    }
}
