//! Sliding windows, shared by convolutions and pools.

use crate::{Error, Result};

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

/// Checks a pool's window: sizes in range, and padding smaller than the kernel, so that every
/// window covers at least one pixel.
pub(crate) fn check_pool(kernel: [usize; 2], stride: [usize; 2], padding: [usize; 4]) -> Result<()> {
    crate::limits::window("kernel", &kernel, 1)?;
    crate::limits::window("stride", &stride, 1)?;
    crate::limits::window("padding", &padding, 0)?;
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
