//! Convolution: standard, grouped, depthwise and pointwise are one operator.

use serde::{Deserialize, Serialize};

use super::window::{self, Filters};
use super::{Operator, channels, map_input};
use crate::{OpParam, Result, Role, Shape};

/// A two-dimensional convolution (cross-correlation, as every framework computes it).
///
/// `[I, H, W]` to `[O, H', W']` with `H' = ⌊(H + top + bottom − d(k−1) − 1) / s⌋ + 1`; weight
/// `[O, I/groups, kH, kW]`. Costs are the equations (1)–(6) of the separable-convolution
/// literature: Howard et al. 2017, arXiv:1704.04861, §3.1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2d {
    /// Filters, N.
    pub out_channels: usize,
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Zeros added at top, left, bottom, right.
    pub padding: [usize; 4],
    /// Vertical and horizontal distance of the kernel's taps.
    pub dilation: [usize; 2],
    /// Groups, K: each sees I/K input channels and makes O/K output channels.
    pub groups: usize,
    /// Whether a bias is added per output channel.
    pub bias: bool,
}

impl Conv2d {
    /// A k×k convolution of `out_channels` filters: stride 1, no padding, no bias.
    #[must_use]
    pub fn standard(out_channels: usize, k: usize) -> Self {
        Self { out_channels, kernel: [k, k], stride: [1, 1], padding: [0; 4], dilation: [1, 1], groups: 1, bias: false }
    }

    /// One k×k kernel per channel, for an input of `channels` channels.
    #[must_use]
    pub fn depthwise(channels: usize, k: usize) -> Self {
        Self::standard(channels, k).groups(channels)
    }

    /// A 1×1 convolution of `out_channels` filters.
    #[must_use]
    pub fn pointwise(out_channels: usize) -> Self {
        Self::standard(out_channels, 1)
    }

    /// The same stride in both directions.
    #[must_use]
    pub fn stride(mut self, stride: usize) -> Self {
        self.stride = [stride, stride];
        self
    }

    /// The same dilation in both directions. Comes before [`Conv2d::same`].
    #[must_use]
    pub fn dilation(mut self, dilation: usize) -> Self {
        self.dilation = [dilation, dilation];
        self
    }

    /// So many groups.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// The same padding on all four sides.
    #[must_use]
    pub fn padding(mut self, padding: usize) -> Self {
        self.padding = [padding; 4];
        self
    }

    /// PyTorch's "same" padding for the kernel and dilation set so far: at stride 1 the output
    /// has the input's size; an even kernel gets the odd zero at the bottom and right.
    #[must_use]
    pub fn same(mut self) -> Self {
        let total = |i: usize| {
            let taps = self.kernel[i].saturating_sub(1);
            self.dilation[i].saturating_mul(taps)
        };
        let [h, w] = [total(0), total(1)];
        self.padding = [h / 2, w / 2, h - h / 2, w - w / 2];
        self
    }

    /// With or without a bias.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Whether every filter sees a single channel of the `c_in` and there are `c_in` filters.
    /// A single channel makes a standard convolution, not a depthwise one, unless it also makes
    /// one output.
    #[must_use]
    pub fn is_depthwise(&self, c_in: usize) -> bool {
        self.groups == c_in && self.out_channels == c_in
    }

    /// Whether it is a 1×1 convolution that mixes all channels, at any stride, without padding.
    #[must_use]
    pub fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.groups == 1 && self.padding == [0; 4]
    }

    /// Whether kernel, filters and groups leave `c_in` channels no kind but grouped.
    #[must_use]
    pub fn is_grouped(&self, c_in: usize) -> bool {
        self.groups > 1 && !self.is_depthwise(c_in)
    }

    fn role(&self, c_in: usize) -> Role {
        if self.is_pointwise() {
            Role::PointwiseWeight
        } else if self.is_depthwise(c_in) {
            Role::DepthwiseWeight
        } else {
            Role::ConvWeight
        }
    }

    /// k²·I/groups, the products summed into one output.
    fn taps(&self, c_in: usize) -> Option<u64> {
        (self.kernel[0] as u64).checked_mul(self.kernel[1] as u64)?.checked_mul((c_in / self.groups.max(1)) as u64)
    }

    fn filters(&self) -> Filters {
        let Self { out_channels, kernel, stride, padding, dilation, groups, .. } = *self;
        Filters { out_channels, kernel, stride, padding, dilation, groups }
    }
}

impl Operator for Conv2d {
    fn title(&self, inputs: &[&Shape]) -> String {
        let kind = match self.role(channels(inputs)) {
            Role::PointwiseWeight => " (pointwise)",
            Role::DepthwiseWeight => " (depthwise)",
            _ if self.groups > 1 => " (grouped)",
            _ => "",
        };
        format!("Conv2d{kind}")
    }

    fn check(&self) -> Result<()> {
        self.filters().check()
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        self.check()?;
        let [c_in, h, w] = map_input("conv2d", inputs)?;
        self.filters().check_groups(c_in)?;
        let [h, w] = window::output_size([h, w], self.kernel, self.stride, self.padding, self.dilation)?;
        Shape::chw(self.out_channels, h, w)
    }

    fn params(&self, inputs: &[&Shape]) -> Vec<OpParam> {
        let c_in = channels(inputs);
        self.filters().params(self.role(c_in), c_in, [self.out_channels, c_in / self.groups.max(1)], self.bias)
    }

    fn macs(&self, inputs: &[&Shape], output: &Shape) -> Option<u64> {
        self.taps(channels(inputs))?.checked_mul(output.elements() as u64)
    }
}
