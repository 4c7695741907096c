//! A residual sum runs in the epilogue of the convolution that computes one of its terms.
//!
//! The convolution must have no activation of its own before the sum and no other reader. It moves
//! to the place of the sum, where its other term is there too. Of two such convolutions the later
//! one is taken: the earlier one's output is what the arena holds anyway.

use sepal_kernels::elementwise::Binary;

use crate::ir::{Kind, Program, Step};

pub(super) fn run(program: &mut Program) {
    let reads = program.reads();
    let mut writers = program.writers();
    let mut gone = vec![false; program.steps.len()];
    for index in 0..program.steps.len() {
        let step = &program.steps[index];
        if step.kind != Kind::Binary(Binary::Add) {
            continue;
        }
        let fitting =
            |value: usize| writers[value].filter(|&writer| reads[value] == 1 && takes_a_sum(&program.steps[writer]));
        let terms = [step.inputs[0], step.inputs[1]];
        let candidates = [(fitting(terms[0]), terms[1]), (fitting(terms[1]), terms[0])];
        let latest = candidates.into_iter().filter_map(|(writer, other)| Some((writer?, other))).max();
        let Some((writer, other)) = latest else { continue };
        let mut fused = program.steps[writer].clone();
        if let Kind::Conv(filters) = &mut fused.kind {
            filters.add = true;
        }
        fused.inputs.push(other);
        fused.output = step.output;
        writers[fused.output] = Some(index);
        program.steps[index] = fused;
        gone[writer] = true;
    }
    program.drop_steps(&gone);
}

fn takes_a_sum(step: &Step) -> bool {
    matches!(&step.kind, Kind::Conv(filters) if filters.act.is_none() && !filters.add)
}
