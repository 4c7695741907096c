//! Soft sharing of depthwise convolutions between domains. Guo et al. 2019, arXiv:1902.00927.

use sepal_graph::{Activation, Builder, Conv2d, GatedSum, NodeId, Result, Softmax};

use super::{BlockRow, Place, Style, pointwise};

pub(super) const ROW: BlockRow = BlockRow {
    name: "soft_sharing",
    title: "Depthwise convolutions of several domains, mixed by a gate, and pointwise convolution",
    paper: "Guo et al. 2019, arXiv:1902.00927",
    weights: "S·k²·M + M·N + h·(M + 1) + S·(h + 1) for S domains, h = ⌊M/4⌋ + 1",
    macs: "D²·(S·k²·M + M·N) + h·(M + S)",
    options: &["domains", "between"],
    drop_in: true,
    half: Some(shared_depthwise),
    build: soft_sharing,
};

/// One depthwise convolution per domain (`depthwise1`, …) of the same input, and their `sum` weighted by a gate.
/// Keeps the number of channels. §3.3.
///
/// # Errors
/// The input is no map.
pub fn shared_depthwise(b: &mut Builder, x: NodeId, place: Place, style: &Style) -> Result<NodeId> {
    let channels = b.channels(x)?;
    let mut inputs = vec![gate(b, x, style.domains)?];
    for i in 0..style.domains {
        let conv = Conv2d::depthwise(channels, place.kernel).stride(place.stride).same();
        inputs.push(b.conv(&format!("depthwise{}", i + 1), x, conv)?);
    }
    b.node("sum", GatedSum {}, &inputs)
}

/// The gate of `domains` kernels: softmax(FC(ReLU(FC(m)))) of the input's mean m over space (`gate.pool`, `gate.reduce`,
/// `gate.act`, `gate.expand`, `gate.softmax`), whose hidden width is ⌊M/4⌋ + 1 and which has one output per domain. §3.3.
///
/// # Errors
/// The input is no map.
pub(crate) fn gate(b: &mut Builder, x: NodeId, domains: usize) -> Result<NodeId> {
    let channels = b.channels(x)?;
    b.scope("gate", |b| {
        let y = b.global_avg_pool("pool", x)?;
        let y = b.linear("reduce", y, channels / 4 + 1)?;
        let y = b.activation("act", y, Activation::Relu)?;
        let y = b.linear("expand", y, domains)?;
        b.node("softmax", Softmax { axis: 0 }, &[y])
    })
}

/// The depthwise separable convolution whose depthwise half is [`shared_depthwise`] and whose `pointwise`
/// half all domains have in common; what `style.between` says stands between.
///
/// # Errors
/// The input is no map.
pub fn soft_sharing(b: &mut Builder, x: NodeId, place: Place, style: &Style) -> Result<NodeId> {
    let x = shared_depthwise(b, x, place, style)?;
    let x = style.between.build(b, x, style)?;
    pointwise(b, x, place.stride(1), style)
}
