//! Resizing and padding.

use sepal_graph::{Coordinates, Interpolate, Interpolation, NodeId, Pad, PadMode, ResizeTo, Rounding};

use super::super::node::image_axis;
use super::super::{Fail, Importer, Res};
use crate::onnx::array::{Data, Int};
use crate::onnx::proto::NodeProto;

impl<'a> Importer<'a> {
    pub(super) fn resize(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let shape = self.dims(x)?;
        let &[channels, height, width] = shape.as_slice() else {
            return Err(Fail::wrong(format!("reads values of {shape:?} per image; maps C×H×W are read")));
        };
        // Before opset 11 there was neither a region nor a choice of coordinates.
        let simple = node.op() == "Upsample" || self.opset < 11;
        let (scales, sizes) = if simple { (1, usize::MAX) } else { (2, 3) };
        let to = match self.resize_list(node, sizes, "sizes")? {
            Some(sizes) => {
                let whole = |v: &Entry| match v {
                    Entry::Known(v) if *v >= 1.0 && v.fract() == 0.0 => Some(*v as usize),
                    Entry::Known(_) | Entry::Batch => None,
                };
                match sizes.iter().map(whole).collect::<Vec<_>>().as_slice() {
                    [_, Some(c), Some(h), Some(w)] if *c == channels && self.is_batch(sizes.first()) => {
                        ResizeTo::Size([*h, *w])
                    }
                    _ => return Err(Fail::wrong(format!("its sizes are not those of {channels} channels per image"))),
                }
            }
            None => {
                let list = match node.attr("scales").filter(|_| node.given(scales).is_none()) {
                    Some(scales) => Some(scales.floats.iter().map(|&v| Entry::Known(f64::from(v))).collect()),
                    None => self.resize_list(node, scales, "scales")?,
                };
                match list.as_deref() {
                    Some([Entry::Known(1.0), Entry::Known(1.0), Entry::Known(h), Entry::Known(w)]) => {
                        ResizeTo::Scale([*h as f32, *w as f32])
                    }
                    Some(_) => return Err(Fail::wrong("its scales are not those of height and width alone")),
                    None => return Err(Fail::wrong("has neither scales nor sizes")),
                }
            }
        };
        if node.int("antialias").unwrap_or(0) != 0 || node.int("exclude_outside").unwrap_or(0) != 0 {
            return Err(Fail::Missing("Resize with antialias or exclude_outside".into()));
        }
        if node.word("keep_aspect_ratio_policy").is_some_and(|policy| policy != "stretch") {
            return Err(Fail::Missing("Resize that keeps the aspect ratio".into()));
        }
        if to == ResizeTo::Scale([1.0, 1.0]) || to == ResizeTo::Size([height, width]) {
            return Ok(x);
        }
        let coordinates = match node.word("coordinate_transformation_mode") {
            _ if simple => Coordinates::Asymmetric,
            None | Some("half_pixel") => Coordinates::HalfPixel,
            Some("pytorch_half_pixel") => Coordinates::PytorchHalfPixel,
            Some("align_corners") => Coordinates::AlignCorners,
            Some("asymmetric") => Coordinates::Asymmetric,
            Some(other) => return Err(Fail::Missing(format!("Resize with coordinates {other}"))),
        };
        let shrinks = matches!(to, ResizeTo::Scale([h, w]) if h < 1.0 || w < 1.0);
        let mode = match (node.word("mode").unwrap_or("nearest"), node.word("nearest_mode")) {
            ("nearest", _) if simple => Interpolation::Nearest(if shrinks { Rounding::Ceil } else { Rounding::Floor }),
            ("nearest", None | Some("round_prefer_floor")) => Interpolation::Nearest(Rounding::HalfDown),
            ("nearest", Some("round_prefer_ceil")) => Interpolation::Nearest(Rounding::HalfUp),
            ("nearest", Some("floor")) => Interpolation::Nearest(Rounding::Floor),
            ("nearest", Some("ceil")) => Interpolation::Nearest(Rounding::Ceil),
            ("linear" | "bilinear", _) => Interpolation::Bilinear,
            ("cubic", _) if node.float("cubic_coeff_a").unwrap_or(-0.75) == -0.75 => Interpolation::Bicubic,
            (mode, _) => return Err(Fail::Missing(format!("{} with mode {mode}", node.op()))),
        };
        self.add(node, Interpolate { to, mode, coordinates }, &[x], Vec::new())
    }

    /// A list of four numbers for batch, channels, height and width; one given for some axes only is filled up.
    fn resize_list(&mut self, node: &'a NodeProto, i: usize, what: &str) -> Res<Option<Vec<Entry>>> {
        if node.given(i).is_none() {
            return Ok(None);
        }
        let constant = self.weight(node, i, what)?;
        let array = self.array(&constant)?;
        let mut list: Vec<Entry> = match &array.data {
            Data::Float(values) => values.iter().map(|&v| Entry::Known(f64::from(v))).collect(),
            Data::Int(values) => values.iter().map(|&v| Entry::from(v)).collect(),
        };
        if list.is_empty() {
            return Ok(None);
        }
        if let Some(axes) = node.ints("axes") {
            let x = self.input(node, 0)?;
            let dims = self.dims(x)?;
            let mut full: Vec<Entry> = match what {
                "scales" => vec![Entry::Known(1.0); dims.len() + 1],
                _ => std::iter::once(Entry::Batch).chain(dims.iter().map(|&n| Entry::Known(n as f64))).collect(),
            };
            for (&axis, entry) in axes.iter().zip(&list) {
                full[image_axis(axis, dims.len())? + 1] = *entry;
            }
            list = full;
        }
        Ok(Some(list))
    }

    /// Whether an entry of a list of sizes is the batch's.
    fn is_batch(&self, entry: Option<&Entry>) -> bool {
        match entry {
            Some(Entry::Batch) => true,
            Some(Entry::Known(n)) => self.batch.is_some_and(|batch| batch as f64 == *n),
            None => false,
        }
    }

    pub(super) fn pad(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let rank = self.dims(x)?.len();
        let pads = match node.ints("pads") {
            Some(pads) => pads.to_vec(),
            None => self.known_ints(node, 1, "pads")?.ok_or_else(|| Fail::wrong("has no pads"))?,
        };
        let axes = self.known_ints(node, 3, "axes")?.unwrap_or_else(|| (0..=rank as i64).collect());
        let wrong = || Fail::wrong(format!("its pads {pads:?} are not two for each of {} axes", axes.len()));
        if pads.len() != axes.len().saturating_mul(2) {
            return Err(wrong());
        }
        let (first, second) = pads.split_at(axes.len());
        let (mut before, mut after) = (vec![0; rank], vec![0; rank]);
        for ((&axis, &b), &a) in axes.iter().zip(first).zip(second) {
            if (b, a) == (0, 0) {
                continue;
            }
            let axis = image_axis(axis, rank)?;
            if b < 0 || a < 0 {
                return Err(Fail::Missing("Pad with negative pads".into()));
            }
            before[axis] = usize::try_from(b).map_err(|_| wrong())?;
            after[axis] = usize::try_from(a).map_err(|_| wrong())?;
        }
        let value = match node.given(2) {
            Some(name) => self.scalar(name).ok_or_else(|| Fail::Missing("Pad with a computed value".into()))?,
            None => node.float("value").unwrap_or(0.0),
        };
        let mode = match node.word("mode") {
            None | Some("constant") => PadMode::Constant(value),
            Some("reflect") => PadMode::Reflect,
            Some("edge") => PadMode::Edge,
            Some(other) => return Err(Fail::Missing(format!("Pad with mode {other}"))),
        };
        if before.iter().chain(&after).all(|&n| n == 0) {
            return Ok(x);
        }
        self.add(node, Pad { before, after, mode }, &[x], Vec::new())
    }
}

/// An entry of a list of scales or sizes.
#[derive(Clone, Copy)]
enum Entry {
    Known(f64),
    Batch,
}

impl From<Int> for Entry {
    fn from(value: Int) -> Self {
        match value {
            Int::Known(v) => Self::Known(v as f64),
            Int::Batch => Self::Batch,
        }
    }
}
