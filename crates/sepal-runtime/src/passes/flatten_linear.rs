//! A linear layer on a flattened map is a convolution whose kernel covers the map.
//!
//! The weight `[O, C·H·W]` is that of the convolution, `[O, C, H, W]`, as it stands: no value moves.
//! Flattenings that nothing reads any more are left for [`drop_dead`](super::drop_dead).

use sepal_kernels::{Conv, Dims};

use crate::ir::{Kind, Program};

pub(super) fn run(program: &mut Program) {
    for index in 0..program.steps.len() {
        let Kind::Rearrange(rearrange) = &program.steps[index].kind else { continue };
        if !rearrange.is_flattening() {
            continue;
        }
        let dims = rearrange.from();
        let (map, flat) = (program.steps[index].inputs[0], program.steps[index].output);
        for step in &mut program.steps {
            if let Kind::Conv(filters) = &mut step.kind
                && step.inputs == [flat]
                && is_linear(&filters.conv)
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

/// Whether every filter reads all channels of one pixel.
fn is_linear(conv: &Conv) -> bool {
    let pixels = |dims: Dims| dims.h * dims.w;
    conv.kernel == [1, 1] && conv.padding == [0, 0] && conv.groups == 1 && pixels(conv.input) * pixels(conv.output) == 1
}
