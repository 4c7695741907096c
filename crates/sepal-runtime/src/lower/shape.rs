//! Operators that change only the shape.

use super::Lowering;
use crate::ir::Kind;

/// Values of one pixel lie in memory as vectors do.
pub(super) fn flatten(lowering: &Lowering<'_>) -> Kind {
    let channels = lowering.input.channels();
    if lowering.input.elements() == channels { Kind::Identity } else { Kind::Flatten }
}
