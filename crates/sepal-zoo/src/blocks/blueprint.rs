//! Blueprint separable convolutions. Haase & Amthor 2020, arXiv:2003.13549.

use sepal_graph::{Builder, Conv2d, NodeId, Result};

use super::{BlockRow, Place, Style, depthwise, pointwise};

const PAPER: &str = "Haase & Amthor 2020, arXiv:2003.13549";

pub(super) const ROW_U: BlockRow = BlockRow {
    name: "bsconv_u",
    title: "Unconstrained blueprint separable convolution",
    paper: PAPER,
    weights: "M·N + k²·N",
    macs: "D²·(M·N + k²·N)",
    options: &["bsconv_norm"],
    drop_in: true,
    half: None,
    build: blueprint_u,
};

pub(super) const ROW_S: BlockRow = BlockRow {
    name: "bsconv_s",
    title: "Subspace blueprint separable convolution",
    paper: PAPER,
    weights: "M·M' + M'·N + k²·N",
    macs: "D²·(M·M' + M'·N + k²·N)",
    options: &["p", "bsconv_norm"],
    drop_in: true,
    half: None,
    build: blueprint_s,
};

/// BSConv-U: `pointwise`, then `depthwise` with the stride. The standard convolution whose filter n
/// sees channel m through w(n,m) times one k×k blueprint B(n). Equation (4). With
/// `style.norm_u` a norm follows the pointwise convolution, `pointwise_bn`.
///
/// # Errors
/// The input is no map.
pub fn blueprint_u(b: &mut Builder, x: NodeId, place: Place, style: &Style) -> Result<NodeId> {
    let mut x = pointwise(b, x, place.stride(1), style)?;
    if style.norm_u {
        x = style.norm(b, "pointwise_bn", x)?;
    }
    depthwise(b, x, place, style)
}

/// BSConv-S: `pointwise1` to M' channels, `pointwise2` to N, then `depthwise` with the stride. It
/// is BSConv-U with the pointwise weights W = Wᴬ·Wᴮ of rank M'; `pointwise1` holds Wᴮ, `pointwise2`
/// Wᴬ. Equation (6). With `style.norm_s` norms follow them, `pointwise1_bn` and `pointwise2_bn`.
///
/// # Errors
/// The input is no map.
pub fn blueprint_s(b: &mut Builder, x: NodeId, place: Place, style: &Style) -> Result<NodeId> {
    let mid = blueprint_channels(b.channels(x)?, style.p);
    let mut x = x;
    for (name, norm, channels) in
        [("pointwise1", "pointwise1_bn", mid), ("pointwise2", "pointwise2_bn", place.out_channels)]
    {
        x = b.conv(name, x, Conv2d::pointwise(channels))?;
        if style.norm_s {
            x = style.norm(b, norm, x)?;
        }
    }
    depthwise(b, x, place, style)
}

/// M' = min(M, max(4, ⌈p·M⌉)), the channels in the middle of BSConv-S, as the authors' code counts
/// them.
#[must_use]
pub fn blueprint_channels(channels: usize, p: f64) -> usize {
    const LEAST: usize = 4;
    ((p * channels as f64).ceil() as usize).max(LEAST).min(channels)
}

#[cfg(test)]
mod tests {
    use super::blueprint_channels;

    #[test]
    fn the_middle_has_a_share_of_the_channels_and_at_least_four() {
        let cases = [(3, 0.25, 3), (16, 0.25, 4), (16, 0.1, 4), (17, 0.25, 5), (64, 0.25, 16), (64, 1.0, 64)];
        for (channels, p, want) in cases {
            assert_eq!(blueprint_channels(channels, p), want, "{channels} {p}");
        }
        assert_eq!(blueprint_channels(96, 1.0 / 6.0), 16);
    }
}
