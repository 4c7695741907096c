//! Weights in the order in which the products read them: for each pair of panels `[7 products][input][16 outputs]`,
//! then what the inputs beyond the halves add to the first and to the second; at the end an odd panel.

use super::Split;
use crate::exec::{Exec, Shared};
use crate::layout::LANES;

/// Packs weights of `O, I`.
pub(super) fn pack(exec: Exec<'_>, split: &Split, weight: &[f32], packed: &mut [f32]) {
    let packed = Shared::new(packed);
    exec.pool.run(split.columns(), &|column, _| {
        // SAFETY: one column, which is this item's alone.
        let to = unsafe { packed.slice(split.offset(column), split.floats(column)) };
        if column == split.pairs() {
            copy(&filters(split, weight, 2 * column), 0, to);
        } else {
            pair(split, [column, column + split.pairs()].map(|panel| filters(split, weight, panel)), to);
        }
    });
}

/// The filters of a panel. Lanes without one repeat the first: what they yield has no meaning.
fn filters<'a>(split: &Split, weight: &'a [f32], panel: usize) -> [&'a [f32]; LANES] {
    std::array::from_fn(|lane| {
        let at = panel * LANES + lane;
        let at = if at < split.outputs { at } else { panel * LANES };
        &weight[at * split.inputs..][..split.inputs]
    })
}

/// The inputs from `first` on as they are.
fn copy(filters: &[&[f32]; LANES], first: usize, to: &mut [f32]) {
    for (input, row) in to.chunks_exact_mut(LANES).enumerate() {
        for (value, filter) in row.iter_mut().zip(filters) {
            *value = filter[first + input];
        }
    }
}

/// One pair of panels. Sums are taken in f64 and rounded once.
fn pair(split: &Split, [left, right]: [[&[f32]; LANES]; 2], to: &mut [f32]) {
    let half = split.half() * LANES;
    let (products, tails) = to.split_at_mut(7 * half * LANES);
    for lane in 0..LANES {
        let [(upper_left, lower_left), (upper_right, lower_right)] =
            [left[lane], right[lane]].map(|filter| filter[..2 * half].split_at(half));
        for input in 0..half {
            let [b11, b21, b12, b22] =
                [upper_left, lower_left, upper_right, lower_right].map(|filter| f64::from(filter[input]));
            let t2 = b22 - (b12 - b11);
            let values = [b11, t2, b22 - b12, b21, b21 - t2, b12 - b11, b22];
            for (product, value) in values.into_iter().enumerate() {
                products[(product * half + input) * LANES + lane] = value as f32;
            }
        }
    }
    let (first, second) = tails.split_at_mut(tails.len() / 2);
    copy(&left, 2 * half, first);
    copy(&right, 2 * half, second);
}
