//! Blocks: functions on a graph builder, a file each.
//!
//! A block that can stand where a k×k convolution stands has the same signature as all others
//! (input, [`Place`], [`Style`]) and adds neither norm nor activation after itself: the network
//! does. To add one: a file here and a line in the table below; every network can then be
//! built with it by `block=NAME`. The larger blocks, residual and inverted ones, bring norms and
//! activations of their own and hold such places.

mod blueprint;
mod bottleneck;
mod dense;
mod depthwise;
mod esp;
mod grouped;
mod inception;
mod inverted;
mod pointwise;
mod pydmobile;
mod pyramid;
mod residual;
mod separable;
mod soft_sharing;
mod squeeze_excite;
mod standard;
mod swapped;

use sepal_graph::{Activation, BatchNorm, Builder, Graph, NodeId, Result, Shape};

pub use blueprint::{blueprint_channels, blueprint_s, blueprint_u};
pub use bottleneck::{Bottleneck, bottleneck};
pub use dense::{dense_block, dense_layer};
pub use depthwise::depthwise;
pub use esp::{DILATIONS, esp};
pub use grouped::grouped;
pub use inception::{Inception, inception, inception_simple};
pub(crate) use inception::{layer, place, pooled};
pub(crate) use inverted::tensorflow_same;
pub use inverted::{Inverted, inverted_residual};
pub use pointwise::pointwise;
pub use pydmobile::{PydMobile, pydmobile};
pub use pyramid::{Merge, PYRAMID, pyramid_add, pyramid_concat, pyramid_depthwise};
pub use residual::{Residual, pooled_residual, pre_residual, residual};
pub use separable::{Between, separable};
pub(crate) use soft_sharing::gate;
pub use soft_sharing::{shared_depthwise, soft_sharing};
pub use squeeze_excite::squeeze_excite;
pub use standard::standard;
pub use swapped::separable_swapped;

/// All blocks.
static BLOCKS: &[BlockRow] = &[
    standard::ROW,
    grouped::ROW,
    depthwise::ROW,
    pointwise::ROW,
    separable::ROW,
    blueprint::ROW_U,
    blueprint::ROW_S,
    pyramid::ROW,
    pyramid::CONCAT_ROW,
    inception::SIMPLE_ROW,
    esp::ROW,
    soft_sharing::ROW,
    swapped::ROW,
    inception::ROW,
    residual::ROW,
    residual::PRE_ROW,
    residual::POOLED_ROW,
    bottleneck::ROW,
    bottleneck::RESNEXT_ROW,
    dense::ROW,
    squeeze_excite::ROW,
    inverted::ROW,
    inverted::SE_ROW,
    pydmobile::ROW,
    pydmobile::CONCAT_ROW,
];

/// The k×k convolution for which a block stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Output channels, N.
    pub out_channels: usize,
    /// Kernel height and width, k; padding is "same".
    pub kernel: usize,
    /// Stride in both directions.
    pub stride: usize,
    /// Distance of the kernel's taps; separable convolutions look at it, and the blocks made of them.
    pub dilation: usize,
}

impl Place {
    /// A k×k convolution of stride 1.
    #[must_use]
    pub fn new(out_channels: usize, kernel: usize) -> Self {
        Self { out_channels, kernel, stride: 1, dilation: 1 }
    }

    /// With this stride.
    #[must_use]
    pub fn stride(mut self, stride: usize) -> Self {
        self.stride = stride;
        self
    }

    /// With this dilation.
    #[must_use]
    pub fn dilation(mut self, dilation: usize) -> Self {
        self.dilation = dilation;
        self
    }
}

/// What blocks can be told. Each uses what concerns it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Style {
    /// What stands between depthwise and pointwise.
    pub between: Between,
    /// Groups, K, of grouped convolutions.
    pub groups: usize,
    /// The share p of its input channels that the middle of BSConv-S has, above 0, at most 1.
    pub p: f64,
    /// Whether BSConv-U has a norm after its pointwise convolution.
    pub norm_u: bool,
    /// Whether BSConv-S has a norm after each of its pointwise convolutions.
    pub norm_s: bool,
    /// Branches of simplified Inception blocks, at least 1.
    pub branches: usize,
    /// Domains whose depthwise convolutions are shared softly, at least 1.
    pub domains: usize,
    /// Whether ESP fuses its branches hierarchically.
    pub hff: bool,
    /// The network's activation.
    pub activation: Activation,
    /// What the batch norms inside add to the variance.
    pub eps: f32,
}

impl Default for Style {
    /// Nothing between, 8 groups, p = ¼, no norms inside BSConv, 3 branches, 2 domains, hierarchical fusion,
    /// ReLU, ε = 1e-5.
    fn default() -> Self {
        Self {
            between: Between::None,
            groups: 8,
            p: 0.25,
            norm_u: false,
            norm_s: false,
            branches: 3,
            domains: 2,
            hff: true,
            activation: Activation::Relu,
            eps: 1e-5,
        }
    }
}

impl Style {
    /// A batch norm of this style, under `name`.
    pub(crate) fn norm(&self, b: &mut Builder, name: &str, x: NodeId) -> Result<NodeId> {
        b.node(name, BatchNorm { eps: self.eps, ..BatchNorm::default() }, &[x])
    }

    /// A batch norm and the activation of this style, `bn` and `act`.
    pub(crate) fn norm_act(&self, b: &mut Builder, x: NodeId) -> Result<NodeId> {
        let x = self.norm(b, "bn", x)?;
        b.activation("act", x, self.activation)
    }
}

/// A block of the table.
#[derive(Debug, Clone, Copy)]
pub struct BlockRow {
    /// Its name in `block=`.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// Its weights, for k×k kernels, M input and N output channels.
    pub weights: &'static str,
    /// Its multiply-adds on a D×D map at stride 1.
    pub macs: &'static str,
    /// Names of the options that it looks at.
    pub options: &'static [&'static str],
    /// Whether it can stand where any k×k convolution stands: it can both look at neighbours
    /// and change the number of channels.
    pub drop_in: bool,
    /// If it is a separable convolution: its depthwise half alone, without the pointwise one at its end. It need
    /// not keep the number of channels and does not look at the place's.
    pub half: Option<Build>,
    /// Adds it to a graph, in the builder's current scope.
    pub build: Build,
}

/// Adds a block to a graph, in the builder's current scope.
pub type Build = fn(&mut Builder, NodeId, Place, &Style) -> Result<NodeId>;

impl BlockRow {
    /// A graph that holds the block alone, on an input of this shape.
    ///
    /// # Errors
    /// The block cannot take the shape; the depthwise block keeps the number of channels
    /// whatever the place asks for.
    pub fn graph(&self, input: Shape, place: Place, style: &Style) -> Result<Graph> {
        let mut b = Builder::new(self.name);
        let x = b.input("input", input)?;
        let y = b.scope(self.name, |b| (self.build)(b, x, place, style))?;
        b.finish(&[y])
    }

    /// The block at 128 → 128 channels, 3×3, on a 56×56 map: small enough to read, large enough
    /// that costs compare as they do in networks.
    ///
    /// # Errors
    /// None for a row of the table.
    pub fn example(&self) -> Result<Graph> {
        let input = Shape::chw(128, 56, 56)?;
        self.graph(input, Place::new(128, 3), &Style::default())
    }
}

/// All blocks.
#[must_use]
pub fn blocks() -> &'static [BlockRow] {
    BLOCKS
}

/// What stands where a network has k×k convolutions: a block of the table with its style.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    row: &'static BlockRow,
    style: Style,
}

impl Block {
    /// The drop-in block of this name.
    #[must_use]
    pub fn named(name: &str, style: Style) -> Option<Self> {
        let row = BLOCKS.iter().find(|row| row.drop_in && row.name == name)?;
        Some(Self { row, style })
    }

    /// The names of all drop-in blocks.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        let drop_in = BLOCKS.iter().filter(|row| row.drop_in);
        drop_in.map(|row| row.name).collect()
    }

    /// A block of the table.
    fn new(row: &'static BlockRow, style: Style) -> Self {
        Self { row, style }
    }

    /// A k×k convolution, whatever the network is built with elsewhere.
    #[must_use]
    pub fn standard(style: Style) -> Self {
        Self::new(&standard::ROW, style)
    }

    /// A depthwise separable convolution; in a depthwise place, the depthwise convolution.
    #[must_use]
    pub fn separable(style: Style) -> Self {
        Self::new(&separable::ROW, style)
    }

    /// What stands where the convolution reads the picture: groups do not divide three colours, so
    /// that in place of a grouped convolution there is a standard one.
    pub(crate) fn on_pixels(self) -> Self {
        if self.row.name == grouped::ROW.name { Self::standard(self.style) } else { self }
    }

    /// What the block was told.
    #[must_use]
    pub fn style(&self) -> &Style {
        &self.style
    }

    /// The row of the table.
    #[must_use]
    pub fn row(&self) -> &'static BlockRow {
        self.row
    }

    /// Adds the block in the builder's current scope.
    ///
    /// # Errors
    /// The block cannot take the input's shape.
    pub fn build(&self, b: &mut Builder, x: NodeId, place: Place) -> Result<NodeId> {
        (self.row.build)(b, x, place, &self.style)
    }

    /// Adds what stands where a network has a depthwise convolution before a pointwise one of its own: both
    /// together are a separable convolution, so that of a separable block this is its depthwise half. Any other
    /// block stands for a k×k convolution that keeps the number of channels.
    ///
    /// # Errors
    /// The block cannot take the input's shape.
    pub fn build_depthwise(&self, b: &mut Builder, x: NodeId, place: Place) -> Result<NodeId> {
        match self.row.half {
            Some(half) => half(b, x, place, &self.style),
            None => self.build(b, x, Place { out_channels: b.channels(x)?, ..place }),
        }
    }
}
