//! How a pass over a whole tensor is cut into items.

use crate::layout::{Dims, LANES};

/// Rows of one item: 64 KiB of each operand.
pub(crate) const ROWS: usize = 1024;

/// Bytes from which an output cannot be found in a cache later, so that it is stored past them.
const STREAMED: usize = 4 << 20;

/// A chunk of rows of one channel block.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) block: usize,
    pub(crate) chunk: usize,
    /// Rows in the chunk.
    pub(crate) rows: usize,
    /// The chunk's first float.
    pub(crate) at: usize,
}

/// Chunks of one channel block.
pub(crate) fn chunks(dims: &Dims) -> usize {
    dims.rows().div_ceil(ROWS)
}

/// Items of a pass: the chunks of all channel blocks.
pub(crate) fn items(dims: &Dims) -> usize {
    chunks(dims) * dims.blocks()
}

impl Place {
    /// Item `item` of a pass, in the order in which the rows lie in memory.
    pub(crate) fn of(dims: &Dims, item: usize) -> Self {
        let (block, chunk) = (item / chunks(dims), item % chunks(dims));
        let first = chunk * ROWS;
        Self { block, chunk, rows: ROWS.min(dims.rows() - first), at: block * dims.plane() + first * LANES }
    }
}

/// Whether an output of `dims` that starts at `start` is to be stored past the caches.
pub(crate) fn streams(dims: &Dims, start: *const f32) -> bool {
    dims.len() * size_of::<f32>() >= STREAMED && start.addr().is_multiple_of(64)
}
