//! How much memory a file will ask for, before anything is decoded.
//!
//! A message of two bytes decodes into a structure of a hundred, a number of one byte into eight. So the file is walked
//! once without allocating: every message, string and packed number is counted at its decoded size against a budget.

use prost::encoding::{WireType, decode_key, decode_varint};

use super::proto::{
    AttributeProto, Dimension, GraphProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TensorType, TypeProto, ValueInfoProto,
};

/// Bytes that a file may decode into besides the values of its tensors. The largest network seen (a few thousand nodes)
/// needs under two million.
const BUDGET: usize = 128 << 20;

/// Messages within messages, by field number; everything else is a leaf.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Model,
    OpSet,
    Entry,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Dimension,
}

/// What a field holds.
enum Field {
    Message(Kind),
    /// Numbers of variable length, each of which becomes 8 bytes.
    Varints,
    /// Bytes that are kept as they are.
    Plain,
}

impl Kind {
    /// Size of the structure it is decoded into.
    fn size(self) -> usize {
        match self {
            Self::Model => 0,
            Self::OpSet => size_of::<OperatorSetIdProto>(),
            Self::Entry => size_of::<StringStringEntryProto>(),
            Self::Graph => size_of::<GraphProto>(),
            Self::Node => size_of::<NodeProto>(),
            Self::Attribute => size_of::<AttributeProto>(),
            Self::Tensor => size_of::<TensorProto>(),
            Self::ValueInfo => size_of::<ValueInfoProto>(),
            Self::Type => size_of::<TypeProto>(),
            Self::TensorType => size_of::<TensorType>(),
            Self::Shape => size_of::<TensorShapeProto>(),
            Self::Dimension => size_of::<Dimension>(),
        }
    }

    fn field(self, tag: u32) -> Field {
        let kind = match (self, tag) {
            (Self::Model, 7) => Self::Graph,
            (Self::Model, 8) => Self::OpSet,
            (Self::Model, 14) | (Self::Tensor, 13) => Self::Entry,
            (Self::Graph, 1) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5) => Self::Tensor,
            (Self::Graph, 11 | 12) => Self::ValueInfo,
            (Self::Node, 5) => Self::Attribute,
            (Self::ValueInfo, 2) => Self::Type,
            (Self::Type, 1) => Self::TensorType,
            (Self::TensorType, 2) => Self::Shape,
            (Self::Shape, 1) => Self::Dimension,
            (Self::Attribute, 8) | (Self::Tensor, 1 | 5 | 7) => return Field::Varints,
            _ => return Field::Plain,
        };
        Field::Message(kind)
    }
}

/// What is wrong, and at which byte.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) offset: usize,
    pub(super) reason: String,
}

/// Walks a model file.
pub(super) fn scan(bytes: &[u8]) -> Result<(), Damage> {
    let mut left = BUDGET;
    walk(bytes, 0, Kind::Model, &mut left)
}

/// The kinds nest without recursion among them, so the depth is bounded by their number.
fn walk(bytes: &[u8], base: usize, kind: Kind, left: &mut usize) -> Result<(), Damage> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let offset = base + bytes.len() - rest.len();
        let damage = |reason: String| Damage { offset, reason };
        let (tag, wire) = decode_key(&mut rest).map_err(|e| damage(e.to_string()))?;
        let mut cost = 0;
        match wire {
            WireType::Varint => {
                decode_varint(&mut rest).map_err(|e| damage(e.to_string()))?;
                cost = 8;
            }
            WireType::ThirtyTwoBit | WireType::SixtyFourBit => {
                let n = if wire == WireType::ThirtyTwoBit { 4 } else { 8 };
                rest = rest.get(n..).ok_or_else(|| damage("the file ends inside a number".into()))?;
            }
            WireType::LengthDelimited => {
                let length = decode_varint(&mut rest).map_err(|e| damage(e.to_string()))?;
                let length = usize::try_from(length).ok().filter(|&n| n <= rest.len()).ok_or_else(|| {
                    damage(format!("field {tag} announces {length} bytes where {} are left", rest.len()))
                })?;
                let (content, after) = rest.split_at(length);
                let begin = base + bytes.len() - rest.len();
                rest = after;
                cost = match kind.field(tag) {
                    Field::Message(inner) => {
                        walk(content, begin, inner, left)?;
                        inner.size()
                    }
                    Field::Varints => content.len().saturating_mul(8),
                    // A string's header; its bytes are the file's own.
                    Field::Plain => 24,
                };
            }
            WireType::StartGroup | WireType::EndGroup => {
                return Err(damage(format!("field {tag} is a group, which the format does not use")));
            }
        }
        *left = left.checked_sub(cost).ok_or_else(|| {
            damage(format!("the messages up to here would take more than {} MiB of memory", BUDGET >> 20))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amplification_is_refused() {
        // Five million empty nodes in ten megabytes would take most of a gigabyte.
        let nodes = [0x0a, 0x00].repeat(5_000_000);
        let mut file = vec![0x3a];
        prost::encoding::encode_varint(nodes.len() as u64, &mut file);
        file.extend(&nodes);
        let damage = scan(&file).unwrap_err();
        assert!(damage.reason.contains("memory") && damage.offset > 1_000_000, "{damage:?}");
        assert!(scan(&file[..5]).unwrap_err().reason.contains("announces"));
    }
}
