//! The registry of networks.

use sepal_graph::{Builder, Graph, NodeId, Shape, Task};

use crate::error::nearest;
use crate::networks::{
    deeplab, densenet, efficientnet_lite, espnet, inception_v3, mobilenet_v1, mobilenet_v2, mobilenet_v3, mobilenet_v4,
    pydmobilenet, resdsc, resnet, resnet_cifar, wrn, xception, xception_aligned,
};
use crate::{Error, OptionRow, Options, Result, Spec};

/// All families. A new one is a file under `networks/` and a line here; a new network of a family
/// is a row in its file.
const FAMILIES: &[&[NetworkRow]] = &[
    &[mobilenet_v1::ROW],
    &[mobilenet_v2::ROW],
    mobilenet_v3::ROWS,
    &[mobilenet_v4::ROW],
    &[efficientnet_lite::ROW],
    &[xception::ROW],
    xception_aligned::ROWS,
    &[inception_v3::ROW],
    resnet::ROWS,
    resnet_cifar::ROWS,
    wrn::ROWS,
    &[densenet::ROW],
    &[resdsc::ROW],
    &[pydmobilenet::ROW],
    espnet::ROWS,
    &[deeplab::ROW],
];

static NETWORKS: [NetworkRow; count(FAMILIES)] = flatten(FAMILIES);

const fn count(families: &[&[NetworkRow]]) -> usize {
    let mut rows = 0;
    let mut i = 0;
    while i < families.len() {
        rows += families[i].len();
        i += 1;
    }
    rows
}

const fn flatten<const N: usize>(families: &[&[NetworkRow]]) -> [NetworkRow; N] {
    let mut all = [families[0][0]; N];
    let (mut i, mut at) = (0, 0);
    while i < families.len() {
        let mut j = 0;
        while j < families[i].len() {
            all[at] = families[i][j];
            at += 1;
            j += 1;
        }
        i += 1;
    }
    all
}

/// A network family.
#[derive(Debug, Clone, Copy)]
pub struct NetworkRow {
    /// Its name in a spec.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// Its options, in canonical order.
    pub options: &'static [OptionRow],
    /// What its output means.
    pub task: Task,
    /// Input size and classes if not given; they depend on the stem.
    pub defaults: fn(&Options) -> Result<Defaults>,
    /// Adds the network to a graph whose input is given; returns the logits: `[classes]` of a classifier, `[classes, H, W]`
    /// of a segmenter.
    pub build: fn(&mut Builder, NodeId, &Options, classes: usize) -> Result<NodeId>,
    /// Forms of it whose cost is known from elsewhere.
    pub variants: &'static [Variant],
}

// Rows are static: the name tells them apart.
impl PartialEq for NetworkRow {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl NetworkRow {
    /// Input size and classes with default options.
    ///
    /// # Errors
    /// None for a row of the registry.
    pub fn default_input(&self) -> Result<Defaults> {
        (self.defaults)(&Options::new(self.name, self.options))
    }
}

/// What a network is built for if nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defaults {
    /// Height and width of the input.
    pub size: [usize; 2],
    /// Number of classes.
    pub classes: usize,
}

impl Defaults {
    /// ImageNet: 224×224, 1000 classes.
    pub const IMAGENET: Self = Self::square(224, 1000);
    /// CIFAR-10: 32×32, 10 classes.
    pub const CIFAR: Self = Self::square(32, 10);

    /// Square images.
    #[must_use]
    pub const fn square(size: usize, classes: usize) -> Self {
        Self { size: [size, size], classes }
    }
}

/// A form of a network whose cost is known from its paper or its authors' code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// Its spec, as tables name it: any order of options, and defaults may be said.
    pub spec: &'static str,
    /// Height and width of the input.
    pub size: [usize; 2],
    /// Number of classes.
    pub classes: usize,
    /// Learnable scalars.
    pub params: u64,
    /// Multiply-adds for one image.
    pub macs: u64,
}

impl Variant {
    /// For square images.
    pub(crate) const fn new(spec: &'static str, size: usize, classes: usize, params: u64, macs: u64) -> Self {
        Self { spec, size: [size, size], classes, params, macs }
    }
}

/// All networks.
#[must_use]
pub fn networks() -> &'static [NetworkRow] {
    &NETWORKS
}

/// The network of this name.
///
/// # Errors
/// There is none: the error lists the nearest and all names.
pub fn find(name: &str) -> Result<&'static NetworkRow> {
    NETWORKS.iter().find(|row| row.name == name).ok_or_else(|| {
        let valid: Vec<_> = NETWORKS.iter().map(|row| row.name).collect();
        Error::UnknownNetwork { name: name.to_owned(), nearest: nearest(name, &valid), valid }
    })
}

impl Spec {
    /// Input size and classes that the network has if nothing else is said.
    ///
    /// # Errors
    /// None for a spec that was parsed.
    pub fn defaults(&self) -> Result<Defaults> {
        (self.network().defaults)(self.options())
    }
}

/// Builds a network for RGB images of `size` (height, width; the network's default if `None`)
/// and so many classes. The graph is named by the canonical spec, its input `input` and its
/// output holds one logit per class, for the picture or, of a segmenter, for every place of a map.
///
/// # Errors
/// Fewer than two classes, or a size that the network cannot take: the node that cannot, by
/// path.
pub fn build(spec: &Spec, size: Option<[usize; 2]>, classes: usize) -> Result<Graph> {
    if classes < 2 {
        return Err(Error::Classes { classes });
    }
    let [height, width] = match size {
        Some(size) => size,
        None => spec.defaults()?.size,
    };
    let graph = || {
        let mut b = Builder::new(&spec.to_string());
        let x = b.input("input", Shape::chw(3, height, width)?)?;
        let logits = (spec.network().build)(&mut b, x, spec.options(), classes)?;
        Ok(b.finish(&[logits])?)
    };
    graph().map_err(|error| match error {
        Error::Graph(error) => Error::Build { spec: spec.to_string(), height, width, error: Box::new(error) },
        other => other,
    })
}
