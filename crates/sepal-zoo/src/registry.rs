//! The registry of networks.

use sepal_graph::{Builder, Graph, NodeId, Shape};

use crate::error::nearest;
use crate::networks::mobilenet_v1;
use crate::{Error, OptionRow, Options, Result, Spec};

/// All networks. A new one is a file under `networks/` and a line here.
static NETWORKS: &[NetworkRow] = &[mobilenet_v1::ROW];

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
    /// Input size and classes if not given; they depend on the stem.
    pub defaults: fn(&Options) -> Result<Defaults>,
    /// Adds the network to a graph whose input is given; returns the logits, `[classes]`.
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

/// A form of a network whose cost is known from its paper or its authors' code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// Full spec.
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

/// All networks.
#[must_use]
pub fn networks() -> &'static [NetworkRow] {
    NETWORKS
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
/// output holds one logit per class.
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
