//! What a kernel reads: a stored tensor, and the norm and activation still to be applied to it.
//!
//! In training, a convolution stores its raw output `z`. Batch norm and activation are never passes
//! of their own: whoever reads the tensor applies `act(scale·z + shift)` on the way in, and whoever
//! reads its gradient applies the derivative. So one tensor is kept where frameworks keep three.

use crate::act::Act;
use crate::isa::{Isa, Vector, lanes};

/// A stored tensor and what is still to be applied: its value is `act(scale·z + shift)`.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The tensor as stored, in channel blocks.
    pub z: &'a [f32],
    /// Per-channel scale and shift, each padded to whole blocks.
    pub affine: Option<(&'a [f32], &'a [f32])>,
    /// The activation that follows.
    pub act: Act<'a>,
}

impl<'a> Source<'a> {
    /// A tensor that is read as it is.
    pub const fn plain(z: &'a [f32]) -> Self {
        Self { z, affine: None, act: Act::None }
    }

    /// Whether nothing is to be applied.
    pub fn is_plain(&self) -> bool {
        self.affine.is_none() && self.act == Act::None
    }

    /// What is to be applied to channel block `block`, with its constants in registers.
    #[inline(always)]
    pub(crate) fn transform<I: Isa>(&self, isa: I, block: usize) -> Transform<'a, I> {
        // A closure that is not inlined would be left without the instructions.
        #[allow(clippy::manual_map)]
        let affine = match self.affine {
            Some((scale, shift)) => Some((lanes(isa, scale, block), lanes(isa, shift, block))),
            None => None,
        };
        Transform { affine, act: self.act, block }
    }
}

/// A source's affine map and activation for one channel block.
#[derive(Clone, Copy)]
pub(crate) struct Transform<'a, I: Isa> {
    affine: Option<(I::Block, I::Block)>,
    act: Act<'a>,
    block: usize,
}

impl<I: Isa> Transform<'_, I> {
    /// The value of a stored `z`.
    #[inline(always)]
    pub(crate) fn apply(&self, isa: I, z: I::Block) -> I::Block {
        self.act.apply(isa, self.linear(isa, z), self.block)
    }

    /// Runs `work`, which must be `#[inline(always)]`, with this transform, of which the compiler knows the
    /// usual activations by then: so that a loop in it does not ask for each pixel.
    #[inline(always)]
    pub(crate) fn known(self, work: impl FnOnce(Self)) {
        match (self.affine, self.act) {
            (None, Act::None) => work(Self { affine: None, act: Act::None, ..self }),
            (Some(affine), Act::None) => work(Self { affine: Some(affine), act: Act::None, ..self }),
            (Some(affine), Act::Relu) => work(Self { affine: Some(affine), act: Act::Relu, ..self }),
            (Some(affine), Act::Relu6) => work(Self { affine: Some(affine), act: Act::Relu6, ..self }),
            _ => work(self),
        }
    }

    /// `g·act'(scale·z + shift)`, from the gradient `g` of the value: the gradient before the activation.
    #[inline(always)]
    pub(crate) fn before_act(&self, isa: I, g: I::Block, z: I::Block) -> I::Block {
        match self.act {
            Act::None => g,
            act => g.mul(isa, act.derivative(isa, self.linear(isa, z), self.block)),
        }
    }

    /// `scale·z + shift`, before the activation.
    #[inline(always)]
    pub(crate) fn linear(&self, isa: I, z: I::Block) -> I::Block {
        match self.affine {
            Some((scale, shift)) => z.mul_add(isa, scale, shift),
            None => z,
        }
    }
}

/// The batch norm part of a gradient, per channel and padded to whole blocks.
///
/// With `g' = g·act'(scale·z + shift)`, the gradient of batch norm's input is
/// `k1·g' + k2·z + k3` (the usual formula, collected by what varies).
#[derive(Clone, Copy)]
pub struct NormGrad<'a> {
    /// Factor of `g'`.
    pub k1: &'a [f32],
    /// Factor of `z`.
    pub k2: &'a [f32],
    /// Constant.
    pub k3: &'a [f32],
}

/// The gradient of a stored tensor `z`, given the gradient `g` of its value `act(scale·z + shift)`.
#[derive(Clone, Copy)]
pub struct GradSource<'a> {
    /// Gradient of the value.
    pub g: &'a [f32],
    /// The tensor and what was applied to it.
    pub source: Source<'a>,
    /// Batch norm's part where `scale` and `shift` came from batch statistics; without it the
    /// gradient is `g'·scale`.
    pub norm: Option<NormGrad<'a>>,
}

impl<'a> GradSource<'a> {
    /// A gradient that is read as it is.
    pub const fn plain(g: &'a [f32]) -> Self {
        Self { g, source: Source::plain(g), norm: None }
    }

    /// Whether nothing is to be applied.
    pub fn is_plain(&self) -> bool {
        self.source.is_plain() && self.norm.is_none()
    }

    /// The constants of channel block `block`, in registers.
    #[inline(always)]
    pub(crate) fn transform<I: Isa>(&self, isa: I, block: usize) -> GradTransform<'a, I> {
        // As in `Source::transform`.
        #[allow(clippy::manual_map)]
        let norm = match self.norm {
            Some(NormGrad { k1, k2, k3 }) => {
                Some([lanes(isa, k1, block), lanes(isa, k2, block), lanes(isa, k3, block)])
            }
            None => None,
        };
        GradTransform { source: self.source.transform(isa, block), norm }
    }
}

/// A gradient's derivative and norm part for one channel block.
#[derive(Clone, Copy)]
pub(crate) struct GradTransform<'a, I: Isa> {
    source: Transform<'a, I>,
    norm: Option<[I::Block; 3]>,
}

impl<I: Isa> GradTransform<'_, I> {
    /// As [`Transform::known`].
    #[inline(always)]
    pub(crate) fn known(self, work: impl Fn(Self)) {
        let Transform { affine, act, block } = self.source;
        match (self.norm, affine, act) {
            (None, None, Act::None) => {
                let source = Transform { affine: None, act: Act::None, block };
                work(Self { source, norm: None });
            }
            (Some(norm), Some(affine), Act::None) => {
                let source = Transform { affine: Some(affine), act: Act::None, block };
                work(Self { source, norm: Some(norm) });
            }
            (Some(norm), Some(affine), Act::Relu) => {
                let source = Transform { affine: Some(affine), act: Act::Relu, block };
                work(Self { source, norm: Some(norm) });
            }
            _ => work(self),
        }
    }

    /// The gradient of `z`, from the gradient `g` of its value.
    #[inline(always)]
    pub(crate) fn apply(&self, isa: I, g: I::Block, z: I::Block) -> I::Block {
        let g = self.source.before_act(isa, g, z);
        match (self.norm, self.source.affine) {
            (Some([k1, k2, k3]), _) => g.mul_add(isa, k1, z.mul_add(isa, k2, k3)),
            (None, Some((scale, _))) => g.mul(isa, scale),
            (None, None) => g,
        }
    }
}
