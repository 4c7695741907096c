//! Steps that the output does not depend on are not run.

use crate::ir::Program;

pub(super) fn run(program: &mut Program) {
    let mut needed = vec![false; program.values.len()];
    needed[program.output] = true;
    let mut steps = std::mem::take(&mut program.steps);
    steps.reverse();
    steps.retain(|step| {
        if needed[step.output] {
            step.inputs.iter().for_each(|input| needed[*input] = true);
        }
        needed[step.output]
    });
    steps.reverse();
    program.steps = steps;
}
