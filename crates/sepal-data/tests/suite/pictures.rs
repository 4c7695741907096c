//! Decoding: formats, orientation, grey and alpha, and files that are damaged or dangerous.

use std::io::Cursor;

use crate::common::{encode, gradient, put};
use image::{DynamicImage, ImageFormat, Luma, LumaA, Rgba};
use proptest::prelude::*;
use sepal_data::{DataError, Limits, Picture, decode_picture, is_picture_name, read_picture};

const FORMATS: [ImageFormat; 5] =
    [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::WebP];

fn decode(bytes: &[u8]) -> Result<Picture, DataError> {
    decode_picture(bytes, "some/where.jpg", &Limits::default())
}

fn png(picture: DynamicImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn every_format_decodes_whatever_the_name() {
    let picture = gradient(20, 12);
    for format in FORMATS {
        let decoded = decode(&encode(&picture, format)).unwrap();
        assert_eq!((decoded.width, decoded.height), (20, 12));
        let exact = !matches!(format, ImageFormat::Jpeg | ImageFormat::Gif);
        for (a, b) in decoded.pixels.iter().zip(picture.as_raw()) {
            assert!(a.abs_diff(*b) <= if exact { 0 } else { 24 }, "{format:?}");
        }
    }
}

#[test]
fn grey_alpha_and_16_bits_become_rgb() {
    let grey = DynamicImage::ImageLuma8(image::ImageBuffer::from_pixel(2, 2, Luma([77])));
    assert_eq!(decode(&png(grey)).unwrap().pixels, [77; 12]);
    let grey_alpha = DynamicImage::ImageLumaA8(image::ImageBuffer::from_pixel(2, 2, LumaA([77, 0])));
    assert_eq!(decode(&png(grey_alpha)).unwrap().pixels, [77; 12]);
    // The alpha channel is dropped; a transparent pixel keeps its colour.
    let alpha = DynamicImage::ImageRgba8(image::ImageBuffer::from_pixel(1, 1, Rgba([10, 20, 30, 0])));
    assert_eq!(decode(&png(alpha)).unwrap().pixels, [10, 20, 30]);
    let deep = DynamicImage::ImageLuma16(image::ImageBuffer::from_pixel(1, 1, Luma([0x8080])));
    assert_eq!(decode(&png(deep)).unwrap().pixels, [0x80; 3]);
    let mut bytes = Cursor::new(Vec::new());
    let grey = image::GrayImage::from_pixel(8, 8, Luma([100]));
    grey.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    assert_eq!(decode(bytes.get_ref()).unwrap().pixels, [100; 192]);
}

/// A JPEG with an EXIF block that holds nothing but the orientation.
fn oriented(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01".to_vec();
    exif.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() + 2) as u16;
    let mut bytes = jpeg[..2].to_vec();
    bytes.extend([0xff, 0xe1]);
    bytes.extend(length.to_be_bytes());
    bytes.extend(exif);
    bytes.extend(&jpeg[2..]);
    bytes
}

#[test]
fn the_orientation_of_exif_is_applied() {
    // Red rises to the right (r), green downwards (g). For each orientation: where in the upright picture
    // the stored picture's red and green corners come to lie (EXIF 2.3, 4.6.4 A).
    let (w, h) = (32u32, 16u32);
    let jpeg = encode(&gradient(w, h), ImageFormat::Jpeg);
    let stored = decode(&jpeg).unwrap();
    let at = |p: &Picture, x: u32, y: u32| {
        let i = ((y * p.width + x) * 3) as usize;
        [p.pixels[i], p.pixels[i + 1], p.pixels[i + 2]]
    };
    type Place = fn(u32, u32, u32, u32) -> (u32, u32);
    let places: [Place; 8] = [
        |x, y, _, _| (x, y),
        |x, y, w, _| (w - 1 - x, y),
        |x, y, w, h| (w - 1 - x, h - 1 - y),
        |x, y, _, h| (x, h - 1 - y),
        |x, y, _, _| (y, x),
        |x, y, _, h| (h - 1 - y, x),
        |x, y, w, h| (h - 1 - y, w - 1 - x),
        |x, y, w, _| (y, w - 1 - x),
    ];
    for (i, place) in places.iter().enumerate() {
        let upright = decode(&oriented(&jpeg, i as u8 + 1)).unwrap();
        let turned = i >= 4;
        assert_eq!((upright.width, upright.height), if turned { (h, w) } else { (w, h) });
        for (x, y) in [(0, 0), (31, 0), (0, 15), (31, 15), (10, 3)] {
            let (ux, uy) = place(x, y, w, h);
            assert_eq!(at(&upright, ux, uy), at(&stored, x, y), "orientation {}", i + 1);
        }
    }
    // A value that does not exist leaves the picture as it is.
    assert_eq!(decode(&oriented(&jpeg, 200)).unwrap(), stored);
}

#[test]
fn a_file_cut_short_is_an_error_in_every_format() {
    let picture = gradient(64, 48);
    for format in FORMATS {
        let bytes = encode(&picture, format);
        // A JPEG needs its very last marker; what other formats end with comes after the pixels.
        let tail = if format == ImageFormat::Jpeg { 1 } else { bytes.len() / 10 };
        for cut in [1, 7, 40, bytes.len() / 4, bytes.len() / 2, bytes.len() - tail] {
            let error =
                decode(&bytes[..cut]).map(|_| ()).expect_err(&format!("{format:?} cut to {cut} of {}", bytes.len()));
            assert!(error.to_string().starts_with("some/where.jpg: "), "{error}");
        }
    }
    let jpeg = encode(&picture, ImageFormat::Jpeg);
    let error = decode(&jpeg[..jpeg.len() / 2]).unwrap_err().to_string();
    assert!(error.contains("truncated JPEG"), "{error}");
    // A thumbnail's end within a segment is not the picture's end.
    let mut thumbnail = jpeg[..2].to_vec();
    thumbnail.extend([0xff, 0xe5, 0, 6, 0xff, 0xd8, 0xff, 0xd9]);
    thumbnail.extend(&jpeg[2..]);
    assert!(decode(&thumbnail).is_ok());
    assert!(decode(&thumbnail[..jpeg.len() / 2]).is_err());
    // What follows the end does not matter.
    assert!(decode(&[&jpeg[..], b"trailing"].concat()).is_ok());
}

#[test]
fn files_that_are_no_pictures_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.jpg");
    for (bytes, words) in [(&b"not a picture"[..], "not a picture"), (b"", "empty")] {
        put(&path, bytes);
        let text = read_picture(&path, &Limits::default()).unwrap_err().to_string();
        assert!(text.contains("x.jpg") && text.contains(words), "{text}");
    }
    let text = read_picture(&folder.path().join("none.jpg"), &Limits::default()).unwrap_err().to_string();
    assert!(text.contains("none.jpg"), "{text}");
    assert!(decode(b"II*\0\x08\0\0\0\0\0\0\0\0\0\0\0").is_err(), "TIFF is not among the formats");
    assert!(
        is_picture_name("a/B.JPeG".as_ref()) && !is_picture_name("a.txt".as_ref()) && !is_picture_name("jpg".as_ref())
    );
}

/// A PNG that announces 30,000×30,000 pixels and holds next to nothing.
fn bomb() -> Vec<u8> {
    let mut bytes = png(DynamicImage::ImageRgb8(gradient(4, 4)));
    bytes[16..20].copy_from_slice(&30_000u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&30_000u32.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    bytes
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    let text = decode(&bomb()).unwrap_err().to_string();
    assert!(
        text.contains("30000×30000") && text.contains("100000000 pixels") && text.contains("some/where.jpg"),
        "{text}"
    );
    let small = Limits { max_pixels: 100, max_alloc: 1 << 20 };
    for format in FORMATS {
        let bytes = encode(&gradient(20, 12), format);
        let error = decode_picture(&bytes, "x", &small).unwrap_err();
        assert!(matches!(error, DataError::TooLarge { width: 20, height: 12, .. }), "{error}");
        let memory = Limits { max_pixels: 1000, max_alloc: 400 };
        assert!(decode_picture(&bytes, "x", &memory).is_err(), "{format:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.png");
    put(&path, &vec![0; 2 << 20]);
    assert!(read_picture(&path, &small).unwrap_err().to_string().contains("above the limit"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Damage anywhere: an error or a picture of some kind, never a panic and never a hang.
    #[test]
    fn damage_never_panics(format in 0usize..5, hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>()) {
        let mut bytes = encode(&gradient(24, 18), FORMATS[format]);
        for (at, byte) in hits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let limits = Limits { max_pixels: 1 << 20, max_alloc: 16 << 20 };
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            if let Ok(picture) = decode_picture(bytes, "x", &limits) {
                prop_assert!(picture.is_whole());
            }
        }
    }
}
