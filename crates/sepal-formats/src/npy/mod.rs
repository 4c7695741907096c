//! NumPy's `.npy` arrays, for tensors that come from and go to Python.

mod header;

use std::io::Read;
use std::path::Path;

use sepal_graph::Tensor;

use crate::error::{FormatError, Result};
use crate::source::Source;
use crate::{atomic, half};
use header::{DType, Kind};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy itself refuses headers longer than 10,000 bytes unless told to trust the file.
const MAX_HEADER: u32 = 1 << 16;
/// NumPy aligns the data to this.
const ALIGNMENT: usize = 64;

/// Reads an array as f32, row-major whatever its order in the file.
///
/// Read are versions 1 to 3 with elements of type f2, f4, f8, i1 to i8, u1 to u8 and bool in either byte order; f8 and
/// the wider integers are rounded to the nearest f32.
///
/// # Errors
/// The file cannot be read, is no NumPy array, has another type, or is not exactly as long as its shape asks for; a
/// shape with a zero dimension or beyond [`sepal_graph::limits`]. Lengths are checked before anything is allocated.
pub fn read(path: impl AsRef<Path>) -> Result<Tensor> {
    read_source(&mut Source::open(path.as_ref())?)
}

/// The type of an array's elements as NumPy spells it, and the array.
pub(crate) fn describe(path: &Path) -> Result<(String, Tensor)> {
    let mut dtype = String::new();
    let tensor = read_typed(&mut Source::open(path)?, &mut dtype)?;
    Ok((dtype, tensor))
}

/// Reads from memory; `name` stands for the file in errors.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Tensor> {
    read_source(&mut Source::bytes(bytes, name))
}

fn read_source<R: Read>(source: &mut Source<R>) -> Result<Tensor> {
    read_typed(source, &mut String::new())
}

fn read_typed<R: Read>(source: &mut Source<R>, descr: &mut String) -> Result<Tensor> {
    let file = source.name.clone();
    if source.len < 10 || &source.array::<6>()? != MAGIC {
        return Err(FormatError::NotNpy { file });
    }
    let wrong = |offset: u64, reason: String| FormatError::NpyHeader { file: file.clone(), offset, reason };
    let [major, minor] = source.array()?;
    let length = match (major, minor) {
        (1, 0) => u32::from(u16::from_le_bytes(source.array()?)),
        (2 | 3, 0) if source.left() >= 4 => u32::from_le_bytes(source.array()?),
        _ => return Err(wrong(6, format!("version {major}.{minor} is not known, 1.0 to 3.0 are"))),
    };
    if length > MAX_HEADER || u64::from(length) > source.left() {
        let limit = source.left().min(u64::from(MAX_HEADER));
        return Err(wrong(8, format!("it announces {length} bytes of text, at most {limit} are there or allowed")));
    }
    let text_at = source.at;
    let text = source.take(length as usize)?;
    let header = header::parse(&text).map_err(|(at, reason)| wrong(text_at + at as u64, reason))?;
    let Some(dtype) = DType::parse(&header.descr) else {
        return Err(FormatError::NpyType { file, dtype: header.descr });
    };
    descr.clone_from(&header.descr);
    let elements = header.shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d));
    let bytes = elements.and_then(|n| n.checked_mul(u64::from(dtype.bytes)));
    let shape: Option<Vec<usize>> = header.shape.iter().map(|&d| usize::try_from(d).ok()).collect();
    let (Some(n), Some(shape), true) =
        (elements.and_then(|n| usize::try_from(n).ok()), shape, bytes == Some(source.left()))
    else {
        let actual = source.left();
        return Err(FormatError::NpyLength { file, shape: header.shape, dtype: header.descr, actual });
    };
    let data = numbers(source, n, dtype)?;
    let data = if header.fortran_order { row_major(&data, &shape) } else { data };
    Tensor::new(shape, data).map_err(|source| FormatError::Model { file, source })
}

fn numbers<R: Read>(source: &mut Source<R>, n: usize, dtype: DType) -> Result<Vec<f32>> {
    fn ordered<const N: usize>(dtype: DType, f: impl Fn([u8; N]) -> f32) -> impl Fn([u8; N]) -> f32 {
        move |mut b| {
            if dtype.big_endian {
                b.reverse();
            }
            f(b)
        }
    }
    match (dtype.kind, dtype.bytes) {
        (Kind::Float, 2) => source.numbers(n, ordered(dtype, |b| half::f16_to_f32(u16::from_le_bytes(b)))),
        (Kind::Float, 4) => source.numbers(n, ordered(dtype, f32::from_le_bytes)),
        (Kind::Float, _) => source.numbers(n, ordered(dtype, |b| f64::from_le_bytes(b) as f32)),
        (Kind::Int, 1) => source.numbers(n, |[b]: [u8; 1]| f32::from(b as i8)),
        (Kind::Int, 2) => source.numbers(n, ordered(dtype, |b| f32::from(i16::from_le_bytes(b)))),
        (Kind::Int, 4) => source.numbers(n, ordered(dtype, |b| i32::from_le_bytes(b) as f32)),
        (Kind::Int, _) => source.numbers(n, ordered(dtype, |b| i64::from_le_bytes(b) as f32)),
        (Kind::Uint, 1) => source.numbers(n, |[b]: [u8; 1]| f32::from(b)),
        (Kind::Uint, 2) => source.numbers(n, ordered(dtype, |b| f32::from(u16::from_le_bytes(b)))),
        (Kind::Uint, 4) => source.numbers(n, ordered(dtype, |b| u32::from_le_bytes(b) as f32)),
        (Kind::Uint, _) => source.numbers(n, ordered(dtype, |b| u64::from_le_bytes(b) as f32)),
        (Kind::Bool, _) => source.numbers(n, |[b]: [u8; 1]| f32::from(u8::from(b != 0))),
    }
}

/// Column-major data in row-major order.
fn row_major(data: &[f32], shape: &[usize]) -> Vec<f32> {
    let mut out = Vec::with_capacity(data.len());
    let mut index = vec![0usize; shape.len()];
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1usize;
    for &dim in shape {
        strides.push(stride);
        stride = stride.saturating_mul(dim);
    }
    let mut at = 0usize;
    while let Some(&value) = data.get(at).filter(|_| out.len() < data.len()) {
        out.push(value);
        // The last index runs fastest, as an odometer's last wheel.
        for ((i, &dim), &stride) in index.iter_mut().zip(shape).zip(&strides).rev() {
            *i += 1;
            at += stride;
            if *i < dim {
                break;
            }
            at -= dim * stride;
            *i = 0;
        }
    }
    out
}

/// Writes a tensor as a row-major little-endian f4 array, complete or not at all (see [`atomic::write`]).
///
/// # Errors
/// [`FormatError::Write`].
pub fn write(path: impl AsRef<Path>, tensor: &Tensor) -> Result<()> {
    let shape: Vec<String> = tensor.shape().iter().map(usize::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}{comma}), }}", shape.join(", "));
    let before = MAGIC.len() + 4;
    let padding = (before + text.len() + 1).next_multiple_of(ALIGNMENT) - before - text.len() - 1;
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');
    atomic::write(path, |w| {
        let length = u16::try_from(text.len()).map_err(std::io::Error::other)?;
        w.write_all(MAGIC)?;
        w.write_all(&[1, 0])?;
        w.write_all(&length.to_le_bytes())?;
        w.write_all(text.as_bytes())?;
        crate::tensors::write_f32(w, tensor.data())
    })
}
