//! Sliding windows, shared by convolutions and pools.

use crate::{Error, OpParam, Result, Role, limits};

/// Output height and width of a window that slides over a padded map, rounding down.
///
/// `padding` is top, left, bottom, right. Every attribute has passed
/// [`limits::window`](crate::limits::window), so nothing here can overflow.
pub(crate) fn output_size(
    input: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 4],
    dilation: [usize; 2],
) -> Result<[usize; 2]> {
    let [top, left, bottom, right] = padding;
    let padded = [input[0] + top + bottom, input[1] + left + right];
    let covered = [dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1];
    if covered[0] > padded[0] || covered[1] > padded[1] {
        return Err(Error::KernelTooLarge { kernel: covered, padded });
    }
    Ok([(padded[0] - covered[0]) / stride[0] + 1, (padded[1] - covered[1]) / stride[1] + 1])
}

/// The attributes that a convolution and a transposed one have in common.
pub(crate) struct Filters {
    pub(crate) out_channels: usize,
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) padding: [usize; 4],
    pub(crate) dilation: [usize; 2],
    pub(crate) groups: usize,
}

impl Filters {
    /// Checks every attribute on its own.
    pub(crate) fn check(&self) -> Result<()> {
        limits::count("out_channels", self.out_channels)?;
        limits::window("kernel", &self.kernel, 1)?;
        limits::window("stride", &self.stride, 1)?;
        limits::window("padding", &self.padding, 0)?;
        limits::window("dilation", &self.dilation, 1)?;
        limits::count("groups", self.groups)
    }

    /// Checks that the groups divide the channels on both sides.
    pub(crate) fn check_groups(&self, c_in: usize) -> Result<()> {
        if c_in.is_multiple_of(self.groups) && self.out_channels.is_multiple_of(self.groups) {
            return Ok(());
        }
        Err(Error::Attribute {
            attribute: "groups",
            value: self.groups.to_string(),
            expected: format!("a divisor of the {c_in} input and {} output channels", self.out_channels),
        })
    }

    /// The weight, stored for `outer` channels of which each meets `inner` ones, and the bias if there is one.
    pub(crate) fn params(&self, role: Role, c_in: usize, [outer, inner]: [usize; 2], bias: bool) -> Vec<OpParam> {
        let groups = self.groups.max(1);
        let [kh, kw] = self.kernel;
        let area = kh.saturating_mul(kw);
        let mut params = vec![OpParam {
            name: "weight",
            shape: vec![outer, inner, kh, kw],
            role,
            fan_in: area.saturating_mul(c_in / groups),
            fan_out: area.saturating_mul(self.out_channels / groups),
        }];
        if bias {
            params.push(OpParam::per_channel("bias", self.out_channels, Role::Bias));
        }
        params
    }
}

/// Checks a pool's window: sizes in range, and padding smaller than the kernel, so that every
/// window covers at least one pixel.
pub(crate) fn check_pool(kernel: [usize; 2], stride: [usize; 2], padding: [usize; 4]) -> Result<()> {
    limits::window("kernel", &kernel, 1)?;
    limits::window("stride", &stride, 1)?;
    limits::window("padding", &padding, 0)?;
    let [top, left, bottom, right] = padding;
    if top.max(bottom) >= kernel[0] || left.max(right) >= kernel[1] {
        return Err(Error::Attribute {
            attribute: "padding",
            value: format!("{padding:?}"),
            expected: format!("smaller than the kernel {kernel:?}"),
        });
    }
    Ok(())
}
