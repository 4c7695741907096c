//! A norm that must not change the weights before it, as other models have them, too, is the scale and bias of the
//! convolution's results.
//!
//! A depthwise convolution takes its norm into weights of its own, which are as few as a norm's numbers.

use crate::ir::{Apply, Filters, Kind, Param, Program};

pub(super) fn run(program: &mut Program) {
    let reads = program.reads();
    let writers = program.writers();
    for index in 0..program.steps.len() {
        let step = &program.steps[index];
        let Kind::Apply(Apply { affine: Some((scale, shift)), act }) = &step.kind else { continue };
        if !act.is_none() {
            continue;
        }
        let (scale, shift, input, output) = (scale.clone(), shift.clone(), step.inputs[0], step.output);
        let Some(writer) = writers[input].filter(|_| reads[input] == 1) else { continue };
        // As many numbers as the convolution has results, in their order.
        if program.values[input].view.order != program.values[output].view.order {
            continue;
        }
        let Kind::Conv(filters) = &mut program.steps[writer].kind else { continue };
        if !takes_a_norm(filters) || scale.values.len() != filters.conv.output.c {
            continue;
        }
        filters.bias = Some(match &filters.bias {
            Some(bias) => {
                let parts = bias.values.iter().zip(&scale.values).zip(&shift.values);
                let values = parts.map(|((bias, scale), shift)| bias * scale + shift).collect();
                Param { values, shared: bias.shared && shift.shared }
            }
            None => shift,
        });
        filters.scale = Some(scale);
        program.steps[writer].output = output;
        // Reads nothing and writes nothing: kept in place so that indices stay, and dropped below.
        program.steps[index].kind = Kind::Identity;
    }
    program.steps.retain(|step| step.kind != Kind::Identity);
}

fn takes_a_norm(filters: &Filters) -> bool {
    filters.weight.shared && !filters.is_depthwise() && filters.scale.is_none() && filters.act.is_none() && !filters.add
}
