//! Sizes of a convolution, and how its operands come in and its result goes out.

use crate::act::Act;
use crate::layout::{Dims, LANES};
use crate::norm::GradSums;
use crate::source::Source;

/// What stands for an absent bias.
pub(crate) static ZEROS: [f32; LANES] = [0.0; LANES];

/// Sizes of a convolution: standard, pointwise, grouped or depthwise.
///
/// A linear layer is a pointwise convolution of 1×1 pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Size of the input.
    pub input: Dims,
    /// Size of the output: `n` as the input's, `c` the number of filters.
    pub output: Dims,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Pixels from one position of the kernel to the next, down and right.
    pub stride: [usize; 2],
    /// Zeros above and to the left of the input; those below and to the right follow from the output.
    pub padding: [usize; 2],
    /// Pixels from one tap to the next; 1 is dense.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other; divides both channel counts.
    pub groups: usize,
}

impl Conv {
    /// A 1×1 convolution with stride 1 from `input` to `filters` channels.
    pub const fn pointwise(input: Dims, filters: usize) -> Self {
        let output = Dims { c: filters, ..input };
        Self { input, output, kernel: [1, 1], stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 }
    }

    /// Taps of the kernel.
    pub const fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Floats of the weight in `O, I/groups, kH, kW` order.
    pub const fn weight_len(&self) -> usize {
        self.output.c * (self.input.c / self.groups) * self.taps()
    }

    /// Multiply-adds of one forward pass.
    pub const fn macs(&self) -> usize {
        self.output.n * self.output.h * self.output.w * self.weight_len()
    }

    /// Whether each channel is filtered on its own.
    pub fn is_depthwise(&self) -> bool {
        self.groups == self.input.c && self.groups == self.output.c
    }

    /// Whether every output pixel is a matrix product of the input pixel at the same place.
    pub fn is_pointwise(&self) -> bool {
        self.taps() == 1
            && self.stride == [1, 1]
            && self.padding == [0, 0]
            && (self.input.h, self.input.w) == (self.output.h, self.output.w)
    }

    /// Panics where the sizes contradict each other; kernels rely on what is checked here.
    pub(crate) fn check(&self) {
        let Self { input, output, kernel, stride, dilation, groups, .. } = self;
        assert!(groups * (input.c / groups) == input.c && groups * (output.c / groups) == output.c, "groups: {self:?}");
        assert!(input.n == output.n, "images: {self:?}");
        assert!(kernel.iter().chain(stride).chain(dilation).all(|&size| size > 0), "zero size: {self:?}");
    }
}

/// What a convolution reads.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// Channel blocks, with what is still to be applied to them.
    Blocked(Source<'a>),
    /// Channel blocks, each image's channels times numbers of their own: `[n, c, 1, 1]`, the second.
    Gated(&'a [f32], &'a [f32]),
    /// Pictures: dense `N, H, W, C` floats, for the few channels of a first layer (`C < 16`).
    Pixels(&'a [f32]),
}

/// What happens to a result before it is stored: `act(scale·result + bias + add)`.
#[derive(Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// Per output channel, padded to whole blocks: a norm whose convolution's weights are not its own. Not of depthwise
    /// convolutions.
    pub scale: Option<&'a [f32]>,
    /// Per output channel, padded to whole blocks.
    pub bias: Option<&'a [f32]>,
    /// A tensor of the output's size, in channel blocks.
    pub add: Option<&'a [f32]>,
    /// The activation.
    pub act: Act<'a>,
}

/// Whether a gradient replaces what is there or is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Replaces.
    Set,
    /// Adds.
    Add,
}

/// Where the gradient of a convolution's input goes.
pub struct InputGrad<'a> {
    /// The gradient of the input's value, in channel blocks.
    pub dx: &'a mut [f32],
    /// Whether it is set or added to.
    pub write: Write,
    /// The sums of the norm that the input's source applies, which are taken of what is written. Not of what is added to.
    pub sums: Option<GradSums<'a>>,
}

impl<'a> Epilogue<'a> {
    /// Whether its vectors are long enough for a result of `dims`.
    pub(crate) fn fits(&self, dims: &Dims) -> bool {
        let channels = dims.blocks() * LANES;
        let is_vector = |values: Option<&[f32]>| values.is_none_or(|values| values.len() >= channels);
        is_vector(self.scale) && is_vector(self.bias) && self.add.is_none_or(|add| add.len() >= dims.len())
    }

    /// What sums of panel `panel` begin with, and the scale and shift that they get once they are complete.
    #[inline(always)]
    pub(crate) fn parts(&self, panel: usize) -> (Option<*const f32>, Option<[*const f32; 2]>) {
        let bias = self.bias.map(
            #[inline(always)]
            |bias| bias[panel * LANES..][..LANES].as_ptr(),
        );
        match self.scale {
            None => (bias, None),
            Some(scale) => {
                let scale = scale[panel * LANES..][..LANES].as_ptr();
                (None, Some([scale, bias.unwrap_or(ZEROS.as_ptr())]))
            }
        }
    }
}

impl<'a> InputGrad<'a> {
    /// To `dx`, and no sums.
    pub const fn new(dx: &'a mut [f32], write: Write) -> Self {
        Self { dx, write, sums: None }
    }
}
