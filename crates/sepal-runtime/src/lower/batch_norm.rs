//! Batch norms that no layer before them could take in: a per-channel affine map.

use sepal_graph::BatchNorm;

use super::Lowering;
use crate::error::Result;
use crate::ir::{Act, Apply, Kind, Param, ValueId};

/// `γ·(x − μ)/√(σ² + ε) + β` as `scale·x + shift`, computed in f64.
pub(super) fn batch_norm(lowering: &mut Lowering<'_>, op: &BatchNorm) -> Result<ValueId> {
    let input = lowering.led_by(lowering.input(), 0);
    let (mean, var) = (lowering.param("running_mean")?, lowering.param("running_var")?);
    let (gamma, beta) =
        if op.affine { (lowering.param("weight")?, lowering.param("bias")?) } else { Default::default() };
    let shared = mean.shared && var.shared && (!op.affine || gamma.shared && beta.shared);
    let mut scales = Vec::with_capacity(mean.values.len());
    let mut shifts = Vec::with_capacity(mean.values.len());
    for (channel, (&mean, &var)) in mean.values.iter().zip(&var.values).enumerate() {
        let gamma = f64::from(gamma.values.get(channel).copied().unwrap_or(1.0));
        let beta = f64::from(beta.values.get(channel).copied().unwrap_or(0.0));
        let scale = gamma / (f64::from(var) + f64::from(op.eps)).sqrt();
        scales.push(scale as f32);
        shifts.push((beta - f64::from(mean) * scale) as f32);
    }
    let affine = [scales, shifts].map(|values| Param { values, shared });
    Ok(lowering.map(Kind::Apply(Apply { affine: Some(affine.into()), act: Act::default() }), input))
}
