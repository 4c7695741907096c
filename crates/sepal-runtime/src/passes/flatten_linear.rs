//! A linear layer on a flattened map is a convolution whose kernel covers the map.
//!
//! The weight `[O, C·H·W]` is that of the convolution, `[O, C, H, W]`, as it stands: no value moves.
//! Flattenings that nothing reads any more are left for [`drop_dead`](super::drop_dead).

use crate::ir::{Kind, Program};

pub(super) fn run(program: &mut Program) {
    for index in 0..program.steps.len() {
        if program.steps[index].kind != Kind::Flatten {
            continue;
        }
        let (map, flat) = (program.steps[index].inputs[0], program.steps[index].output);
        let dims = program.values[map].dims();
        for step in &mut program.steps {
            if let Kind::Conv(filters) = &mut step.kind
                && step.inputs == [flat]
            {
                filters.conv.input = dims;
                filters.conv.kernel = [dims.h, dims.w];
                step.inputs[0] = map;
            }
        }
        // To the caller a map and its flattened form are the same floats.
        if program.output == flat {
            program.output = map;
        }
    }
}
