//! Squeeze-and-excite. Hu et al. 2018, arXiv:1709.01507.

use sepal_graph::{Activation, Builder, Conv2d, GlobalAvgPool, NodeId, Result};

use super::BlockRow;

pub(super) const ROW: BlockRow = BlockRow {
    name: "squeeze_excite",
    title: "Squeeze-and-excite gate, reducing to a quarter",
    paper: "Hu et al. 2018, arXiv:1709.01507",
    weights: "M²/2 + 5·M/4",
    macs: "M²/2",
    options: &[],
    drop_in: false,
    half: None,
    build: |b, x, _, _| {
        let reduced = (b.channels(x)? / 4).max(1);
        squeeze_excite(b, x, reduced)
    },
};

/// Scales every channel by a gate that all channels' means decide: `se.pool`, a 1×1 convolution to `reduced`
/// channels and ReLU (`se.reduce`, `se.act`), one back and hard sigmoid (`se.expand`, `se.gate`), and the
/// product `se.scale`. Figure 2; the hard sigmoid is MobileNet V3's (Howard et al. 2019, arXiv:1905.02244,
/// §5.3). Keeps the shape.
///
/// # Errors
/// The input is no map.
pub fn squeeze_excite(b: &mut Builder, x: NodeId, reduced: usize) -> Result<NodeId> {
    let channels = b.channels(x)?;
    b.scope("se", |b| {
        let y = b.node("pool", GlobalAvgPool { keep_dims: true }, &[x])?;
        let y = b.conv("reduce", y, Conv2d::pointwise(reduced).bias(true))?;
        let y = b.activation("act", y, Activation::Relu)?;
        let y = b.conv("expand", y, Conv2d::pointwise(channels).bias(true))?;
        let gate = b.activation("gate", y, Activation::HardSigmoid)?;
        b.multiply("scale", x, gate)
    })
}
