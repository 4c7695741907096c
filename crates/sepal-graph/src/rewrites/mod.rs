//! Rewrites: functions from models to models that compute the same, to rounding.
//!
//! | from | to | by |
//! |---|---|---|
//! | simplified Inception: branches 1×1 → k×k | 1×1, split, branches | [`stack_pointwise`] |
//! | equal branches on equal segments | grouped convolution (K = 1 standard, K = N depthwise) | [`group_branches`] |
//! | grouped or depthwise convolution | standard convolution with zeros | [`grouped_to_standard`] |
//! | BSConv-S: pointwise → pointwise → depthwise | BSConv-U: pointwise → depthwise | [`merge_pointwise`] |
//! | BSConv-U | standard convolution | [`blueprint_to_standard`] |
//! | depthwise → pointwise, nothing between | standard convolution | [`separable_to_standard`] |
//! | convolutions of one value, added | one of the largest kernel | [`merge_parallel`] |
//! | a layer and the batch norm after it | the layer | [`fold_norms`] |
//!
//! What a rewrite does not fit stays as it is. New nodes are named after the scope of those they replace.

mod branches;
mod fold_norms;
mod merge;
mod parallel;
mod surgery;

pub use branches::{group_branches, grouped_to_standard, stack_pointwise};
pub use fold_norms::{fold_norms, fold_norms_of, fold_norms_where};
pub use merge::{blueprint_to_standard, merge_pointwise, separable_to_standard};
pub use parallel::merge_parallel;

use crate::{Node, Shape};

/// Channels of a node's first input.
fn channels_in(node: &Node, shapes: &[Shape]) -> usize {
    node.inputs.first().map_or(1, |input| shapes[input.index()].channels())
}
