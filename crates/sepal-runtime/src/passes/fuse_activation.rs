//! An activation runs in the epilogue of the step whose output nothing else reads.

use crate::ir::{Act, Apply, Kind, Program};

pub(super) fn run(program: &mut Program) {
    let reads = program.reads();
    let mut writers = program.writers();
    for index in 0..program.steps.len() {
        let step = &program.steps[index];
        let Kind::Apply(Apply { affine: None, act }) = &step.kind else { continue };
        let (act, input, output) = (act.clone(), step.inputs[0], step.output);
        let Some(writer) = writers[input].filter(|_| reads[input] == 1) else { continue };
        let Some(slot) = epilogue(&mut program.steps[writer].kind) else { continue };
        *slot = act;
        program.steps[writer].output = output;
        writers[output] = Some(writer);
        // Reads nothing and writes nothing: kept in place so that indices stay, and dropped below.
        program.steps[index].kind = Kind::Identity;
    }
    program.steps.retain(|step| step.kind != Kind::Identity);
}

/// Where an activation would go, if the step takes one and has none yet.
fn epilogue(kind: &mut Kind) -> Option<&mut Act> {
    let act = match kind {
        Kind::Conv(filters) => &mut filters.act,
        Kind::Mixed(mixed) => &mut mixed.act,
        Kind::Apply(apply) => &mut apply.act,
        _ => return None,
    };
    act.is_none().then_some(act)
}
