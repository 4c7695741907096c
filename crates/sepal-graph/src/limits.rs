//! Bounds on what a graph may ask for.
//!
//! Files are hostile until checked: these limits keep every count inside `u64` and every
//! allocation that a graph implies within what a machine could hold, long before anything is
//! allocated. No network of the literature comes near them.

use crate::{Error, Result};

/// Largest extent of a single dimension (channels, height, width, features).
pub const MAX_DIM: usize = 1 << 24;
/// Largest number of scalars in one tensor: a parameter, or a node's output for one image.
pub const MAX_ELEMENTS: u64 = 1 << 31;
/// Largest number of scalars in all parameters of a graph together.
pub const MAX_TOTAL_PARAMS: u64 = 1 << 33;
/// Largest number of nodes in a graph.
pub const MAX_NODES: usize = 1 << 16;
/// Largest kernel extent, stride, dilation or padding.
pub const MAX_WINDOW: usize = 1 << 12;
/// Most dimensions of a shape.
pub const MAX_RANK: usize = 6;
/// Most inputs of a node.
pub const MAX_INPUTS: usize = 1 << 10;
/// Longest node path in bytes.
pub const MAX_PATH: usize = 512;

/// Checks that every factor is a legal dimension and that their product is a legal tensor size;
/// returns the product.
pub(crate) fn elements(dims: &[usize]) -> Result<u64> {
    let mut product = 1_u64;
    for &dim in dims {
        if dim == 0 || dim > MAX_DIM {
            return Err(Error::Dimension { dims: dims.to_vec(), dim });
        }
        product = product
            .checked_mul(dim as u64)
            .filter(|&n| n <= MAX_ELEMENTS)
            .ok_or_else(|| Error::TooManyElements { dims: dims.to_vec() })?;
    }
    Ok(product)
}

/// Checks an attribute that is a size in pixels: kernel, stride, dilation (`min` 1), padding
/// (`min` 0).
pub(crate) fn window(attribute: &'static str, values: &[usize], min: usize) -> Result<()> {
    for &value in values {
        if value < min || value > MAX_WINDOW {
            return Err(Error::Attribute {
                attribute,
                value: value.to_string(),
                expected: format!("a whole number from {min} to {MAX_WINDOW}"),
            });
        }
    }
    Ok(())
}

/// Checks an attribute that is a channel or feature count.
pub(crate) fn count(attribute: &'static str, value: usize) -> Result<()> {
    if value == 0 || value > MAX_DIM {
        return Err(Error::Attribute {
            attribute,
            value: value.to_string(),
            expected: format!("a whole number from 1 to {MAX_DIM}"),
        });
    }
    Ok(())
}

/// Checks a real-valued attribute against a predicate that NaN fails.
pub(crate) fn real(attribute: &'static str, value: f32, ok: bool, expected: &'static str) -> Result<()> {
    if ok && value.is_finite() {
        return Ok(());
    }
    Err(Error::Attribute { attribute, value: value.to_string(), expected: expected.to_owned() })
}
