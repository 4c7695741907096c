//! What units compute.

use std::ops::Range;

use sepal_kernels::arrange::{Channels, Gather, Taps};
use sepal_kernels::elementwise::Binary;
use sepal_kernels::pooling::Pool;
use sepal_kernels::{Conv, Dims, conv, depthwise, elementwise, layer_norm, scale};

use super::plan::flat_len;

/// What a unit computes. Ranges are of the parameters.
#[derive(Clone)]
pub(super) enum Kind {
    /// The pictures; dense pixels where only convolutions read them, else channel blocks.
    Input {
        pixels: bool,
    },
    Conv {
        conv: Conv,
        weight: Range<usize>,
        bias: Option<Range<usize>>,
    },
    Depthwise {
        conv: Conv,
        weight: Range<usize>,
        bias: Option<Range<usize>>,
    },
    /// A transposed convolution; `conv` leads from its output to its input.
    Transposed {
        conv: Conv,
        weight: Range<usize>,
        bias: Option<Range<usize>>,
    },
    /// Arithmetic on two values of one size.
    Binary(Binary),
    /// A map, which is input `map`, times the other input: a number for each of its channels.
    Scale {
        map: usize,
    },
    /// The first input weighs the others.
    GatedSum,
    /// Channels of each input, and channels that are `value`.
    Channels {
        parts: Vec<Channels>,
        fills: Vec<Range<usize>>,
        value: f32,
    },
    /// Pixels made of pixels, and the way back.
    Resample {
        taps: Taps,
        back: Taps,
    },
    /// Elements from anywhere in an input of that size, and the way back.
    Gather {
        input: Dims,
        gather: Gather,
        back: Gather,
    },
    /// Over the channels.
    Softmax,
    /// Over the channels.
    LayerNorm {
        gamma: Option<Range<usize>>,
        beta: Option<Range<usize>>,
        eps: f32,
    },
    /// Values of the network itself: among the parameters if `learnt`, else among the buffers.
    Constant {
        values: Range<usize>,
        learnt: bool,
    },
    Pool(Pool),
    GlobalAvgPool {
        input: Dims,
    },
    Dropout {
        p: f32,
    },
    Copy,
}

impl Kind {
    /// Whether the reverse step reads the inputs' values again.
    pub(super) fn rereads_input(&self) -> bool {
        match self {
            Self::Conv { .. }
            | Self::Depthwise { .. }
            | Self::Transposed { .. }
            | Self::Scale { .. }
            | Self::GatedSum
            | Self::LayerNorm { .. }
            | Self::Pool(_) => true,
            Self::Binary(op) => op.rereads(),
            Self::Input { .. }
            | Self::Channels { .. }
            | Self::Resample { .. }
            | Self::Gather { .. }
            | Self::Softmax
            | Self::Constant { .. }
            | Self::GlobalAvgPool { .. }
            | Self::Dropout { .. }
            | Self::Copy => false,
        }
    }

    /// Whether the reverse step reads what was computed.
    pub(super) fn rereads_result(&self) -> bool {
        matches!(self, Self::Softmax)
    }

    /// Chunks of the sums of its input's norm that its reverse step takes, if it can.
    pub(super) fn grad_chunks(&self) -> Option<usize> {
        match self {
            Self::Conv { conv, .. } => conv::grad_chunks(conv),
            Self::Depthwise { conv, .. } => Some(depthwise::grad_chunks(conv)),
            _ => None,
        }
    }

    /// Floats of its weights and biases.
    pub(super) fn weights(&self) -> usize {
        let len = |range: &Option<Range<usize>>| range.as_ref().map_or(0, Range::len);
        match self {
            Self::Conv { weight, bias, .. }
            | Self::Depthwise { weight, bias, .. }
            | Self::Transposed { weight, bias, .. } => weight.len() + len(bias),
            Self::LayerNorm { gamma, beta, .. } => len(gamma) + len(beta),
            Self::Constant { values, .. } => values.len(),
            _ => 0,
        }
    }

    /// Whether it only brings values elsewhere, so that its reverse step does the same to the gradient.
    pub(super) fn moves(&self) -> bool {
        matches!(self, Self::Channels { .. } | Self::Resample { .. } | Self::Gather { .. } | Self::Constant { .. })
    }

    /// Floats of scratch and of packed weights of the forward step, with a result of `dims`.
    pub(super) fn forward_working(&self, dims: &Dims, threads: usize) -> [usize; 2] {
        match self {
            Self::Conv { conv, .. } => [conv::forward_scratch(conv, threads), conv::packed_len(conv)],
            Self::Depthwise { conv, .. } => [depthwise::forward_scratch(conv, threads), depthwise::packed_len(conv)],
            Self::Transposed { conv, .. } => {
                [conv::transposed::forward_scratch(conv, threads), conv::packed_back_len(conv)]
            }
            Self::Gather { input, .. } => [input.len(), 0],
            Self::Constant { .. } => [flat_len(dims), 0],
            _ => [0, 0],
        }
    }

    /// The same of the reverse step.
    pub(super) fn backward_working(&self, dims: &Dims, threads: usize, wants_input: bool) -> [usize; 2] {
        match self {
            Self::Conv { conv, .. } => {
                [conv::backward_scratch(conv, threads), if wants_input { conv::packed_back_len(conv) } else { 0 }]
            }
            Self::Depthwise { conv, .. } => [depthwise::backward_scratch(conv, threads), depthwise::packed_len(conv)],
            Self::Transposed { conv, .. } => {
                let sums = elementwise::channel_sums_scratch(dims);
                let packed = if wants_input { conv::packed_len(conv) } else { 0 };
                [conv::transposed::backward_scratch(conv, threads).max(sums), packed]
            }
            Self::Constant { .. } => [dims.len() + flat_len(dims), 0],
            Self::GatedSum => [scale::image_grad_scratch(dims), 0],
            Self::LayerNorm { .. } => [layer_norm::backward_scratch(dims, threads), 0],
            // The gradient, where readers applied something.
            _ if self.moves() => [dims.len(), 0],
            _ => [0, 0],
        }
    }
}
