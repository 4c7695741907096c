//! Two rearrangements in a row are one, often a simpler one: as where channels are shuffled by way of groups.
//!
//! Those that nothing reads any more are left for [`drop_dead`](super::drop_dead).

use crate::ir::{Kind, Program};

pub(super) fn run(program: &mut Program) {
    let writers = program.writers();
    for index in 0..program.steps.len() {
        let step = &program.steps[index];
        let Kind::Rearrange(second) = &step.kind else { continue };
        let Some(before) = writers[step.inputs[0]].map(|writer| &program.steps[writer]) else { continue };
        let Kind::Rearrange(first) = &before.kind else { continue };
        let Some(both) = second.after(first) else { continue };
        let input = before.inputs[0];
        let step = &mut program.steps[index];
        step.kind = if both.is_identity() { Kind::Identity } else { Kind::Rearrange(both) };
        step.inputs[0] = input;
    }
}
