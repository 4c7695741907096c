//! Concatenations are written, and slices are read, where they lie.
//!
//! A value's channel blocks follow each other at a distance that depends on its pixels alone, so channels that
//! begin with a block are a range of the memory of a larger value. A part of a concatenation is then written
//! into the whole by whoever computes it, and a slice is read in what it is a slice of; the step that copied them
//! is gone, or copies only the parts that begin inside a block or lie elsewhere already. Lanes past the last
//! channel of such a part belong to the next one, which is copied later: to whoever reads the part they are
//! without meaning as ever.

use sepal_kernels::LANES;

use crate::ir::{Join, Kind, Origin, Part, Program, Step, ValueId, Within};

/// Wholes come before their parts, so that a concatenation that is part of another leads its own parts there.
pub(super) fn run(program: &mut Program) {
    let writers = program.writers();
    for index in (0..program.steps.len()).rev() {
        let Kind::Channels(join) = &program.steps[index].kind else { continue };
        if !join.is_plain() {
            continue;
        }
        if let Some(within) = lies_there(program, &program.steps[index], &join.parts) {
            program.values[program.steps[index].output].within = Some(within);
            program.steps[index].kind = Kind::Identity;
            continue;
        }
        let (parts, Step { inputs, output: whole, .. }) = (join.parts.clone(), program.steps[index].clone());
        let mut copied = Vec::with_capacity(parts.len());
        for &part in &parts {
            let shares = part.count % LANES != 0 && part.at + part.count < program.values[whole].dims().c;
            let moved = moves_in(program, &inputs, whole, &part)
                .filter(|&value| !shares || is_apart(program, &writers, &inputs, value));
            match moved {
                Some(value) => {
                    program.values[value].within = Some(Within { whole, block: part.at / LANES });
                }
                None => copied.push(part),
            }
        }
        program.steps[index].kind = match copied.is_empty() {
            true => Kind::Identity,
            false => Kind::Channels(Join::new(copied)),
        };
    }
    program.steps.retain(|step| step.kind != Kind::Identity);
}

/// Where the parts lie side by side already, as a slice does and a running concatenation that a longer one
/// repeats.
fn lies_there(program: &Program, step: &Step, parts: &[Part]) -> Option<Within> {
    if program.values[step.output].within.is_some() {
        return None;
    }
    let mut start = None;
    for part in parts {
        let Origin::Input { index, first } = part.from else { return None };
        let value = step.inputs[index];
        let (home, at) = program.home(value);
        // The network's input is alone until it is known how it is held.
        if home == program.input || first % LANES != 0 || part.at % LANES != 0 {
            return None;
        }
        let block = (at + first / LANES).checked_sub(part.at / LANES)?;
        if *start.get_or_insert((home, block)) != (home, block) {
            return None;
        }
    }
    start.map(|(whole, block)| Within { whole, block })
}

/// Whether none of `inputs` can come to lie in the memory of `value`, which is one of them: they will be copied to lanes
/// beside its own.
fn is_apart(program: &Program, writers: &[Option<usize>], inputs: &[ValueId], value: ValueId) -> bool {
    // Those that lie there already have no step any more.
    let moves = |kind: &Kind| matches!(kind, Kind::Channels(_) | Kind::Identity);
    inputs.iter().filter(|&&input| input == value).count() == 1
        && inputs.iter().filter_map(|&input| writers[input]).all(|writer| !moves(&program.steps[writer].kind))
}

/// The value that a part is, if it can be written into the whole.
fn moves_in(program: &Program, inputs: &[ValueId], whole: ValueId, part: &Part) -> Option<ValueId> {
    let Origin::Input { index, first: 0 } = part.from else { return None };
    let value = inputs[index];
    let fits = part.at.is_multiple_of(LANES)
        && part.count == program.values[value].dims().c
        && program.values[value].within.is_none()
        && value != program.home(whole).0;
    fits.then_some(value)
}
