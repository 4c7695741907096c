//! Operators with a window that slides over maps.

use sepal_graph::{AvgPool, Conv2d, ConvTranspose2d, GlobalAvgPool, MaxPool, Mean, NodeId, Op, PadMode};

use super::super::build::Param;
use super::super::{Fail, Importer, Res};
use crate::onnx::proto::NodeProto;

/// The attributes that all windows share.
struct Window {
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: [usize; 4],
}

impl<'a> Importer<'a> {
    /// Height and width of a map C×H×W.
    fn map(&self, x: NodeId) -> Res<[usize; 3]> {
        let shape = self.built.shape(x)?;
        shape.as_chw().ok_or_else(|| Fail::wrong(format!("reads a value of {shape} per image; maps C×H×W are read")))
    }

    /// The window over a map; `kernel` is that of the weights, which an attribute must not contradict.
    fn window(&self, node: &NodeProto, map: [usize; 3], kernel: Option<[usize; 2]>) -> Res<Window> {
        let said = node.pair("kernel_shape")?;
        let kernel = match (kernel, said) {
            (Some(kernel), said) if said.is_none_or(|said| said == kernel) => kernel,
            (Some(kernel), _) => {
                return Err(Fail::wrong(format!("its kernel_shape {said:?} is not that of its weights, {kernel:?}")));
            }
            (None, Some(kernel)) => kernel,
            (None, None) => return Err(Fail::wrong("has no kernel_shape")),
        };
        let stride = node.pair("strides")?.unwrap_or([1, 1]);
        let dilation = node.pair("dilations")?.unwrap_or([1, 1]);
        let extent = |i: usize| kernel[i].saturating_sub(1).saturating_mul(dilation[i]).saturating_add(1);
        let padding = match node.word("auto_pad") {
            None | Some("NOTSET") => node.quad("pads")?.unwrap_or([0; 4]),
            Some("VALID") => [0; 4],
            Some(same @ ("SAME_UPPER" | "SAME_LOWER")) => {
                let mut padding = [0; 4];
                for i in 0..2 {
                    let size = map[i + 1];
                    let out =
                        size.checked_next_multiple_of(stride[i]).unwrap_or(size).checked_div(stride[i]).unwrap_or(1);
                    let needed = (out - 1).saturating_mul(stride[i]).saturating_add(extent(i));
                    let total = needed.saturating_sub(size);
                    let less = total / 2;
                    let (before, after) =
                        if same == "SAME_UPPER" { (less, total - less) } else { (total - less, less) };
                    padding[i] = before;
                    padding[i + 2] = after;
                }
                padding
            }
            Some(other) => return Err(Fail::wrong(format!("auto_pad {other} is not known"))),
        };
        Ok(Window { kernel, stride, dilation, padding })
    }

    /// Dimensions and the last two of them, of weights for maps.
    fn kernel_dims(&self, node: &'a NodeProto) -> Res<[usize; 4]> {
        let weight = self.weight(node, 1, "weight")?;
        let dims = self.dims_of(&weight)?;
        dims.as_slice().try_into().map_err(|_| match dims.len() {
            3 | 5 => Fail::Missing(format!("{} in {} dimensions", node.op(), dims.len() - 2)),
            _ => Fail::wrong(format!("its weight has the dimensions {dims:?}; four are read")),
        })
    }

    fn groups(node: &NodeProto) -> Res<usize> {
        let groups = node.int("group").unwrap_or(1);
        usize::try_from(groups).map_err(|_| Fail::wrong(format!("its group is {groups}")))
    }

    /// Weight and, where given, bias.
    fn layer_params(&self, node: &'a NodeProto) -> Res<Vec<Param<'a>>> {
        let mut params = vec![Param::of("weight", self.weight(node, 1, "weight")?)];
        if node.given(2).is_some() {
            params.push(Param::of("bias", self.weight(node, 2, "bias")?));
        }
        Ok(params)
    }

    pub(super) fn conv(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let mut x = self.input(node, 0)?;
        let [out_channels, per_group, kh, kw] = self.kernel_dims(node)?;
        let map = self.map(x)?;
        let mut window = self.window(node, map, Some([kh, kw]))?;
        let groups = Self::groups(node)?;
        if per_group.checked_mul(groups) != Some(map[0]) {
            return Err(Fail::wrong(format!(
                "its weight reads {per_group} channels in each of {groups} groups, but there are {}",
                map[0]
            )));
        }
        // Zeros added by a node of its own are padding like any other.
        let made = self.built.get(x)?;
        if let (Op::Pad(pad), [inner]) = (&made.op, made.inputs.as_slice())
            && let (PadMode::Constant(0.0), &[0, top, left], &[0, bottom, right]) =
                (pad.mode, pad.before.as_slice(), pad.after.as_slice())
        {
            x = *inner;
            window.padding.iter_mut().zip([top, left, bottom, right]).for_each(|(all, more)| *all += more);
        }
        let params = self.layer_params(node)?;
        let Window { kernel, stride, dilation, padding } = window;
        let conv = Conv2d { out_channels, kernel, stride, padding, dilation, groups, bias: params.len() > 1 };
        self.add(node, conv, &[x], params)
    }

    pub(super) fn conv_transpose(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let [channels, per_group, kh, kw] = self.kernel_dims(node)?;
        let map = self.map(x)?;
        if channels != map[0] {
            return Err(Fail::wrong(format!("its weight reads {channels} channels, but there are {}", map[0])));
        }
        let automatic = node.word("auto_pad").is_some_and(|pad| pad.starts_with("SAME"));
        if automatic || node.attr("output_shape").is_some() {
            return Err(Fail::Missing("ConvTranspose with an output_shape or auto_pad instead of pads".into()));
        }
        let Window { kernel, stride, dilation, padding } = self.window(node, map, Some([kh, kw]))?;
        let output_padding = node.pair("output_padding")?.unwrap_or([0, 0]);
        let groups = Self::groups(node)?;
        let params = self.layer_params(node)?;
        let bias = params.len() > 1;
        let out_channels = per_group.saturating_mul(groups);
        let conv = ConvTranspose2d { out_channels, kernel, stride, padding, output_padding, dilation, groups, bias };
        self.add(node, conv, &[x], params)
    }

    pub(super) fn max_pool(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        if node.output.get(1).is_some_and(|name| !name.is_empty()) {
            return Err(Fail::Missing("MaxPool with indices".into()));
        }
        let x = self.input(node, 0)?;
        let map = self.map(x)?;
        let mut window = self.window(node, map, None)?;
        if window.dilation != [1, 1] {
            return Err(Fail::Missing("MaxPool with dilation".into()));
        }
        let [bottom, right] = rounded_up(node, map, &window);
        window.padding[2] += bottom;
        window.padding[3] += right;
        let Window { kernel, stride, padding, .. } = window;
        self.add(node, MaxPool { kernel, stride, padding }, &[x], Vec::new())
    }

    pub(super) fn average_pool(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let map = self.map(x)?;
        let mut window = self.window(node, map, None)?;
        if window.dilation != [1, 1] {
            return Err(Fail::Missing("AveragePool with dilation".into()));
        }
        let count_include_pad = node.int("count_include_pad").unwrap_or(0) != 0;
        let more = rounded_up(node, map, &window);
        // What rounding up adds is never counted.
        if more != [0, 0] && count_include_pad && window.padding != [0; 4] {
            return Err(Fail::Missing("AveragePool with ceil_mode that counts its padding".into()));
        }
        let padded = window.padding != [0; 4];
        window.padding[2] += more[0];
        window.padding[3] += more[1];
        let Window { kernel, stride, padding, .. } = window;
        let counts = if padded { count_include_pad } else { padding == [0; 4] && count_include_pad };
        self.add(node, AvgPool { kernel, stride, padding, count_include_pad: counts }, &[x], Vec::new())
    }

    pub(super) fn global_average_pool(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let rank = self.dims(x)?.len();
        if rank == 3 {
            return self.add(node, GlobalAvgPool { keep_dims: true }, &[x], Vec::new());
        }
        self.add(node, Mean { axes: (1..rank).collect(), keep_dims: true }, &[x], Vec::new())
    }

    pub(super) fn global_max_pool(&mut self, node: &'a NodeProto) -> Res<NodeId> {
        let x = self.input(node, 0)?;
        let [_, h, w] = self.map(x)?;
        self.add(node, MaxPool { kernel: [h, w], stride: [1, 1], padding: [0; 4] }, &[x], Vec::new())
    }
}

/// Rows and columns that a pool reads beyond its padding when sizes are rounded up: a last window that begins inside
/// the map or its padding before.
fn rounded_up(node: &NodeProto, map: [usize; 3], window: &Window) -> [usize; 2] {
    if node.int("ceil_mode").unwrap_or(0) == 0 {
        return [0, 0];
    }
    [0, 1].map(|i| {
        let (size, before, after) = (map[i + 1], window.padding[i], window.padding[i + 2]);
        let (kernel, stride) = (window.kernel[i], window.stride[i].max(1));
        let padded = size.saturating_add(before).saturating_add(after);
        let steps = padded.saturating_sub(kernel).div_ceil(stride);
        let begins = steps.saturating_mul(stride);
        if begins >= size.saturating_add(before) { 0 } else { begins.saturating_add(kernel).saturating_sub(padded) }
    })
}
