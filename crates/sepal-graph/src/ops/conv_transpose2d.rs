//! Transposed convolution.

use serde::{Deserialize, Serialize};

use super::window::Filters;
use super::{Operator, channels, map_input};
use crate::{Error, OpParam, Result, Role, Shape, limits};

/// The transpose of a convolution, which enlarges maps (Dumoulin & Visin 2016, arXiv:1603.07285, chapter 4).
///
/// `[I, H, W]` to `[O, H', W']` with `H' = (H − 1)·s + d(k−1) + 1 + extra − top − bottom`: every input value
/// adds its kernel, scaled, to the output. Weight `[I, O/groups, kH, kW]`, as PyTorch stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvTranspose2d {
    /// Output channels, O.
    pub out_channels: usize,
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride: the factors of enlargement.
    pub stride: [usize; 2],
    /// Rows and columns cut off the output at top, left, bottom, right.
    pub padding: [usize; 4],
    /// Rows and columns added at the bottom and right, which only the bias reaches unless padding was cut.
    pub output_padding: [usize; 2],
    /// Vertical and horizontal distance of the kernel's taps.
    pub dilation: [usize; 2],
    /// Groups, K: I/K input channels reach O/K output channels.
    pub groups: usize,
    /// Whether a bias is added per output channel.
    pub bias: bool,
}

impl ConvTranspose2d {
    /// A k×k kernel of that stride, without padding or bias: `k = stride` enlarges that many times.
    #[must_use]
    pub fn new(out_channels: usize, k: usize, stride: usize) -> Self {
        Self {
            out_channels,
            kernel: [k, k],
            stride: [stride, stride],
            padding: [0; 4],
            output_padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
            bias: false,
        }
    }

    /// Weights for one input channel.
    fn filter(&self) -> Option<u64> {
        let [kh, kw] = self.kernel;
        ((self.out_channels / self.groups.max(1)) as u64).checked_mul(kh as u64)?.checked_mul(kw as u64)
    }

    fn filters(&self) -> Filters {
        let Self { out_channels, kernel, stride, padding, dilation, groups, .. } = *self;
        Filters { out_channels, kernel, stride, padding, dilation, groups }
    }
}

impl Operator for ConvTranspose2d {
    fn title(&self, _: &[&Shape]) -> String {
        "ConvTranspose2d".into()
    }

    fn check(&self) -> Result<()> {
        limits::window("output_padding", &self.output_padding, 0)?;
        self.filters().check()
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        self.check()?;
        let [c_in, h, w] = map_input("conv_transpose2d", inputs)?;
        self.filters().check_groups(c_in)?;
        let [top, left, bottom, right] = self.padding;
        let size = |i: usize, size: usize, cut: usize| {
            let taps = self.dilation[i] * (self.kernel[i] - 1) + 1;
            let full = (size - 1).saturating_mul(self.stride[i]).saturating_add(taps + self.output_padding[i]);
            // The extra rows must not reach past what the strides cover: nothing would define them.
            let extra = self.output_padding[i] < self.stride[i].max(self.dilation[i]);
            full.checked_sub(cut).filter(|&size| size > 0 && extra).ok_or_else(|| Error::Attribute {
                attribute: if extra { "padding" } else { "output_padding" },
                value: if extra { cut.to_string() } else { self.output_padding[i].to_string() },
                expected: if extra { format!("less than {full}") } else { "less than the stride or dilation".into() },
            })
        };
        Shape::chw(self.out_channels, size(0, h, top + bottom)?, size(1, w, left + right)?)
    }

    fn params(&self, inputs: &[&Shape]) -> Vec<OpParam> {
        let c_in = channels(inputs);
        self.filters().params(Role::ConvWeight, c_in, [c_in, self.out_channels / self.groups.max(1)], self.bias)
    }

    /// Input elements times the weights of one input channel.
    fn macs(&self, inputs: &[&Shape], _: &Shape) -> Option<u64> {
        let elements = inputs.first().map_or(0, |shape| shape.elements());
        self.filter()?.checked_mul(elements as u64)
    }
}
