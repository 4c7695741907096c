//! What each operator becomes.

use sepal_graph::{
    Constant, Conv2d, ConvTranspose2d, Coordinates, Interpolate, Interpolation, Linear, Node, NodeId, Op, Pad, PadMode,
    ResizeTo, Result, Rounding,
};

use super::activation;
use super::writer::{Writer, float, floats, int, ints, tensor, word};
use crate::onnx::proto::AttributeProto;

/// Writes a node. Its dimension `i` is the file's dimension `i + 1`, the first one being the batch.
pub(super) fn write(w: &mut Writer<'_>, id: NodeId, node: &Node) -> Result<()> {
    let path = node.path.as_str();
    let inputs: Vec<String> = node.inputs.iter().map(|input| w.value(*input).to_owned()).collect();
    let first = node.inputs.first().copied().unwrap_or(id);
    match &node.op {
        Op::Input(_) => {}
        Op::Conv2d(conv) => conv2d(w, id, path, first, conv)?,
        Op::ConvTranspose2d(conv) => conv_transpose2d(w, id, path, first, conv)?,
        Op::BatchNorm(norm) => {
            let c = w.shape(first)?.channels();
            let [scale, shift] = if norm.affine {
                [w.param(path, "weight", &[c])?, w.param(path, "bias", &[c])?]
            } else {
                [w.floats(path, "scale", &[c], &vec![1.0; c]), w.floats(path, "shift", &[c], &vec![0.0; c])]
            };
            let statistics = [w.param(path, "running_mean", &[c])?, w.param(path, "running_var", &[c])?];
            let [mean, var] = statistics;
            let inputs = inputs.into_iter().chain([scale, shift, mean, var]).collect();
            // The format weighs the old statistics.
            let attributes = vec![float("epsilon", norm.eps), float("momentum", 1.0 - norm.momentum)];
            w.node(id, "BatchNormalization", inputs, attributes);
        }
        Op::Activation(act) => activation::write(w, id, path, *act, first)?,
        Op::Add(_) => w.node(id, "Add", inputs, Vec::new()),
        Op::Subtract(_) => w.node(id, "Sub", inputs, Vec::new()),
        Op::Multiply(_) => w.node(id, "Mul", inputs, Vec::new()),
        Op::Divide(_) => w.node(id, "Div", inputs, Vec::new()),
        Op::Constant(constant) => self::constant(w, id, path, constant)?,
        Op::Concat(concat) => {
            let mixed = node.inputs.iter().any(|input| w.is_batched(*input));
            let mut list = Vec::with_capacity(inputs.len());
            for &input in &node.inputs {
                list.push(if mixed { w.repeated(input, path)? } else { w.value(input).to_owned() });
            }
            w.node(id, "Concat", list, vec![int("axis", concat.axis as i64 + 1)]);
        }
        Op::Slice(slice) => {
            let parts = [
                ("starts", slice.start as i64),
                ("ends", slice.end as i64),
                ("axes", slice.axis as i64 + 1),
                ("steps", slice.step as i64),
            ];
            let parts = parts.map(|(what, value)| w.ints(path, what, &[value]));
            w.node(id, "Slice", inputs.into_iter().chain(parts).collect(), Vec::new());
        }
        Op::Pad(pad) => self::pad(w, id, path, inputs, pad),
        Op::Interpolate(resize) => interpolate(w, id, path, inputs, first, resize)?,
        Op::Reshape(_) => {
            let shape = reshape_to(w, path, w.shape(id)?.dims());
            w.node(id, "Reshape", inputs.into_iter().chain([shape]).collect(), Vec::new());
        }
        Op::Transpose(transpose) => {
            let order: Vec<usize> = std::iter::once(0).chain(transpose.order.iter().map(|axis| axis + 1)).collect();
            w.node(id, "Transpose", inputs, vec![ints("perm", &order)]);
        }
        Op::Softmax(softmax) => w.node(id, "Softmax", inputs, vec![int("axis", softmax.axis as i64 + 1)]),
        Op::Mean(mean) => {
            let axes: Vec<usize> = mean.axes.iter().map(|axis| axis + 1).collect();
            let rank = w.shape(first)?.rank();
            let attributes = |keep: bool| vec![ints("axes", &axes), int("keepdims", i64::from(keep))];
            if mean.keep_dims || axes.len() < rank || rank == 1 {
                w.node(id, "ReduceMean", inputs, attributes(mean.keep_dims || axes.len() == rank));
            } else {
                let all = w.helper(path, "mean", "ReduceMean", inputs, attributes(true));
                let shape = reshape_to(w, path, &[1]);
                w.node(id, "Reshape", vec![all, shape], Vec::new());
            }
        }
        Op::LayerNorm(norm) => {
            let size = w.shape(first)?.dims().last().copied().unwrap_or(1);
            let mut inputs = inputs;
            if norm.affine {
                inputs.push(w.param(path, "weight", &[size])?);
                inputs.push(w.param(path, "bias", &[size])?);
            } else {
                inputs.push(w.floats(path, "scale", &[size], &vec![1.0; size]));
            }
            w.node(id, "LayerNormalization", inputs, vec![int("axis", -1), float("epsilon", norm.eps)]);
        }
        Op::GatedSum(_) => gated_sum(w, id, path, &node.inputs)?,
        Op::MaxPool(pool) => {
            w.node(id, "MaxPool", inputs, window(pool.kernel, pool.stride, pool.padding));
        }
        Op::AvgPool(pool) => {
            let mut attributes = window(pool.kernel, pool.stride, pool.padding);
            attributes.push(int("count_include_pad", i64::from(pool.count_include_pad)));
            w.node(id, "AveragePool", inputs, attributes);
        }
        Op::GlobalAvgPool(pool) if pool.keep_dims => w.node(id, "GlobalAveragePool", inputs, Vec::new()),
        Op::GlobalAvgPool(_) => {
            let mean = w.helper(path, "mean", "GlobalAveragePool", inputs, Vec::new());
            w.node(id, "Flatten", vec![mean], vec![int("axis", 1)]);
        }
        Op::Linear(linear) => self::linear(w, id, path, inputs, first, linear)?,
        Op::Dropout(dropout) => {
            let ratio = w.scalar(path, "ratio", dropout.p);
            w.node(id, "Dropout", inputs.into_iter().chain([ratio]).collect(), Vec::new());
        }
        Op::Flatten(_) => w.node(id, "Flatten", inputs, vec![int("axis", 1)]),
    }
    Ok(())
}

fn window(kernel: [usize; 2], stride: [usize; 2], padding: [usize; 4]) -> Vec<AttributeProto> {
    vec![ints("kernel_shape", &kernel), ints("strides", &stride), ints("pads", &padding)]
}

fn conv2d(w: &mut Writer<'_>, id: NodeId, path: &str, x: NodeId, conv: &Conv2d) -> Result<()> {
    let mut inputs = vec![w.value(x).to_owned()];
    let dims = w.tensor(path, "weight")?.shape();
    inputs.push(w.param(path, "weight", dims)?);
    if conv.bias {
        inputs.push(w.param(path, "bias", &[conv.out_channels])?);
    }
    let mut attributes = window(conv.kernel, conv.stride, conv.padding);
    attributes.extend([ints("dilations", &conv.dilation), int("group", conv.groups as i64)]);
    w.node(id, "Conv", inputs, attributes);
    Ok(())
}

fn conv_transpose2d(w: &mut Writer<'_>, id: NodeId, path: &str, x: NodeId, conv: &ConvTranspose2d) -> Result<()> {
    let mut inputs = vec![w.value(x).to_owned()];
    let dims = w.tensor(path, "weight")?.shape();
    inputs.push(w.param(path, "weight", dims)?);
    if conv.bias {
        inputs.push(w.param(path, "bias", &[conv.out_channels])?);
    }
    let mut attributes = window(conv.kernel, conv.stride, conv.padding);
    attributes.extend([
        ints("dilations", &conv.dilation),
        int("group", conv.groups as i64),
        ints("output_padding", &conv.output_padding),
    ]);
    w.node(id, "ConvTranspose", inputs, attributes);
    Ok(())
}

/// A learnt constant is an initializer, one that training leaves alone a node of the graph.
fn constant(w: &mut Writer<'_>, id: NodeId, path: &str, constant: &Constant) -> Result<()> {
    let dims: Vec<usize> = std::iter::once(1).chain(constant.shape.dims().iter().copied()).collect();
    if constant.learnt {
        let value = w.param(path, "value", &dims)?;
        w.node(id, "Identity", vec![value], Vec::new());
    } else {
        let value = floats(format!("{path}.value"), &dims, w.tensor(path, "value")?.data());
        w.node(id, "Constant", Vec::new(), vec![tensor("value", value)]);
    }
    Ok(())
}

fn pad(w: &mut Writer<'_>, id: NodeId, path: &str, mut inputs: Vec<String>, pad: &Pad) {
    let sides = [&pad.before, &pad.after];
    let pads: Vec<i64> =
        sides.into_iter().flat_map(|side| std::iter::once(0).chain(side.iter().map(|&n| n as i64))).collect();
    inputs.push(w.ints(path, "pads", &pads));
    let mode = match pad.mode {
        PadMode::Constant(value) => {
            inputs.push(w.scalar(path, "constant", value));
            "constant"
        }
        PadMode::Reflect => "reflect",
        PadMode::Edge => "edge",
    };
    w.node(id, "Pad", inputs, vec![word("mode", mode)]);
}

fn interpolate(
    w: &mut Writer<'_>,
    id: NodeId,
    path: &str,
    mut inputs: Vec<String>,
    x: NodeId,
    resize: &Interpolate,
) -> Result<()> {
    // No region of interest.
    inputs.push(String::new());
    match resize.to {
        ResizeTo::Scale([h, width]) => inputs.push(w.floats(path, "scales", &[4], &[1.0, 1.0, h, width])),
        ResizeTo::Size([h, width]) => {
            let channels = w.shape(x)?.channels();
            let sizes = w.batch_and(path, &[channels, h, width])?;
            inputs.extend([String::new(), sizes]);
        }
    }
    let mut attributes = vec![word(
        "coordinate_transformation_mode",
        match resize.coordinates {
            Coordinates::HalfPixel => "half_pixel",
            Coordinates::PytorchHalfPixel => "pytorch_half_pixel",
            Coordinates::AlignCorners => "align_corners",
            Coordinates::Asymmetric => "asymmetric",
        },
    )];
    match resize.mode {
        Interpolation::Nearest(rounding) => {
            let rounding = match rounding {
                Rounding::Floor => "floor",
                Rounding::Ceil => "ceil",
                Rounding::HalfDown => "round_prefer_floor",
                Rounding::HalfUp => "round_prefer_ceil",
            };
            attributes.extend([word("mode", "nearest"), word("nearest_mode", rounding)]);
        }
        Interpolation::Bilinear => attributes.push(word("mode", "linear")),
        Interpolation::Bicubic => attributes.extend([word("mode", "cubic"), float("cubic_coeff_a", -0.75)]),
    }
    w.node(id, "Resize", inputs, attributes);
    Ok(())
}

/// The batch dimension as it is, then `dims`.
fn reshape_to(w: &mut Writer<'_>, path: &str, dims: &[usize]) -> String {
    let shape: Vec<i64> = std::iter::once(0).chain(dims.iter().map(|&size| size as i64)).collect();
    w.ints(path, "shape", &shape)
}

fn linear(w: &mut Writer<'_>, id: NodeId, path: &str, inputs: Vec<String>, x: NodeId, linear: &Linear) -> Result<()> {
    let shape = w.shape(x)?;
    let (size, filters) = (shape.dims().last().copied().unwrap_or(1), linear.out_features);
    let mut inputs = inputs;
    if shape.rank() == 1 {
        inputs.push(w.param(path, "weight", &[filters, size])?);
        if linear.bias {
            inputs.push(w.param(path, "bias", &[filters])?);
        }
        w.node(id, "Gemm", inputs, vec![int("transB", 1)]);
        return Ok(());
    }
    // The general product takes no transposed matrix.
    let weight = w.tensor(path, "weight")?.data();
    let turned: Vec<f32> = (0..size).flat_map(|i| weight.iter().skip(i).step_by(size).copied()).collect();
    inputs.push(w.param_of(path, "weight", &[size, filters], &turned));
    if linear.bias {
        let product = w.helper(path, "product", "MatMul", inputs, Vec::new());
        let bias = w.param(path, "bias", &[filters])?;
        w.node(id, "Add", vec![product, bias], Vec::new());
    } else {
        w.node(id, "MatMul", inputs, Vec::new());
    }
    Ok(())
}

/// The gate's values one by one times their inputs, and the sum of the products.
fn gated_sum(w: &mut Writer<'_>, id: NodeId, path: &str, inputs: &[NodeId]) -> Result<()> {
    let (Some((gate, terms)), rank) = (inputs.split_first(), w.shape(id)?.rank()) else { return Ok(()) };
    let gate = w.value(*gate).to_owned();
    let ones = vec![1; rank];
    let shape = reshape_to(w, path, &ones);
    let axis = w.ints(path, "axis", &[1]);
    let mut products = Vec::with_capacity(terms.len());
    for (d, term) in terms.iter().enumerate() {
        let [start, end] = [d as i64, d as i64 + 1];
        let range = [w.ints(path, "start", &[start]), w.ints(path, "end", &[end])];
        let [start, end] = range;
        let part = w.helper(path, "gate", "Slice", vec![gate.clone(), start, end, axis.clone()], Vec::new());
        let part = w.helper(path, "weight", "Reshape", vec![part, shape.clone()], Vec::new());
        let term = w.value(*term).to_owned();
        products.push(w.helper(path, "product", "Mul", vec![term, part], Vec::new()));
    }
    w.node(id, "Sum", products, Vec::new());
    Ok(())
}
