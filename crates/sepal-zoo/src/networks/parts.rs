//! What many networks begin and end with.

use sepal_graph::{Builder, Conv2d, NodeId};

use crate::options::{self, ACTIVATION, BRANCHES, DATA_NORM, DOMAINS, DROPOUT, GROUPS, HFF, P};
use crate::{OptionRow, Options, Place, Result, Style};

/// Options of the residual networks for small pictures.
pub(super) const CIFAR_OPTIONS: &[OptionRow] = &[
    options::block("standard"),
    options::between("none"),
    GROUPS,
    P,
    options::bsconv_norm("s"),
    BRANCHES,
    DOMAINS,
    HFF,
    ACTIVATION,
    DROPOUT,
    DATA_NORM,
];

/// A convolution with norm and activation: `name.conv`, `name.bn`, `name.act`.
pub(super) fn conv_norm_act(b: &mut Builder, name: &str, x: NodeId, conv: Conv2d, style: &Style) -> Result<NodeId> {
    Ok(b.scope(name, |b| {
        let x = b.conv("conv", x, conv)?;
        style.norm_act(b, x)
    })?)
}

/// Strides of an encoder that become dilations, so that its map stays as large as a segmenter wants it.
pub(super) struct Atrous {
    /// By how much the map may still shrink.
    pub(super) left: usize,
    /// Of what follows.
    pub(super) dilation: usize,
}

impl Atrous {
    /// The place of a layer that would have this stride.
    pub(super) fn place(&mut self, place: Place, stride: usize) -> Place {
        let place = place.dilation(self.dilation);
        if stride > 1 && self.left < stride {
            self.dilation *= stride;
            return place;
        }
        self.left /= stride;
        place.stride(stride)
    }
}

/// A batch norm on the pixels, `data_bn`, if the options want it.
pub(super) fn data_norm(b: &mut Builder, x: NodeId, options: &Options) -> Result<NodeId> {
    if options.is_on(DATA_NORM.name)? { Ok(b.batch_norm("data_bn", x)?) } else { Ok(x) }
}

/// Global average pooling and the classifier: `pool`, `dropout` if there is any, `classifier`.
pub(super) fn classify(b: &mut Builder, x: NodeId, options: &Options, classes: usize) -> Result<NodeId> {
    let x = b.global_avg_pool("pool", x)?;
    classify_features(b, x, options, classes)
}

/// The classifier of pooled features: `dropout` if there is any, `classifier`.
pub(super) fn classify_features(b: &mut Builder, x: NodeId, options: &Options, classes: usize) -> Result<NodeId> {
    let p = options.number(DROPOUT.name)?;
    let x = if p > 0.0 { b.dropout("dropout", x, p as f32)? } else { x };
    Ok(b.linear("classifier", x, classes)?)
}
