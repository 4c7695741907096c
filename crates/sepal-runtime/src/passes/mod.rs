//! Rewrites of the lowered network, each of which leaves fewer or cheaper steps.
//!
//! Folding of norms comes before them, on the model: see
//! [`fold_norms`](sepal_graph::rewrites::fold_norms).

mod drop_dead;
mod drop_identity;
mod flatten_linear;
mod fold_pad;
mod fuse_activation;
mod fuse_add;
mod fuse_chains;
mod fuse_join;
mod fuse_mixed;
mod fuse_norm;
mod fuse_operand;
mod fuse_rearrange;
mod in_place;

use crate::ir::Program;

/// All passes in their order. Sums are fused before activations: the activation of a residual
/// block comes after its sum, and so fuses into the same convolution. Norms come before both.
pub(crate) fn run(program: &mut Program) {
    drop_identity::run(program);
    fuse_rearrange::run(program);
    drop_identity::run(program);
    flatten_linear::run(program);
    fold_pad::run(program);
    drop_dead::run(program);
    fuse_mixed::run(program);
    fuse_norm::run(program);
    fuse_add::run(program);
    fuse_activation::run(program);
    fuse_chains::run(program);
    fuse_join::run(program);
    fuse_operand::run(program);
    in_place::run(program);
}

#[cfg(test)]
mod tests;
