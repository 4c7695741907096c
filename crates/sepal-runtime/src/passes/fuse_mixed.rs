//! Depthwise convolutions of one value that are summed by a gate are one, whose kernel each image mixes for itself.
//!
//! They must have the same sizes, and the sum must be all that reads them.

use sepal_kernels::Conv;

use crate::ir::{Act, Filters, Kind, Mixed, Param, Program, ValueId};

pub(super) fn run(program: &mut Program) {
    let reads = program.reads();
    let writers = program.writers();
    for index in 0..program.steps.len() {
        if program.steps[index].kind != Kind::GatedSum {
            continue;
        }
        let [gate, terms @ ..] = &program.steps[index].inputs[..] else { continue };
        let depthwise = |term: &ValueId| {
            let writer = writers[*term].filter(|_| reads[*term] == 1)?;
            let Kind::Conv(filters) = &program.steps[writer].kind else { return None };
            is_plain(filters).then_some((writer, program.steps[writer].inputs[0], filters))
        };
        let Some(found) = terms.iter().map(depthwise).collect::<Option<Vec<_>>>() else { continue };
        let Some(&(_, x, Filters { conv, .. })) = found.first() else { continue };
        let alike = |of: &Conv, from: ValueId| of == conv && from == x;
        if !found.iter().all(|(_, from, filters)| alike(&filters.conv, *from)) {
            continue;
        }
        let (conv, inputs) = (*conv, vec![*gate, x]);
        let found: Vec<usize> = found.into_iter().map(|(writer, ..)| writer).collect();
        let mut kernels: Vec<(Param, Option<Param>)> = Vec::with_capacity(found.len());
        for writer in found {
            // Reads nothing and writes nothing: kept in place so that indices stay, and dropped below.
            if let Kind::Conv(filters) = std::mem::replace(&mut program.steps[writer].kind, Kind::Identity) {
                kernels.push((filters.weight, filters.bias));
            }
        }
        program.steps[index].kind = Kind::Mixed(Mixed { conv, kernels, act: Act::default() });
        program.steps[index].inputs = inputs;
    }
    program.steps.retain(|step| step.kind != Kind::Identity);
}

fn is_plain(filters: &Filters) -> bool {
    let Filters { source, gate, add, act, .. } = filters;
    filters.is_depthwise() && source.is_none() && act.is_none() && !gate && !add
}
