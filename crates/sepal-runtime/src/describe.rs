//! Plans for people.

use std::fmt;

use sepal_graph::{Activation, Shape};
use sepal_kernels::elementwise::Binary;
use sepal_kernels::pooling;

use crate::plan::{Plan, Step};
use crate::task::{Apply, Filters, Mixed, Task};

/// A step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct StepInfo {
    /// Path of the node whose arithmetic it is.
    pub path: String,
    /// Kernel and what is fused into it, such as `depthwise 3×3/2 + bias + relu6`.
    pub kind: String,
    /// Shapes of the values it reads, for one image.
    pub inputs: Vec<Shape>,
    /// Shape of the value it writes, for one image.
    pub output: Shape,
    /// Multiply-adds for one image.
    pub macs: u64,
    /// Bytes of inputs, weights and output for one image: what it must read and write at least.
    pub bytes: u64,
    /// Those of them that are weights, which are read once for all images that are computed at a time.
    pub weight_bytes: u64,
    /// Where its inputs start in the arena for one image, in bytes.
    pub input_offsets: Vec<usize>,
    /// Where its output starts in the arena for one image, in bytes; none for the way out.
    pub output_offset: Option<usize>,
}

const FLOAT: usize = size_of::<f32>();

/// The steps of a plan, between the input's way in and the output's way out.
pub(crate) fn describe(plan: &Plan) -> Vec<StepInfo> {
    let (input, output) = (&plan.input, &plan.output);
    let layout = if input.place.pixels { "to pixels" } else { "to channel blocks" };
    let mut infos = vec![StepInfo {
        path: input.path.clone(),
        kind: format!("input {layout}"),
        inputs: Vec::new(),
        output: input.shape.clone(),
        macs: 0,
        bytes: (2 * FLOAT * input.shape.elements()) as u64,
        weight_bytes: 0,
        input_offsets: Vec::new(),
        output_offset: Some(FLOAT * input.place.start(1)),
    }];
    infos.extend(plan.steps.iter().map(|step| describe_step(plan, step)));
    infos.push(StepInfo {
        path: output.path.clone(),
        kind: "output from channel blocks".into(),
        inputs: vec![output.shape.clone()],
        output: output.shape.clone(),
        macs: 0,
        bytes: (2 * FLOAT * output.shape.elements()) as u64,
        weight_bytes: 0,
        input_offsets: vec![FLOAT * output.place.start(1)],
        output_offset: None,
    });
    infos
}

fn describe_step(plan: &Plan, step: &Step) -> StepInfo {
    let (macs, weights) = match &step.task {
        Task::Conv(filters) | Task::Strassen(filters) | Task::Winograd(_, filters) | Task::Depthwise(filters) => {
            (filters.conv.macs(), filters.packed.len())
        }
        Task::Mixed(mixed) => (mixed.conv.macs() + mixed.kernels.len(), mixed.kernels.len()),
        Task::Chain(links) => {
            (links.iter().map(|link| link.conv.macs()).sum(), links.iter().map(|link| link.packed.len()).sum())
        }
        Task::Transposed { conv, packed, .. } => (conv.macs(), packed.len()),
        Task::Apply(_)
        | Task::Binary(_)
        | Task::Scale
        | Task::GatedSum
        | Task::Pool(_)
        | Task::GlobalAverage
        | Task::Softmax
        | Task::LayerNorm { .. }
        | Task::Channels(_)
        | Task::Resample(_)
        | Task::Gather(_)
        | Task::Constant { .. } => (0, 0),
    };
    let shape = |value: &usize| plan.shapes[*value].clone();
    let inputs: Vec<Shape> = step.inputs.iter().map(shape).collect();
    let output = shape(&step.output);
    let floats = inputs.iter().map(Shape::elements).sum::<usize>() + output.elements() + weights;
    StepInfo {
        path: step.path.clone(),
        kind: kind(&step.task),
        inputs,
        output,
        macs: macs as u64,
        bytes: (FLOAT * floats) as u64,
        weight_bytes: (FLOAT * weights) as u64,
        input_offsets: step.inputs.iter().map(|value| FLOAT * plan.places[*value].start(1)).collect(),
        output_offset: Some(FLOAT * plan.places[step.output].start(1)),
    }
}

fn kind(task: &Task) -> String {
    match task {
        Task::Conv(filters) => convolution("conv", filters),
        Task::Strassen(filters) => convolution("Strassen conv", filters),
        Task::Winograd(tile, filters) => {
            let size = tile.outputs();
            convolution(&format!("winograd {size}×{size}, conv"), filters)
        }
        Task::Depthwise(filters) => convolution("depthwise", filters),
        Task::Mixed(Mixed { conv, of, bias, act, .. }) => {
            let bias = if *bias { " + bias" } else { "" };
            let act = act.function.map(|act| format!(" + {act}")).unwrap_or_default();
            format!("depthwise {} mixed of {of}{bias}{act}", window(conv.kernel, conv.stride))
        }
        Task::Chain(links) => {
            let name = |link: &Filters| if link.is_depthwise() { "depthwise" } else { "conv" };
            links.iter().map(|link| convolution(name(link), link)).collect::<Vec<_>>().join(" → ")
        }
        Task::Apply(apply) => applied(apply).join(" + "),
        Task::Transposed { conv, bias, .. } => {
            let bias = if bias.is_some() { " + bias" } else { "" };
            format!("transposed conv {}{bias}", window(conv.kernel, conv.stride))
        }
        Task::Binary(op) => match op {
            Binary::Add => "add",
            Binary::Subtract => "subtract",
            Binary::Multiply => "multiply",
            Binary::Divide => "divide",
        }
        .into(),
        Task::Scale => "scale".into(),
        Task::GatedSum => "gated sum".into(),
        Task::Pool(pool) => {
            let name = match pool.kind {
                pooling::Kind::Max => "max pool",
                pooling::Kind::Average { .. } => "average pool",
            };
            format!("{name} {}", window(pool.kernel, pool.stride))
        }
        Task::GlobalAverage => "global average".into(),
        Task::Softmax => "softmax".into(),
        Task::LayerNorm { .. } => "layer norm".into(),
        Task::Channels(join) => {
            let add = join.add.then(|| "add".to_owned());
            let parts = ["channels".to_owned()].into_iter().chain(add).chain(applied(&join.apply));
            parts.collect::<Vec<_>>().join(" + ")
        }
        Task::Resample(_) => "resample".into(),
        Task::Gather(_) => "rearrange".into(),
        Task::Constant { .. } => "constant".into(),
    }
}

/// An affine map and an activation.
fn applied(apply: &Apply) -> Vec<String> {
    let affine = apply.affine.as_ref().map(|_| "affine".to_owned());
    affine.into_iter().chain(apply.act.function.as_ref().map(Activation::to_string)).collect()
}

fn convolution(name: &str, filters: &Filters) -> String {
    let conv = &filters.conv;
    let mut before = applied(&filters.source);
    before.extend(filters.gate.then(|| "scale".to_owned()));
    let mut text = before.into_iter().map(|part| part + " + ").collect::<String>();
    text += &format!("{name} {}", window(conv.kernel, conv.stride));
    if conv.dilation != [1, 1] {
        text += &format!(" dilated {}", conv.dilation[0].max(conv.dilation[1]));
    }
    if conv.groups != 1 && name == "conv" {
        text += &format!(" in {} groups", conv.groups);
    }
    if filters.scale.is_some() {
        text += " + affine";
    } else if filters.bias.is_some() {
        text += " + bias";
    }
    if filters.add {
        text += " + add";
    }
    if let Some(act) = filters.act.function {
        text += &format!(" + {act}");
    }
    text
}

/// A kernel's height, width and stride as words: `3×3/2`, without the stride where it is 1.
pub fn window([height, width]: [usize; 2], stride: [usize; 2]) -> String {
    match stride {
        [1, 1] => format!("{height}×{width}"),
        [down, right] if down == right => format!("{height}×{width}/{down}"),
        [down, right] => format!("{height}×{width}/{down}×{right}"),
    }
}

/// A step of a plan as words: path, kernel, shapes, MMACs, KiB, places in the arena.
fn cells(info: &StepInfo) -> [String; 6] {
    let list = |items: Vec<String>| items.join(", ");
    let kib = |offset: &usize| format!("{}", *offset as f64 / 1024.0);
    let from = list(info.inputs.iter().map(Shape::to_string).collect());
    let reads = list(info.input_offsets.iter().map(kib).collect());
    [
        info.path.clone(),
        info.kind.clone(),
        format!("{from} → {}", info.output),
        format!("{:.2}", info.macs as f64 / 1e6),
        format!("{:.1}", info.bytes as f64 / 1024.0),
        format!("{reads} → {}", info.output_offset.as_ref().map(kib).unwrap_or_default()),
    ]
}

impl fmt::Display for Plan {
    /// A table with a line per step, for one image, and the memory of a session on one thread. The last column says
    /// where in the arena the step reads and writes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["step", "kernel", "from → to", "MMACs", "KiB moved", "KiB in the arena"].map(String::from);
        let lines: Vec<[String; 6]> = std::iter::once(head).chain(self.describe().iter().map(cells)).collect();
        let widths: [usize; 6] =
            std::array::from_fn(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0));
        for [path, kind, shapes, macs, bytes, places] in &lines {
            let [w0, w1, w2, w3, w4, _] = widths;
            writeln!(f, "{path:w0$}  {kind:w1$}  {shapes:w2$}  {macs:>w3$}  {bytes:>w4$}  {places}")?;
        }
        let memory = self.memory(1);
        let shared = match self.shared_weights() {
            0 => String::new(),
            bytes => format!(" and {:.1} MiB shared", bytes as f64 / (1 << 20) as f64),
        };
        let mib = |bytes: usize| bytes as f64 / (1 << 20) as f64;
        writeln!(
            f,
            "{} on batches up to {} in groups of {}: weights {:.1} MiB{shared}, arena {:.1} MiB, scratch {:.1} MiB",
            self.level.name(),
            self.max_batch(),
            self.group(),
            mib(memory.weights),
            mib(memory.arena),
            mib(memory.scratch)
        )
    }
}
