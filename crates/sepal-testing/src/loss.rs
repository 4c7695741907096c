//! The loss.

/// Softmax of each row of `classes` logits.
#[must_use]
pub fn softmax(logits: &[f64], classes: usize) -> Vec<f64> {
    let row = |row: &[f64]| {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().map(|x| (x - max).exp()).sum();
        row.iter().map(|x| (x - max).exp() / sum).collect::<Vec<_>>()
    };
    logits.chunks(classes).flat_map(row).collect()
}

/// Mean cross-entropy of softmax(logits) over the batch, as PyTorch defines it: the target is
/// 1 − `smoothing` on the label plus `smoothing`/K on every one of the K classes.
///
/// # Panics
/// `logits` is not a whole number of rows, one per label, or a label is no class.
#[must_use]
pub fn softmax_cross_entropy(logits: &[f64], labels: &[u32], smoothing: f64) -> f64 {
    assert_eq!(logits.len() % labels.len(), 0, "logits are not one row per label");
    let classes = logits.len() / labels.len();
    let mut total = 0.0;
    for (row, &label) in logits.chunks(classes).zip(labels) {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_sum = max + row.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
        for (class, x) in row.iter().enumerate() {
            let hit = if class == label as usize { 1.0 } else { 0.0 };
            let target = (1.0 - smoothing) * hit + smoothing / classes as f64;
            total += target * (log_sum - x);
        }
        assert!((label as usize) < classes, "label {label} of {classes} classes");
    }
    total / labels.len() as f64
}
