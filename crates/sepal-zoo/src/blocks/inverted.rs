//! The inverted residual block and its later forms.

use sepal_graph::{Builder, Conv2d, NodeId, Result};

use super::{Block, BlockRow, Place, Style, separable, squeeze_excite};

pub(super) const ROW: BlockRow = BlockRow {
    name: "inverted_residual",
    title: "Inverted residual block, expanding sixfold",
    paper: "Sandler et al. 2018, arXiv:1801.04381",
    weights: "6·M·(M + k² + N) + 24·M + 2·N",
    macs: "D²·6·M·(M + k² + N)",
    options: &["activation"],
    drop_in: false,
    half: None,
    build: |b, x, place, style| {
        let mid = b.channels(x)?.saturating_mul(6);
        inverted_residual(b, x, place, &Inverted::new(mid, Block::separable(*style)))
    },
};

pub(super) const SE_ROW: BlockRow = BlockRow {
    name: "inverted_residual_se",
    title: "Inverted residual block with squeeze-and-excite, expanding sixfold",
    paper: "Howard et al. 2019, arXiv:1905.02244",
    weights: "6·M·(M + k² + N) + 18·M² + 63·M/2 + 2·N",
    macs: "D²·6·M·(M + k² + N) + 18·M²",
    build: |b, x, place, style| {
        let mid = b.channels(x)?.saturating_mul(6);
        let parts = Inverted { squeeze: Some((mid / 4).max(1)), ..Inverted::new(mid, Block::separable(*style)) };
        inverted_residual(b, x, place, &parts)
    },
    ..ROW
};

/// What an inverted residual block is made of.
#[derive(Debug, Clone, Copy)]
pub struct Inverted {
    /// Channels of the depthwise convolution; `None` leaves the expansion out.
    pub mid: Option<usize>,
    /// Kernel of a depthwise convolution before the expansion, as in MobileNet V4.
    pub start: Option<usize>,
    /// Whether there is a depthwise convolution in the middle; MobileNet V4 has blocks without.
    pub middle: bool,
    /// Whether padding is TensorFlow's "same": the odd zero of a stride below and to the right.
    pub tensorflow: bool,
    /// Channels in the middle of a squeeze-and-excite gate after the depthwise convolution, as in MobileNet V3.
    pub squeeze: Option<usize>,
    /// What stands where its depthwise convolutions stand, as [`Block::build_depthwise`] builds it; its style
    /// has norms and activation. [`Block::separable`] is the depthwise convolution itself.
    pub block: Block,
}

impl Inverted {
    /// MobileNet V2's block with so many channels in the middle.
    #[must_use]
    pub fn new(mid: usize, block: Block) -> Self {
        Self { mid: Some(mid), start: None, middle: true, tensorflow: false, squeeze: None, block }
    }

    /// A depthwise convolution `name` with its norm `…_bn` and, if `active`, activation `…_act`; or what stands
    /// for it, under `scope`.
    fn spatial(
        &self,
        b: &mut Builder,
        [name, scope]: [&str; 2],
        x: NodeId,
        place: Place,
        active: bool,
    ) -> Result<NodeId> {
        let style = self.block.style();
        if self.block.row().name != separable::ROW.name {
            return b.scope(scope, |b| {
                let x = self.block.build_depthwise(b, x, place)?;
                if active { style.norm_act(b, x) } else { style.norm(b, "bn", x) }
            });
        }
        let conv = Conv2d::depthwise(b.channels(x)?, place.kernel).stride(place.stride).dilation(place.dilation);
        let conv = if self.tensorflow { tensorflow_same(b, x, conv)? } else { conv.same() };
        let x = b.conv(name, x, conv)?;
        let x = style.norm(b, &format!("{name}_bn"), x)?;
        if active { b.activation(&format!("{name}_act"), x, style.activation) } else { Ok(x) }
    }
}

/// Pointwise expansion (`expand`), depthwise k×k with the stride (`depthwise`), linear pointwise
/// projection (`project`), each with its norm `…_bn` and the first two with activation `…_act`; the
/// input is added where shapes allow (`add`). Sandler et al. 2018, arXiv:1801.04381, figure 4(d).
///
/// With `squeeze` a squeeze-and-excite gate follows the depthwise convolution: Howard et al. 2019,
/// arXiv:1905.02244, figure 4. With `start` a linear depthwise convolution stands first (`start`, `start_bn`)
/// and takes the stride if there is none in the middle: Qin et al. 2024, arXiv:2404.10518, figure 4.
///
/// Another `block` stands under `start` and `layer`, with `bn` and `act`.
///
/// # Errors
/// The input is no map, or the block cannot take the channels.
pub fn inverted_residual(b: &mut Builder, x: NodeId, place: Place, parts: &Inverted) -> Result<NodeId> {
    let input = x;
    let style: &Style = parts.block.style();
    let skip = b.channels(x)? == place.out_channels && place.stride == 1;
    let mut x = x;
    if let Some(kernel) = parts.start {
        let stride = if parts.middle { 1 } else { place.stride };
        x = parts.spatial(b, ["start", "start"], x, Place { kernel, stride, ..place }, false)?;
    }
    if let Some(mid) = parts.mid {
        x = b.conv("expand", x, Conv2d::pointwise(mid))?;
        x = style.norm(b, "expand_bn", x)?;
        x = b.activation("expand_act", x, style.activation)?;
    }
    if parts.middle {
        x = parts.spatial(b, ["depthwise", "layer"], x, place, true)?;
    }
    if let Some(reduced) = parts.squeeze {
        x = squeeze_excite(b, x, reduced)?;
    }
    x = b.conv("project", x, Conv2d::pointwise(place.out_channels))?;
    x = style.norm(b, "project_bn", x)?;
    if skip { b.add("add", x, input) } else { Ok(x) }
}

/// TensorFlow's "same" padding for a convolution of this input: ⌈size / stride⌉ outputs, the odd
/// zero at the bottom and right. It depends on the input's size, which the graph then keeps.
pub(crate) fn tensorflow_same(b: &Builder, x: NodeId, mut conv: Conv2d) -> Result<Conv2d> {
    let Some([_, h, w]) = b.shape(x)?.as_chw() else {
        return Ok(conv.same());
    };
    let total = |size: usize, i: usize| {
        let covered = (conv.kernel[i] - 1) * conv.dilation[i] + 1;
        ((size.div_ceil(conv.stride[i]) - 1) * conv.stride[i] + covered).saturating_sub(size)
    };
    let [h, w] = [total(h, 0), total(w, 1)];
    conv.padding = [h / 2, w / 2, h - h / 2, w - w / 2];
    Ok(conv)
}

#[cfg(test)]
mod tests {
    use sepal_graph::{Builder, Conv2d, Shape};

    use super::tensorflow_same;

    #[test]
    fn the_odd_zero_of_a_stride_stands_below() {
        let cases = [
            (224, 3, 2, [0, 0, 1, 1]),
            (225, 3, 2, [1, 1, 1, 1]),
            (224, 5, 2, [1, 1, 2, 2]),
            (7, 5, 1, [2, 2, 2, 2]),
            (1, 3, 2, [1, 1, 1, 1]),
        ];
        for (size, kernel, stride, want) in cases {
            let mut b = Builder::new("pad");
            let x = b.input("input", Shape::chw(3, size, size).unwrap()).unwrap();
            let conv = tensorflow_same(&b, x, Conv2d::standard(8, kernel).stride(stride)).unwrap();
            assert_eq!(conv.padding, want, "{size} {kernel} {stride}");
            let y = b.conv("conv", x, conv).unwrap();
            assert_eq!(b.shape(y).unwrap().as_chw().unwrap()[1], size.div_ceil(stride));
        }
    }
}
