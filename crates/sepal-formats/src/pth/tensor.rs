//! Tensors from storages: element types, strides, and how much may be read.

use std::collections::HashMap;
use std::io::{Read, Seek};

use sepal_graph::Tensor;

use super::value::{Heap, Value};
use crate::error::{FormatError, Result};
use crate::source::Source;
use crate::tensors::DType;

/// Elements that any file may ask for, whatever its length: 256 MiB as f32.
const FREE_ELEMENTS: u64 = 1 << 26;

/// The element type of a storage class such as `torch.FloatStorage`.
pub(super) fn of_storage(class: &str) -> Option<DType> {
    let class = class.strip_prefix("torch.cuda.").or_else(|| class.strip_prefix("torch."))?;
    Some(match class.strip_suffix("Storage")? {
        "Double" => DType::F64,
        "Float" => DType::F32,
        "Half" => DType::F16,
        "BFloat16" => DType::BF16,
        "Long" => DType::I64,
        "Int" => DType::I32,
        "Short" => DType::I16,
        "Char" => DType::I8,
        "Byte" => DType::U8,
        "Bool" => DType::Bool,
        _ => return None,
    })
}

/// A tensor as a view of a storage.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// A [`Node::Storage`](super::value::Node::Storage).
    pub(super) storage: Value,
    /// In elements, as are the strides.
    pub(super) offset: u64,
    pub(super) size: Vec<u64>,
    pub(super) stride: Vec<u64>,
}

impl View {
    /// Number of elements, if it is one.
    fn elements(&self) -> Option<u64> {
        self.size.iter().try_fold(1u64, |n, &d| n.checked_mul(d))
    }

    /// The element after the last that it reaches; it has elements.
    fn end(&self) -> Option<u64> {
        let steps = self.size.iter().zip(&self.stride);
        let last = steps.map(|(&d, &s)| d.checked_sub(1)?.checked_mul(s));
        last.into_iter().try_fold(self.offset, |n, step| n.checked_add(step?))?.checked_add(1)
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.size.iter().zip(&self.stride).rev().all(|(&d, &s)| {
            let ok = d == 1 || s == expected;
            expected = expected.saturating_mul(d);
            ok
        })
    }
}

/// Where a storage's bytes are.
pub(super) enum Place {
    /// In the file.
    At { offset: u64, bytes: u64 },
    /// In memory, because it was compressed.
    Held(Vec<u8>),
}

/// The storages of a file by key.
pub(super) type Storages = HashMap<String, Place>;

/// How many elements may still be read. Views can share a storage, or repeat an element by a stride of zero, so a small
/// file could ask for any amount.
pub(super) struct Budget(u64);

impl Budget {
    /// For a file of so many bytes: as many elements, which is twice what f16 needs, or `FREE_ELEMENTS`.
    pub(super) fn new(len: u64) -> Self {
        Self(len.max(FREE_ELEMENTS))
    }
}

/// What making a tensor needs beside the file.
pub(super) struct Reading<'a> {
    pub(super) heap: &'a Heap,
    pub(super) storages: &'a Storages,
    pub(super) budget: &'a mut Budget,
}

impl Reading<'_> {
    /// The tensor `name`, and the type that its elements had; `None` if it has no elements.
    pub(super) fn materialise<R: Read + Seek>(
        self,
        source: &mut Source<R>,
        view: &View,
        name: &str,
    ) -> Result<Option<(Tensor, &'static str)>> {
        let file = source.name.clone();
        let wrong = |reason: String| FormatError::Tensor { file: file.clone(), tensor: name.to_owned(), reason };
        let Some((storage, dtype, class)) = self.heap.viewed(view) else {
            return Err(wrong("it has no storage".to_owned()));
        };
        let Some(dtype) = dtype else {
            return Err(FormatError::DType { file, tensor: name.to_owned(), dtype: class.to_owned() });
        };
        if view.size.contains(&0) {
            return Ok(None);
        }
        let Some(place) = self.storages.get(&storage.key) else {
            return Err(wrong(format!("storage `{}` is not in the file", storage.key)));
        };
        let held = match place {
            Place::At { bytes, .. } => *bytes,
            Place::Held(bytes) => bytes.len() as u64,
        } / dtype.bytes();
        let (Some(elements), Some(end)) = (view.elements(), view.end().filter(|&end| end <= held)) else {
            let View { size, stride, offset, .. } = view;
            return Err(wrong(format!(
                "shape {size:?} with strides {stride:?} from element {offset} on reaches beyond the {held} elements of \
                 its storage"
            )));
        };
        let span = end - view.offset;
        let Some(left) = self.budget.0.checked_sub(elements.max(span)) else {
            return Err(wrong(format!("with its {elements} elements the tensors are far larger than the file")));
        };
        self.budget.0 = left;
        let shape = view.size.iter().map(|&d| d as usize).collect();
        let start = view.offset * dtype.bytes();
        let data = match place {
            Place::At { offset, .. } => {
                source.seek(offset + start)?;
                dtype.numbers(source, span as usize)?
            }
            Place::Held(bytes) => {
                let bytes = bytes.get(start as usize..).unwrap_or_default();
                dtype.numbers(&mut Source::bytes(bytes, &file), span as usize)?
            }
        };
        let data = if view.is_contiguous() { data } else { gather(source, &data, view, elements as usize)? };
        let tensor = Tensor::new(shape, data).map_err(|e| wrong(e.to_string()))?;
        Ok(Some((tensor, dtype.name())))
    }
}

/// The elements of a view in row-major order, from those it spans.
fn gather<R: Read>(source: &Source<R>, span: &[f32], view: &View, elements: usize) -> Result<Vec<f32>> {
    let mut out = source.reserve(elements)?;
    let mut index = vec![0u64; view.size.len()];
    let mut at = 0u64;
    while let Some(&value) = span.get(at as usize).filter(|_| out.len() < elements) {
        out.push(value);
        // The last index runs fastest, as an odometer's last wheel.
        for ((i, &size), &stride) in index.iter_mut().zip(&view.size).zip(&view.stride).rev() {
            *i += 1;
            at += stride;
            if *i < size {
                break;
            }
            at -= size * stride;
            *i = 0;
        }
    }
    Ok(out)
}
