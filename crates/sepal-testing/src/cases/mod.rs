//! The graphs that every executor runs.

mod arithmetic;
mod arrange;
mod blocks;
mod layers;

use sepal_graph::{Builder, Graph, NodeId, Result, Shape, Weights};

use crate::Filler;

/// A small graph of one input for an executor to run.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is about, unique.
    pub name: String,
    /// The graph.
    pub graph: Graph,
    /// Whether it is for running only: training has to refuse it.
    pub inference_only: bool,
}

impl Case {
    /// Weights that keep values sane: [`Weights::formula`].
    ///
    /// # Panics
    /// The graph is not valid.
    #[must_use]
    pub fn weights(&self) -> Weights {
        Weights::formula(&self.graph).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// A batch of inputs from −1 to 1, N, C, H, W.
    ///
    /// # Panics
    /// The graph is not valid.
    #[must_use]
    pub fn input(&self, batch: usize) -> Vec<f32> {
        let shape = self.graph.input_shape().unwrap_or_else(|error| panic!("{}: {error}", self.name));
        Filler::new(batch as u64).vec(batch * shape.elements(), -1.0, 1.0)
    }
}

/// All cases: every operator with every attribute, at odd sizes, and in the company it keeps in
/// networks. Channel counts lie below, at and above multiples of 16.
///
/// # Panics
/// A case does not build.
#[must_use]
pub fn cases() -> Vec<Case> {
    let mut cases = Cases(Vec::new());
    for family in [
        layers::convolutions,
        layers::transposed_convolutions,
        layers::pools,
        layers::pointwise_operators,
        layers::heads,
        arithmetic::two_values,
        arithmetic::reductions,
        arithmetic::gated_sums,
        arrange::concat_and_slice,
        arrange::values_in_others,
        arrange::padding,
        arrange::resizing,
        arrange::other_shapes,
        blocks::separable_and_residual,
        blocks::attention,
        blocks::branches,
        blocks::segmentation,
    ] {
        family(&mut cases);
    }
    cases.0
}

/// The cases so far.
struct Cases(Vec<Case>);

impl Cases {
    /// Adds one that every executor runs.
    fn add(
        &mut self,
        name: impl Into<String>,
        [c, h, w]: [usize; 3],
        body: impl FnOnce(&mut Builder, NodeId) -> Result<NodeId>,
    ) {
        let name = name.into();
        let build = || {
            let mut b = Builder::new(&name);
            let x = b.input("input", Shape::chw(c, h, w)?)?;
            let y = body(&mut b, x)?;
            b.finish(&[y])
        };
        let graph = build().unwrap_or_else(|error| panic!("{name}: {error}"));
        self.0.push(Case { name, graph, inference_only: false });
    }

    /// Adds one that training refuses.
    fn add_for_inference(
        &mut self,
        name: impl Into<String>,
        shape: [usize; 3],
        body: impl FnOnce(&mut Builder, NodeId) -> Result<NodeId>,
    ) {
        self.add(name, shape, body);
        if let Some(case) = self.0.last_mut() {
            case.inference_only = true;
        }
    }
}
