//! Softmax over channels, and its cross-entropy with the labels.

use std::ops::Range;

use crate::exec::{Exec, Shared, per_worker};
use crate::isa::{Isa, Kernel, Vector, exp};
use crate::layout::{Dims, LANES};
use crate::source::Source;

/// The label of rows that take no part: no loss, no gradient, no count.
pub const IGNORED: u32 = u32::MAX;

/// What a batch's logits should say: a class per row, or two.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// The class of each row, or [`IGNORED`].
    pub labels: &'a [u32],
    /// A weight for each class, with which rows of that label count; none where all count alike.
    pub weights: Option<&'a [f32]>,
    /// The second class of each row, where rows are mixed of two.
    pub mixed: Option<Mixed<'a>>,
    /// Share of the target spread evenly over all classes, in [0, 1) (Szegedy et al. 2015, section 7).
    pub smoothing: f32,
}

/// Second classes, as mixup and CutMix make them.
#[derive(Clone, Copy, Debug)]
pub struct Mixed<'a> {
    /// A class for each row.
    pub labels: &'a [u32],
    /// Its share of each row's target, in [0, 1]; the first class has the rest.
    pub shares: &'a [f32],
}

/// What a batch's logits are worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// Mean cross-entropy, weighted where classes have weights; 0 where every row is ignored, not a number where a logit is not
    /// finite.
    pub mean: f64,
    /// Rows that are not ignored.
    pub counted: usize,
    /// Rows whose label has the greatest logit; of two labels the one with the greater share counts, of equal shares the
    /// first. Of equal logits the lower class counts as greater.
    pub top1: usize,
    /// Rows whose label, chosen in the same way, is among the five greatest logits.
    pub top5: usize,
}

/// Floats a group of rows leaves behind: its loss in two parts, and the hits among one and among five.
const RESULT: usize = 4;
/// Rows of a group where there are many.
const GROUP: usize = 64;
/// Groups that there are before they have more rows than one.
const GROUPS: usize = 256;

/// Rows that are computed one after the other: as many as leave work for any number of threads.
fn group_rows(rows: usize) -> usize {
    (rows / GROUPS).clamp(1, GROUP)
}

fn results_len(dims: &Dims) -> usize {
    (dims.rows().div_ceil(group_rows(dims.rows())) * RESULT).next_multiple_of(LANES)
}

/// Floats of scratch that [`softmax_cross_entropy`] needs on `threads` workers.
pub fn cross_entropy_scratch(dims: &Dims, threads: usize) -> usize {
    results_len(dims) + softmax_scratch(dims, threads)
}

/// Floats of scratch that [`softmax`] needs on `threads` workers.
pub fn softmax_scratch(dims: &Dims, threads: usize) -> usize {
    per_worker(dims.blocks() * LANES, threads)
}

/// Mean cross-entropy of the softmax of `logits` with `targets`, as PyTorch's `CrossEntropyLoss(label_smoothing)`: a
/// row's target is `(1 − smoothing)` at its label, or on its two labels by their shares, plus `smoothing / classes`
/// everywhere. With weights the mean is that of the rows' losses weighted by their labels' (PyTorch's, without smoothing).
///
/// `grad`, if given, becomes the gradient of the mean: `(softmax − target) · weight / Σ weights`, zero in the lanes
/// past the last class and for rows that are ignored. A row is an image, or a pixel where `h` or `w` is not 1.
///
/// # Panics
/// If a label is neither below `dims.c` nor ignored, a share is not in [0, 1], rows are both mixed and ignored or weighted, a
/// weight is not a positive number, or a slice is shorter than its role asks.
pub fn softmax_cross_entropy(
    exec: Exec<'_>,
    dims: &Dims,
    logits: Source<'_>,
    targets: &Targets<'_>,
    grad: Option<&mut [f32]>,
    scratch: &mut [f32],
) -> Loss {
    let rows = dims.rows();
    let labels = &targets.labels[..rows];
    // A row that is not mixed has nothing of a second class.
    let (others, shares) = targets.mixed.map_or((labels, None), |mixed| (mixed.labels, Some(mixed.shares)));
    let others = &others[..rows];
    let mixed = targets.mixed.is_some();
    let known = |labels: &[u32]| labels.iter().all(|&l| (l as usize) < dims.c || (l == IGNORED && !mixed));
    assert!(known(labels) && known(others), "a label is not below {}", dims.c);
    let weights = targets.weights.map(|weights| &weights[..dims.c]);
    let positive = |weights: &[f32]| weights.iter().all(|&weight| weight > 0.0 && weight.is_finite());
    assert!(
        weights.is_none_or(|weights| !mixed && positive(weights)),
        "weights of rows that are mixed, or not positive"
    );
    let shares = shares.map(|shares| &shares[..rows]);
    assert!(
        shares.is_none_or(|shares| shares.iter().all(|share| (0.0..=1.0).contains(share))),
        "a share beyond 0 to 1"
    );
    assert!(logits.z.len() >= dims.len() && grad.as_ref().is_none_or(|grad| grad.len() >= dims.len()));
    assert!(scratch.len() >= cross_entropy_scratch(dims, exec.pool.threads()));
    let smoothing = targets.smoothing;
    let there = labels.iter().filter(|&&label| label != IGNORED);
    let counted = there.clone().count();
    let all = weights.map_or(counted as f64, |weights| there.map(|&label| f64::from(weights[label as usize])).sum());
    let (results, scratch) = scratch.split_at_mut(results_len(dims));
    let (shared, scratch, grad) = (Shared::new(results), Shared::new(scratch), grad.map(Shared::new));
    let group = group_rows(rows);
    let groups = rows.div_ceil(group);
    let truth = Truth { labels, others, shares, weights, smoothing, all };
    exec.pool.run(groups, &|at, worker| {
        // SAFETY: an item is a group of rows; the scratch is this worker's.
        let (result, values) =
            unsafe { (shared.slice(at * RESULT, RESULT), scratch.part(worker, dims.blocks() * LANES)) };
        let rows = at * group..((at + 1) * group).min(rows);
        exec.level.dispatch(Entropy { dims, logits: &logits, rows, truth: &truth, grad, result, values });
    });
    let mut loss = Loss { mean: 0.0, counted, top1: 0, top5: 0 };
    for result in results.chunks_exact(RESULT).take(groups) {
        loss.mean += f64::from(result[0]) + f64::from(result[1]);
        loss.top1 += result[2] as usize;
        loss.top5 += result[3] as usize;
    }
    loss.mean /= if counted == 0 { 1.0 } else { all };
    loss
}

/// The softmax of `logits` over channels, in `N, C, H, W` order.
///
/// # Panics
/// If a slice is shorter than its role asks.
pub fn softmax(exec: Exec<'_>, dims: &Dims, logits: Source<'_>, probabilities: &mut [f32], scratch: &mut [f32]) {
    let pixels = dims.h * dims.w;
    assert!(logits.z.len() >= dims.len() && probabilities.len() >= dims.rows() * dims.c);
    assert!(scratch.len() >= softmax_scratch(dims, exec.pool.threads()));
    let (scratch, probabilities) = (Shared::new(scratch), Shared::new(probabilities));
    exec.pool.run(dims.rows(), &|row, worker| {
        // SAFETY: the scratch is this worker's.
        let values = unsafe { scratch.part(worker, dims.blocks() * LANES) };
        let sum = exec.level.dispatch(Softmax { dims, logits: &logits, row, values }).sum;
        let (image, pixel) = (row / pixels, row % pixels);
        for (c, value) in values[..dims.c].iter().enumerate() {
            // SAFETY: an item is a row.
            unsafe { *probabilities.at((image * dims.c + c) * pixels + pixel, 1) = (f64::from(*value) / sum) as f32 }
        }
    });
}

/// The logits of one row, and then their exponentials.
struct Softmax<'a> {
    dims: &'a Dims,
    logits: &'a Source<'a>,
    row: usize,
    /// Becomes `exp(logit − greatest)`, zero past the last class.
    values: &'a mut [f32],
}

struct Sums {
    greatest: f32,
    /// Of the exponentials.
    sum: f64,
}

impl Softmax<'_> {
    /// Fills `values` with the logits; past the last class with the lowest number.
    #[inline(always)]
    fn load<I: Isa>(&mut self, isa: I) {
        for block in 0..self.dims.blocks() {
            let z = &self.logits.z[block * self.dims.plane() + self.row * LANES..][..LANES];
            // SAFETY: sixteen floats.
            let value = unsafe { I::Block::load(isa, z.as_ptr()) };
            let value = self.logits.transform(isa, block).apply(isa, value);
            // SAFETY: as above.
            unsafe { value.store(isa, self.values[block * LANES..][..LANES].as_mut_ptr()) }
        }
        self.values[self.dims.c..].fill(f32::MIN);
    }

    /// Turns the logits into their exponentials.
    #[inline(always)]
    fn exponentials<I: Isa>(&mut self, isa: I) -> Sums {
        let greatest = self.values.iter().fold(f32::MIN, |most, &value| if value > most { value } else { most });
        let top = I::Block::splat(isa, greatest);
        for line in self.values.chunks_exact_mut(LANES) {
            // SAFETY: sixteen floats.
            unsafe {
                let value = I::Block::load(isa, line.as_ptr()).sub(isa, top);
                exp(isa, value).store(isa, line.as_mut_ptr());
            }
        }
        let sum = self.values[..self.dims.c].iter().map(|&value| f64::from(value)).sum();
        Sums { greatest, sum }
    }
}

impl Kernel for Softmax<'_> {
    type Output = Sums;

    #[inline(always)]
    fn run<I: Isa>(mut self, isa: I) -> Sums {
        self.load(isa);
        self.exponentials(isa)
    }
}

/// What rows should say.
struct Truth<'a> {
    labels: &'a [u32],
    others: &'a [u32],
    shares: Option<&'a [f32]>,
    weights: Option<&'a [f32]>,
    smoothing: f32,
    /// The sum of the rows' weights.
    all: f64,
}

struct Entropy<'a> {
    dims: &'a Dims,
    logits: &'a Source<'a>,
    rows: Range<usize>,
    truth: &'a Truth<'a>,
    grad: Option<Shared<'a>>,
    result: &'a mut [f32],
    values: &'a mut [f32],
}

impl Kernel for Entropy<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(mut self, isa: I) {
        let (mut loss, mut hits) = (0.0, [0u32; 2]);
        for row in self.rows.clone() {
            if self.truth.labels[row] == IGNORED {
                self.no_gradient(row);
                continue;
            }
            let (of_row, rank) = self.row(isa, row);
            loss += of_row;
            for (hits, within) in hits.iter_mut().zip([1, 5]) {
                *hits += u32::from(rank < within);
            }
        }
        self.result[0] = loss as f32;
        self.result[1] = (loss - f64::from(self.result[0])) as f32;
        self.result[2] = hits[0] as f32;
        self.result[3] = hits[1] as f32;
    }
}

impl Entropy<'_> {
    fn no_gradient(&self, row: usize) {
        let Some(grad) = self.grad else { return };
        for block in 0..self.dims.blocks() {
            // SAFETY: the row is of this item's group.
            unsafe { grad.slice(block * self.dims.plane() + row * LANES, LANES) }.fill(0.0);
        }
    }

    /// Loss of a row and rank of its label; writes its gradient.
    #[inline(always)]
    fn row<I: Isa>(&mut self, isa: I, row: usize) -> (f64, usize) {
        let Self { dims, logits, truth, grad, .. } = *self;
        let pair = [truth.labels[row], truth.others[row]].map(|label| label as usize);
        let share = truth.shares.map_or(0.0, |shares| shares[row]);
        let own_weight = truth.weights.map_or(1.0, |weights| f64::from(weights[pair[0]]));
        let (classes, smoothing) = (dims.c as f64, f64::from(truth.smoothing));
        let mut softmax = Softmax { dims, logits, row, values: &mut *self.values };
        softmax.load(isa);
        let label = if share > 0.5 { pair[1] } else { pair[0] };
        let own = softmax.values[label];
        let parts = [1.0 - f64::from(share), f64::from(share)];
        let hit = parts[0] * f64::from(softmax.values[pair[0]]) + parts[1] * f64::from(softmax.values[pair[1]]);
        let total: f64 = softmax.values[..dims.c].iter().map(|&logit| f64::from(logit)).sum();
        let greater = |(class, &logit): (usize, &f32)| logit > own || (logit == own && class < label);
        let rank = softmax.values[..dims.c].iter().enumerate().filter(|&each| greater(each)).count();
        let Sums { greatest, sum } = softmax.exponentials(isa);
        let log_sum = f64::from(greatest) + sum.ln();
        let loss = (1.0 - smoothing) * (log_sum - hit) + smoothing * (log_sum - total / classes);
        let result = if total.is_finite() { (own_weight * loss, rank) } else { (f64::NAN, usize::MAX) };
        let Some(grad) = grad else { return result };
        let weight = own_weight / truth.all;
        let (factor, everywhere) = ((weight / sum) as f32, (-weight * smoothing / classes) as f32);
        for (block, line) in softmax.values.chunks_exact_mut(LANES).enumerate() {
            // SAFETY: sixteen floats.
            unsafe {
                let value = I::Block::load(isa, line.as_ptr());
                let value = value.mul_add(isa, I::Block::splat(isa, factor), I::Block::splat(isa, everywhere));
                value.store(isa, line.as_mut_ptr());
            }
            for (label, part) in pair.into_iter().zip(parts) {
                if label / LANES == block {
                    line[label % LANES] -= (weight * (1.0 - smoothing) * part) as f32;
                }
            }
            let classes = (dims.c - block * LANES).min(LANES);
            line[classes..].fill(0.0);
            // SAFETY: the row is of this item's group.
            unsafe { grad.slice(block * dims.plane() + row * LANES, LANES) }.copy_from_slice(line);
        }
        result
    }
}

#[cfg(test)]
mod tests;
