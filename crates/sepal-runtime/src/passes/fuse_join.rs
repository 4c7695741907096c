//! What follows channels that have to be copied runs while they are copied.
//!
//! That is a residual sum, and then an affine map with its activation, as at the end of an ESP block. A
//! slice or concatenation that [`in_place`](super::in_place) makes free is left alone unless a sum follows, which reads
//! and writes everything anyway, and more than one map.

use sepal_kernels::LANES;
use sepal_kernels::elementwise::Binary;

use crate::ir::{Join, Kind, Origin, Part, Program, Step};

pub(super) fn run(program: &mut Program) {
    let reads = program.reads();
    let mut writers = program.writers();
    let mut gone = vec![false; program.steps.len()];
    for index in 0..program.steps.len() {
        let step = &program.steps[index];
        let join = |value: usize| {
            let writer = writers[value].filter(|_| reads[value] == 1)?;
            let Kind::Channels(join) = &program.steps[writer].kind else { return None };
            is_of_values(join).then(|| (writer, join.clone()))
        };
        let fused = if step.kind == Kind::Binary(Binary::Add) {
            let terms = [(step.inputs[0], step.inputs[1]), (step.inputs[1], step.inputs[0])];
            terms.into_iter().find_map(|(value, other)| {
                let (writer, join) = join(value)?;
                let pays = join.is_plain() && (join.parts.len() > 1 || !is_aligned(&join));
                pays.then_some((writer, Join { add: true, ..join }, Some(other)))
            })
        } else if let Kind::Apply(apply) = &step.kind {
            join(step.inputs[0])
                .filter(|(_, join)| join.apply.is_none() && (join.add || !is_aligned(join)))
                .map(|(writer, join)| (writer, Join { apply: apply.clone(), ..join }, None))
        } else {
            None
        };
        let Some((writer, join, other)) = fused else { continue };
        let Step { path, inputs, .. } = program.steps[writer].clone();
        let step = &mut program.steps[index];
        (step.path, step.kind) = (path, Kind::Channels(join));
        step.inputs = inputs.into_iter().chain(other).collect();
        writers[step.output] = Some(index);
        gone[writer] = true;
    }
    program.drop_steps(&gone);
}

/// Whether all its channels are those of other values.
fn is_of_values(join: &Join) -> bool {
    join.parts.iter().all(|part| matches!(part.from, Origin::Input { .. }))
}

/// Whether every part is the beginning of a block, here and there.
fn is_aligned(join: &Join) -> bool {
    let starts = |part: &Part| matches!(part.from, Origin::Input { first, .. } if first % LANES == 0);
    join.parts.iter().all(|part| part.at % LANES == 0 && starts(part))
}
