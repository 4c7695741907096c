//! Depthwise convolutions run together with the pointwise ones before and after them, line by line.
//!
//! Worth it where the map between two layers is too large to wait for its reader in the second-level cache, and has
//! lines enough to be cut into bands for several workers.

use sepal_kernels::{chain, conv};

use crate::boundary::takes_pixels;
use crate::ir::{Filters, Kind, Program, Step};

/// Pixels of a map from which on it is cut into lines.
const PIXELS: usize = 24 * 24;
/// Floats of such a map.
const FLOATS: usize = 32 * 1024;
/// Floats of a worker's lines at most: three quarters of a second-level cache.
const FOOTPRINT: usize = 192 * 1024;

pub(super) fn run(program: &mut Program) {
    let reads = program.reads();
    let pixels = takes_pixels(program);
    // The step that alone reads each value.
    let mut reader = vec![None; program.values.len()];
    for (index, step) in program.steps.iter().enumerate() {
        for &input in step.inputs.iter().filter(|input| reads[**input] == 1) {
            reader[input] = Some(index);
        }
    }
    let mut taken = vec![false; program.steps.len()];
    for first in 0..program.steps.len() {
        if taken[first] || member(&program.steps[first]).is_none() {
            continue;
        }
        let on_pixels = pixels && program.steps[first].inputs[0] == program.input;
        let direct =
            on_pixels && member(&program.steps[first]).is_some_and(|filters| chain::takes_pixels(&filters.conv));
        let mut members = vec![first];
        let mut last = first;
        while let Some(next) = reader[program.steps[last].output].filter(|next| !taken[*next]) {
            members.push(next);
            if !joins(program, last, next, direct && last == first) || !fits(program, &members, direct) {
                members.pop();
                break;
            }
            last = next;
        }
        // A first layer on pixels has its kernel there, too.
        if members.len() > 1 || direct {
            members.iter().for_each(|member| taken[*member] = true);
            join(program, &members);
        }
    }
    program.steps.retain(|step| step.kind != Kind::Identity);
}

/// The convolution of a step that could be a layer of a chain.
fn member(step: &Step) -> Option<&Filters> {
    match &step.kind {
        Kind::Conv(filters) if filters.act.is_simple() => Some(filters),
        _ => None,
    }
}

/// Whether layer `next`, the only one that reads what `last` leaves, should do so line by line.
fn joins(program: &Program, last: usize, next: usize, pixels: bool) -> bool {
    let (Some(from), Some(to)) = (member(&program.steps[last]), member(&program.steps[next])) else { return false };
    let map = from.conv.output;
    let kinds = match (from.is_depthwise(), to.is_depthwise()) {
        // Seven products instead of eight save more.
        (true, false) => is_pointwise(to) && !conv::strassen::applies(&to.conv),
        (false, true) => !to.add && (pixels || is_pointwise(from)),
        _ => false,
    };
    kinds
        && !from.add
        && program.steps[next].inputs[0] == program.steps[last].output
        && map == to.conv.input
        && map.h * map.w >= PIXELS
        && map.h * map.w * map.c >= FLOATS
}

fn is_pointwise(filters: &Filters) -> bool {
    filters.conv.is_pointwise() && filters.conv.groups == 1
}

fn fits(program: &Program, members: &[usize], pixels: bool) -> bool {
    let convs: Vec<_> = members.iter().filter_map(|member| Some(self::member(&program.steps[*member])?.conv)).collect();
    let output = convs[convs.len() - 1].output;
    convs.len() <= chain::LONGEST && output.h * output.w >= PIXELS && chain::footprint(&convs, pixels) <= FOOTPRINT
}

/// Makes one step of several, in the place of the last.
fn join(program: &mut Program, members: &[usize]) {
    let links: Vec<Filters> = members.iter().filter_map(|index| member(&program.steps[*index]).cloned()).collect();
    let input = program.steps[members[0]].inputs[0];
    let last = members[members.len() - 1];
    for member in members {
        // Reads nothing and writes nothing: kept in place so that indices stay.
        program.steps[*member].kind = if *member == last { Kind::Chain(links.clone()) } else { Kind::Identity };
    }
    program.steps[last].inputs[0] = input;
}
