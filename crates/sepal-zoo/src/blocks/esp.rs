//! The efficient spatial pyramid. Mehta et al. 2018, arXiv:1803.06815.

use sepal_graph::{Builder, Conv2d, NodeId, Result};

use super::{BlockRow, Place, Style};

pub(super) const ROW: BlockRow = BlockRow {
    name: "esp",
    title: "Efficient spatial pyramid of dilated convolutions",
    paper: "Mehta et al. 2018, arXiv:1803.06815",
    weights: "⌊N/5⌋·(M + k²·N) (stride > 1: ⌊N/5⌋·k²·(M + N))",
    macs: "D²·⌊N/5⌋·(M + k²·N)",
    options: &["hff"],
    drop_in: true,
    half: None,
    build: esp,
};

/// Dilations of the branches.
pub const DILATIONS: [usize; 5] = [1, 2, 4, 8, 16];

/// Reduce, split, transform, merge: `reduce` to n = ⌊N/5⌋ channels, five k×k convolutions of them side by
/// side with dilations 1 to 16 (`dilated1`, …, `dilated16`), and their `concat`. The first branch has the
/// N − 4n channels that make it N. Figure 1(b). A strided place is reduced by a strided k×k convolution, any
/// other by a pointwise one. Fewer than five output channels have a branch each.
///
/// With `style.hff` each dilated branch but the first is added to those of smaller dilation before they
/// are concatenated (`sum4`, `sum8`, `sum16`), which takes the grid out of what they see: §3.2, hierarchical
/// feature fusion.
///
/// # Errors
/// The input is no map.
pub fn esp(b: &mut Builder, x: NodeId, place: Place, style: &Style) -> Result<NodeId> {
    let branches = DILATIONS.len().min(place.out_channels).max(1);
    let channels = place.out_channels / branches;
    let reduce = match place.stride {
        1 => Conv2d::pointwise(channels),
        stride => Conv2d::standard(channels, place.kernel).stride(stride).same(),
    };
    let x = b.conv("reduce", x, reduce)?;
    let mut parts: Vec<NodeId> = Vec::with_capacity(branches);
    for (i, dilation) in DILATIONS.into_iter().take(branches).enumerate() {
        let channels = if i == 0 { place.out_channels - (branches - 1) * channels } else { channels };
        let conv = Conv2d::standard(channels, place.kernel).dilation(dilation).same();
        let y = b.conv(&format!("dilated{dilation}"), x, conv)?;
        let fused = match parts.as_slice() {
            [_, .., last] if style.hff => b.add(&format!("sum{dilation}"), *last, y)?,
            _ => y,
        };
        parts.push(fused);
    }
    b.concat("concat", &parts)
}
