//! What a pointwise convolution reads is computed while it reads: a norm and activation before it, or
//! squeeze-and-excite's scale.
//!
//! A block of rows is then copied, changed, to where the product reads it, which costs little beside the
//! product and less than a pass over memory. Under larger kernels every pixel would be changed once for each tap, and
//! Strassen's algorithm reads what is there.

use sepal_graph::Activation;
use sepal_kernels::conv::strassen;

use crate::ir::{Act, Kind, Program};

pub(super) fn run(program: &mut Program) {
    let reads = program.reads();
    let writers = program.writers();
    for index in 0..program.steps.len() {
        let step = &program.steps[index];
        let Kind::Conv(filters) = &step.kind else { continue };
        if filters.conv.taps() != 1 || filters.is_depthwise() || strassen::applies(&filters.conv) {
            continue;
        }
        let Some(writer) = writers[step.inputs[0]].filter(|_| reads[step.inputs[0]] == 1) else { continue };
        let before = program.steps[writer].clone();
        let step = &mut program.steps[index];
        let Kind::Conv(filters) = &mut step.kind else { continue };
        if let Kind::Apply(apply) = &before.kind
            && is_cheap(&apply.act)
        {
            filters.source = apply.clone();
        } else if before.kind == Kind::Scale {
            filters.gate = true;
            step.inputs.push(before.inputs[1]);
        } else {
            continue;
        }
        step.inputs[0] = before.inputs[0];
        program.steps[writer].kind = Kind::Identity;
    }
    program.steps.retain(|step| step.kind != Kind::Identity);
}

/// Whether a kernel applies it without asking for every vector which one it is.
fn is_cheap(act: &Act) -> bool {
    matches!(act.function, None | Some(Activation::Relu | Activation::Relu6))
}
