//! What follows a concatenation that has to be copied runs while it is copied.
//!
//! That is a residual sum, and then an affine map with its activation, as at the end of an ESP block. A
//! concatenation that [`in_place`](super::in_place) makes free is left alone unless a sum follows, which reads
//! and writes everything anyway.

use sepal_kernels::LANES;
use sepal_kernels::elementwise::Binary;

use crate::ir::{Join, Kind, Origin, Program};

pub(super) fn run(program: &mut Program) {
    let reads = program.reads();
    let mut writers = program.writers();
    let mut gone = vec![false; program.steps.len()];
    for index in 0..program.steps.len() {
        let step = &program.steps[index];
        let join = |value: usize| {
            let writer = writers[value].filter(|_| reads[value] == 1)?;
            let Kind::Channels(join) = &program.steps[writer].kind else { return None };
            is_concatenation(join).then(|| (writer, join.clone()))
        };
        let fused = if step.kind == Kind::Binary(Binary::Add) {
            let terms = [(step.inputs[0], step.inputs[1]), (step.inputs[1], step.inputs[0])];
            terms.into_iter().find_map(|(value, other)| {
                let (writer, join) = join(value).filter(|(_, join)| join.is_plain())?;
                Some((writer, Join { add: true, ..join }, Some(other)))
            })
        } else if let Kind::Apply(apply) = &step.kind {
            join(step.inputs[0])
                .filter(|(_, join)| join.apply.is_none() && (join.add || !is_aligned(join)))
                .map(|(writer, join)| (writer, Join { apply: apply.clone(), ..join }, None))
        } else {
            None
        };
        let Some((writer, join, other)) = fused else { continue };
        let inputs = program.steps[writer].inputs.iter().copied().chain(other).collect();
        let step = &mut program.steps[index];
        (step.kind, step.inputs) = (Kind::Channels(join), inputs);
        writers[step.output] = Some(index);
        gone[writer] = true;
    }
    let mut index = 0;
    program.steps.retain(|_| {
        index += 1;
        !gone[index - 1]
    });
}

/// Whether all its channels are those of other values.
fn is_concatenation(join: &Join) -> bool {
    join.parts.iter().all(|part| matches!(part.from, Origin::Input { .. }))
}

/// Whether every part begins with a block.
fn is_aligned(join: &Join) -> bool {
    join.parts.iter().all(|part| part.at % LANES == 0)
}
