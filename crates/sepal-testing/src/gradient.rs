//! Gradients by finite differences.

/// The gradient of `f` at `at` by central differences of step `eps`. In f64 a step of 1e-6 gives
/// about 1e-6 of relative error for the loss of a network; a larger one is more precise where `f`
/// is smooth, but more likely to step over the kink of a ReLU.
pub fn finite_difference(mut f: impl FnMut(&[f64]) -> f64, at: &[f64], eps: f64) -> Vec<f64> {
    let mut x = at.to_vec();
    let mut gradient = Vec::with_capacity(at.len());
    for i in 0..at.len() {
        x[i] = at[i] + eps;
        let above = f(&x);
        x[i] = at[i] - eps;
        let below = f(&x);
        x[i] = at[i];
        gradient.push((above - below) / (2.0 * eps));
    }
    gradient
}
