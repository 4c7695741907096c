//! Constants of a file: tensors of numbers, and shapes in which the batch size stands for itself.

use prost::bytes::Bytes;
use sepal_graph::limits::{MAX_ELEMENTS, MAX_RANK};

use super::proto::{TensorProto, dtype};
use crate::half;

/// A whole number, or the number of images, which a file with a dynamic batch leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Int {
    Known(i64),
    Batch,
}

/// The values of an [`Array`].
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    Float(Vec<f32>),
    Int(Vec<Int>),
}

/// A constant tensor, row-major. Unlike an activation it may be a scalar, or empty.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    pub(super) dims: Vec<usize>,
    pub(super) data: Data,
}

impl Array {
    pub(super) fn ints(dims: Vec<usize>, values: Vec<Int>) -> Self {
        Self { dims, data: Data::Int(values) }
    }

    pub(super) fn floats(dims: Vec<usize>, values: Vec<f32>) -> Self {
        Self { dims, data: Data::Float(values) }
    }

    /// Number of values.
    pub(super) fn len(&self) -> usize {
        match &self.data {
            Data::Float(values) => values.len(),
            Data::Int(values) => values.len(),
        }
    }

    /// All values as f32; `None` if one depends on the batch size.
    pub(super) fn to_floats(&self) -> Option<Vec<f32>> {
        match &self.data {
            Data::Float(values) => Some(values.clone()),
            Data::Int(values) => {
                let known = |v: &Int| match v {
                    Int::Known(v) => Some(*v as f32),
                    Int::Batch => None,
                };
                values.iter().map(known).collect()
            }
        }
    }

    /// All values, if they are whole numbers.
    pub(super) fn as_ints(&self) -> Option<&[Int]> {
        match &self.data {
            Data::Int(values) => Some(values),
            Data::Float(_) => None,
        }
    }

    /// All values, if they are whole numbers that do not depend on the batch size.
    pub(super) fn known_ints(&self) -> Option<Vec<i64>> {
        let known = |v: &Int| match v {
            Int::Known(v) => Some(*v),
            Int::Batch => None,
        };
        self.as_ints()?.iter().map(known).collect()
    }
}

/// The number of values of such dimensions, if it is one that a tensor may have.
pub(super) fn elements(dims: &[usize]) -> Option<usize> {
    let product = dims.iter().try_fold(1_u64, |n, &size| n.checked_mul(size as u64).filter(|&n| n <= MAX_ELEMENTS))?;
    usize::try_from(product).ok()
}

/// The dimensions that a tensor of a file claims.
pub(super) fn dims(tensor: &TensorProto) -> Result<Vec<usize>, String> {
    // Two more than an activation has: the batch, and a spare one for constants on their way to a shape.
    let dims = tensor.dims.iter().map(|&size| usize::try_from(size).ok()).collect::<Option<Vec<usize>>>();
    let dims = dims.filter(|dims| dims.len() <= MAX_RANK + 2 && elements(dims).is_some());
    dims.ok_or_else(|| format!("dimensions {:?} are not those of a tensor", tensor.dims))
}

/// Bytes of one element; `None` for a type that is not read.
pub(super) fn width(kind: i32) -> Option<usize> {
    match kind {
        dtype::INT64 | dtype::DOUBLE => Some(8),
        dtype::FLOAT | dtype::INT32 => Some(4),
        dtype::FLOAT16 | dtype::BFLOAT16 | dtype::INT16 | dtype::UINT16 => Some(2),
        dtype::INT8 | dtype::UINT8 | dtype::BOOL => Some(1),
        _ => None,
    }
}

/// The values of a stored tensor; `raw` are its bytes where they do not stand in one of the typed fields. Nothing is
/// allocated that the bytes do not back.
pub(super) fn decode(tensor: &TensorProto, raw: Option<&Bytes>) -> Result<Array, String> {
    let dims = dims(tensor)?;
    let count = elements(&dims).unwrap_or_default();
    let kind = tensor.data_type.unwrap_or_default();
    let Some(width) = width(kind) else {
        return Err(format!("elements of type {} are not read", dtype::name(kind)));
    };
    let known = |values: Vec<i64>| Data::Int(values.into_iter().map(Int::Known).collect());
    let data = match raw {
        Some(raw) => {
            if raw.len() != count.saturating_mul(width) {
                let kind = dtype::name(kind);
                return Err(format!("dimensions {dims:?} of type {kind} do not fill the {} bytes given", raw.len()));
            }
            match kind {
                dtype::FLOAT => Data::Float(numbers(raw, f32::from_le_bytes)),
                dtype::DOUBLE => Data::Float(numbers(raw, |b| f64::from_le_bytes(b) as f32)),
                dtype::FLOAT16 => Data::Float(numbers(raw, |b| half::f16_to_f32(u16::from_le_bytes(b)))),
                dtype::BFLOAT16 => Data::Float(numbers(raw, |b| half::bf16_to_f32(u16::from_le_bytes(b)))),
                dtype::INT64 => known(numbers(raw, i64::from_le_bytes)),
                dtype::INT32 => known(numbers(raw, |b| i64::from(i32::from_le_bytes(b)))),
                dtype::INT16 => known(numbers(raw, |b| i64::from(i16::from_le_bytes(b)))),
                dtype::UINT16 => known(numbers(raw, |b| i64::from(u16::from_le_bytes(b)))),
                dtype::INT8 => known(numbers(raw, |[b]: [u8; 1]| i64::from(b as i8))),
                _ => known(numbers(raw, |[b]: [u8; 1]| i64::from(b))),
            }
        }
        None => match kind {
            dtype::FLOAT => Data::Float(tensor.float_data.clone()),
            dtype::DOUBLE => Data::Float(tensor.double_data.iter().map(|&v| v as f32).collect()),
            dtype::FLOAT16 => Data::Float(tensor.int32_data.iter().map(|&v| half::f16_to_f32(v as u16)).collect()),
            dtype::BFLOAT16 => Data::Float(tensor.int32_data.iter().map(|&v| half::bf16_to_f32(v as u16)).collect()),
            dtype::INT64 => known(tensor.int64_data.clone()),
            _ => known(tensor.int32_data.iter().map(|&v| i64::from(v)).collect()),
        },
    };
    let array = Array { dims, data };
    if array.len() != count {
        return Err(format!("dimensions {:?} ask for {count} values, {} are given", array.dims, array.len()));
    }
    Ok(array)
}

fn numbers<const N: usize, T>(bytes: &[u8], convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (numbers, _) = bytes.as_chunks::<N>();
    numbers.iter().map(|b| convert(*b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(kind: i32, dims: &[i64]) -> TensorProto {
        TensorProto { dims: dims.to_vec(), data_type: Some(kind), ..TensorProto::default() }
    }

    #[test]
    fn every_type_and_field() {
        for (kind, raw, value) in [
            (dtype::FLOAT, 1.5_f32.to_le_bytes().to_vec(), 1.5),
            (dtype::DOUBLE, 1.5_f64.to_le_bytes().to_vec(), 1.5),
            (dtype::FLOAT16, 0x3e00_u16.to_le_bytes().to_vec(), 1.5),
            (dtype::BFLOAT16, 0x3fc0_u16.to_le_bytes().to_vec(), 1.5),
            (dtype::INT64, (-3_i64).to_le_bytes().to_vec(), -3.0),
            (dtype::INT32, (-3_i32).to_le_bytes().to_vec(), -3.0),
            (dtype::INT16, (-3_i16).to_le_bytes().to_vec(), -3.0),
            (dtype::UINT16, 3_u16.to_le_bytes().to_vec(), 3.0),
            (dtype::INT8, vec![0xfd], -3.0),
            (dtype::UINT8, vec![0xfd], 253.0),
            (dtype::BOOL, vec![1], 1.0),
        ] {
            let array = decode(&tensor(kind, &[1]), Some(&raw.into())).unwrap();
            assert_eq!(array.to_floats().unwrap(), [value], "{}", dtype::name(kind));
        }
        let half = TensorProto { int32_data: vec![0x3e00, 0x3c00], ..tensor(dtype::FLOAT16, &[2]) };
        assert_eq!(decode(&half, None).unwrap().to_floats().unwrap(), [1.5, 1.0]);
        let double = TensorProto { double_data: vec![2.5], ..tensor(dtype::DOUBLE, &[]) };
        assert_eq!(decode(&double, None).unwrap().to_floats().unwrap(), [2.5]);
    }

    #[test]
    fn lies_about_length_and_type() {
        let raw = Bytes::from_static(&[0; 8]);
        for (tensor, words) in [
            (tensor(dtype::FLOAT, &[3]), "do not fill the 8 bytes"),
            (tensor(dtype::FLOAT, &[-1]), "are not those of a tensor"),
            (tensor(dtype::FLOAT, &[1 << 40, 1 << 40]), "are not those of a tensor"),
            (tensor(dtype::FLOAT, &[1; 9]), "are not those of a tensor"),
            (tensor(8, &[1]), "type string are not read"),
        ] {
            let error = decode(&tensor, Some(&raw)).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        assert!(decode(&tensor(dtype::FLOAT, &[2]), None).unwrap_err().contains("0 are given"));
    }
}
