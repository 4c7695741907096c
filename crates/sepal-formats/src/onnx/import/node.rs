//! Reading a node's attributes.

use crate::onnx::proto::{AttributeProto, NodeProto};

use super::{Fail, Res};

impl NodeProto {
    pub(crate) fn op(&self) -> &str {
        self.op_type.as_deref().unwrap_or_default()
    }

    /// The name of an input that is given: an empty name stands for one that is left out.
    pub(crate) fn given(&self, i: usize) -> Option<&str> {
        self.input.get(i).map(String::as_str).filter(|name| !name.is_empty())
    }

    pub(crate) fn attr(&self, name: &str) -> Option<&AttributeProto> {
        self.attribute.iter().find(|a| a.name.as_deref() == Some(name))
    }

    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        self.attr(name)?.i
    }

    pub(crate) fn ints(&self, name: &str) -> Option<&[i64]> {
        Some(&self.attr(name)?.ints)
    }

    pub(crate) fn float(&self, name: &str) -> Option<f32> {
        self.attr(name)?.f
    }

    pub(crate) fn word(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.attr(name)?.s.as_ref()?).ok()
    }

    /// Two sizes, for height and width.
    pub(super) fn pair(&self, name: &str) -> Res<Option<[usize; 2]>> {
        self.sizes(name)
    }

    /// Four sizes: top, left, bottom, right.
    pub(super) fn quad(&self, name: &str) -> Res<Option<[usize; 4]>> {
        self.sizes(name)
    }

    fn sizes<const N: usize>(&self, name: &str) -> Res<Option<[usize; N]>> {
        let Some(list) = self.ints(name) else { return Ok(None) };
        let sizes = list.iter().map(|&v| usize::try_from(v).ok()).collect::<Option<Vec<usize>>>();
        let sizes = sizes.and_then(|sizes| <[usize; N]>::try_from(sizes).ok());
        let wrong = || Fail::wrong(format!("{name} is {list:?}; {N} sizes are read, of an operator on maps C×H×W"));
        sizes.map(Some).ok_or_else(wrong)
    }
}

/// An axis counted from the front, of a value of `rank` dimensions.
pub(super) fn axis(axis: i64, rank: usize) -> Res<usize> {
    let counted = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    let counted = counted.and_then(|axis| usize::try_from(axis).ok()).filter(|&axis| axis < rank);
    counted.ok_or_else(|| Fail::wrong(format!("there is no axis {axis} among {rank} dimensions")))
}

/// As [`axis`], of an activation of `rank` dimensions without the batch: counted without it, and never it.
pub(super) fn image_axis(index: i64, rank: usize) -> Res<usize> {
    axis(index, rank + 1)?.checked_sub(1).ok_or_else(|| {
        Fail::wrong(format!("axis {index} is the batch: what it computes would depend on the other images"))
    })
}
