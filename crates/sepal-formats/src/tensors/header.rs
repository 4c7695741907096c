//! The JSON header of a safetensors file: what it may say, and where it lies.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::error::{FormatError, Result};
use crate::half;
use crate::source::Source;

/// Name of the header's entry that is no tensor.
pub(super) const METADATA: &str = "__metadata__";
/// More dimensions than any network's tensor has.
pub(crate) const MAX_RANK: usize = 8;

/// Element types that are read, all as f32: wide integers and f64 are rounded to the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DType {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl DType {
    const ALL: [Self; 10] =
        [Self::F64, Self::F32, Self::F16, Self::BF16, Self::I64, Self::I32, Self::I16, Self::I8, Self::U8, Self::Bool];

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::I16 => "I16",
            Self::I8 => "I8",
            Self::U8 => "U8",
            Self::Bool => "BOOL",
        }
    }

    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// The next `n` elements as f32. The caller has checked their bytes against [`Source::left`].
    pub(crate) fn numbers<R: Read>(self, source: &mut Source<R>, n: usize) -> Result<Vec<f32>> {
        match self {
            Self::F64 => source.numbers(n, |b| f64::from_le_bytes(b) as f32),
            Self::F32 => source.numbers(n, f32::from_le_bytes),
            Self::F16 => source.numbers(n, |b| half::f16_to_f32(u16::from_le_bytes(b))),
            Self::BF16 => source.numbers(n, |b| half::bf16_to_f32(u16::from_le_bytes(b))),
            Self::I64 => source.numbers(n, |b| i64::from_le_bytes(b) as f32),
            Self::I32 => source.numbers(n, |b| i32::from_le_bytes(b) as f32),
            Self::I16 => source.numbers(n, |b| f32::from(i16::from_le_bytes(b))),
            Self::I8 => source.numbers(n, |[b]: [u8; 1]| f32::from(b as i8)),
            Self::U8 => source.numbers(n, |[b]: [u8; 1]| f32::from(b)),
            Self::Bool => source.numbers(n, |[b]: [u8; 1]| f32::from(u8::from(b != 0))),
        }
    }
}

/// One tensor's entry as the JSON spells it.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct RawEntry {
    pub(super) dtype: String,
    pub(super) shape: Vec<u64>,
    pub(super) data_offsets: (u64, u64),
}

/// A tensor whose place and size have been checked.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
    pub(super) elements: usize,
}

impl Entry {
    /// The values, which the source is at.
    pub(crate) fn data<R: Read>(&self, source: &mut Source<R>) -> Result<Vec<f32>> {
        self.dtype.numbers(source, self.elements)
    }
}

/// The header, its tensors in the order of their data, which they cover without gap or overlap.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) entries: Vec<Entry>,
}

/// Parses and checks the header `text` of `file`, followed by `data_len` bytes of data. Nothing is allocated beyond a
/// small multiple of the text's length.
pub(super) fn parse(text: &[u8], data_len: u64, file: &str) -> Result<Header> {
    let start = super::LENGTH_BYTES;
    let text = std::str::from_utf8(text).map_err(|e| FormatError::Header {
        file: file.to_owned(),
        offset: start + e.valid_up_to() as u64,
        reason: "it is not UTF-8".to_owned(),
    })?;
    let current = RefCell::new(String::new());
    let mut json = serde_json::Deserializer::from_str(text);
    let (metadata, raw) = HeaderSeed { current: &current }
        .deserialize(&mut json)
        .and_then(|header| json.end().map(|()| header))
        .map_err(|e| {
            let key = current.take();
            let at = if key.is_empty() { String::new() } else { format!(", at or after {key:?}") };
            FormatError::Header {
                file: file.to_owned(),
                offset: start + byte_offset(text, e.line(), e.column()) as u64,
                reason: format!("{}{at}", without_position(&e)),
            }
        })?;
    let mut names = BTreeSet::new();
    for (name, _) in &raw {
        if !names.insert(name.as_str()) {
            return Err(FormatError::DuplicateTensor { file: file.to_owned(), tensor: name.clone() });
        }
    }
    let mut raw = raw;
    let mut entries = Vec::with_capacity(raw.len());
    raw.sort_by_key(|(_, entry)| entry.data_offsets);
    let data_start = start + text.len() as u64;
    let mut expected = 0;
    for (name, entry) in raw {
        let entry = check(name, entry, expected, file)?;
        expected = entry.1;
        if expected > data_len {
            return Err(FormatError::CutShort {
                file: file.to_owned(),
                tensor: entry.0.name,
                end: data_start.saturating_add(expected),
                len: data_start + data_len,
            });
        }
        entries.push(entry.0);
    }
    if expected < data_len {
        return Err(FormatError::TrailingBytes {
            file: file.to_owned(),
            offset: data_start + expected,
            bytes: data_len - expected,
        });
    }
    Ok(Header { metadata, entries })
}

/// Checks one entry against its own numbers and against where the previous tensor ended; also returns where it ends.
fn check(name: String, raw: RawEntry, expected: u64, file: &str) -> Result<(Entry, u64)> {
    let file = || file.to_owned();
    let Some(dtype) = DType::parse(&raw.dtype) else {
        return Err(FormatError::DType { file: file(), tensor: name, dtype: raw.dtype });
    };
    let elements = raw.shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d)).filter(|_| raw.shape.len() <= MAX_RANK);
    let (begin, end) = raw.data_offsets;
    if begin != expected || end < begin {
        return Err(FormatError::Offsets { file: file(), tensor: name, begin, end, expected });
    }
    let bytes = end - begin;
    let fits = elements.and_then(|n| n.checked_mul(dtype.bytes())) == Some(bytes);
    let shape: Option<Vec<usize>> = raw.shape.iter().map(|&d| usize::try_from(d).ok()).collect();
    match (fits, shape, elements.and_then(|n| usize::try_from(n).ok())) {
        (true, Some(shape), Some(elements)) => Ok((Entry { name, dtype, shape, elements }, end)),
        _ => Err(FormatError::ShapeBytes { file: file(), tensor: name, shape: raw.shape, dtype: raw.dtype, bytes }),
    }
}

/// serde_json ends its message with the position within the JSON, which is given as a byte offset in the file instead.
fn without_position(e: &serde_json::Error) -> String {
    let text = e.to_string();
    match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

fn byte_offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column.saturating_sub(1)).min(text.len())
}

type RawHeader = (BTreeMap<String, String>, Vec<(String, RawEntry)>);

/// Reads the header's object, keeping the key it is at for messages and entries named twice for the check.
struct HeaderSeed<'a> {
    current: &'a RefCell<String>,
}

impl<'de> DeserializeSeed<'de> for HeaderSeed<'_> {
    type Value = RawHeader;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> std::result::Result<RawHeader, D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for HeaderSeed<'_> {
    type Value = RawHeader;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<RawHeader, A::Error> {
        let mut metadata = None;
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            self.current.replace(key.clone());
            if key == METADATA {
                if metadata.is_some() {
                    return Err(A::Error::custom("there twice"));
                }
                metadata = Some(map.next_value::<BTreeMap<String, String>>()?);
            } else {
                entries.push((key, map.next_value()?));
            }
        }
        Ok((metadata.unwrap_or_default(), entries))
    }
}
