//! Values under another name are the values themselves.

use crate::ir::{Kind, Program};

pub(super) fn run(program: &mut Program) {
    let identities: Vec<(usize, usize)> = (program.steps.iter())
        .filter(|step| matches!(step.kind, Kind::Identity))
        .map(|step| (step.output, step.inputs[0]))
        .collect();
    program.steps.retain(|step| !matches!(step.kind, Kind::Identity));
    // Later ones first: what an earlier identity stands for is then already settled once.
    for (name, value) in identities.into_iter().rev() {
        program.replace(name, value);
    }
}
