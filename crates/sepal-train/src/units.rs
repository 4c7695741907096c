//! Units: an operator with the norm and the activation that follow it.
//!
//! A unit stores its operator's raw output once. Norm and activation are applied by whoever reads
//! it (see [`sepal_kernels::Source`]), so a chain of convolution, batch norm and activation costs
//! one tensor and no pass of its own.

use sepal_graph::{Graph, NodeId, Op};

/// A stored tensor: the operator that makes it, and what readers apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// What computes the stored tensor.
    pub(crate) producer: Producer,
    /// The batch norm that readers apply.
    pub(crate) norm: Option<NodeId>,
    /// The activation that readers apply, after the norm.
    pub(crate) act: Option<NodeId>,
    /// The node whose value readers get.
    pub(crate) value: NodeId,
    /// The units it reads.
    pub(crate) inputs: Vec<usize>,
}

/// What computes a unit's stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Producer {
    /// A node of the graph.
    Node(NodeId),
    /// A copy of the input unit's value: what comes next cannot join that unit.
    Copy,
}

/// Groups the nodes of a valid graph into units, in topological order.
///
/// Returns the units, and for each node the unit that holds its value.
pub(crate) fn group(graph: &Graph) -> (Vec<Unit>, Vec<usize>) {
    let mut readers = graph.reads();
    let mut units: Vec<Unit> = Vec::new();
    // The unit that holds each node's value.
    let mut unit_of: Vec<usize> = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.iter() {
        let inputs: Vec<usize> = node.inputs.iter().map(|input| unit_of[input.index()]).collect();
        // Only the last reader of a tensor may change what all its readers get.
        let joins = |unit: &Unit| {
            node.inputs.iter().all(|input| readers[input.index()] == 1)
                && readers[unit.value.index()] == 1
                && takes_more(graph, unit)
                && unit.act.is_none()
        };
        let unit = match &node.op {
            Op::BatchNorm(_) => {
                let unit = &mut units[inputs[0]];
                if joins(unit) && unit.norm.is_none() {
                    (unit.norm, unit.value) = (Some(id), id);
                    inputs[0]
                } else {
                    push(&mut units, Unit { producer: Producer::Copy, norm: Some(id), act: None, value: id, inputs })
                }
            }
            Op::Activation(_) => {
                let unit = &mut units[inputs[0]];
                if joins(unit) {
                    (unit.act, unit.value) = (Some(id), id);
                    inputs[0]
                } else {
                    push(&mut units, Unit { producer: Producer::Copy, norm: None, act: Some(id), value: id, inputs })
                }
            }
            // Dropping nothing, and flattening what is flat, change nothing.
            Op::Dropout(dropout) if dropout.p == 0.0 => alias(&mut readers, id, node.inputs[0], inputs[0]),
            Op::Input(_)
            | Op::Conv2d(_)
            | Op::Add(_)
            | Op::Subtract(_)
            | Op::Multiply(_)
            | Op::Divide(_)
            | Op::Constant(_)
            | Op::Concat(_)
            | Op::Slice(_)
            | Op::Pad(_)
            | Op::ConvTranspose2d(_)
            | Op::Interpolate(_)
            | Op::Reshape(_)
            | Op::Transpose(_)
            | Op::Softmax(_)
            | Op::Mean(_)
            | Op::LayerNorm(_)
            | Op::GatedSum(_)
            | Op::MaxPool(_)
            | Op::AvgPool(_)
            | Op::GlobalAvgPool(_)
            | Op::Linear(_)
            | Op::Dropout(_)
            | Op::Flatten(_) => {
                push(&mut units, Unit { producer: Producer::Node(id), norm: None, act: None, value: id, inputs })
            }
        };
        unit_of.push(unit);
    }
    (units, unit_of)
}

/// Lets node `id` stand for the value of `input`: whoever reads that elsewhere also reads this.
fn alias(readers: &mut [usize], id: NodeId, input: NodeId, unit: usize) -> usize {
    readers[id.index()] += readers[input.index()] - 1;
    unit
}

/// Whether norm and activation can be left to a unit's readers. Pictures are read as they are, and what
/// dropout zeroed must stay zero.
fn takes_more(graph: &Graph, unit: &Unit) -> bool {
    match unit.producer {
        Producer::Copy => true,
        Producer::Node(id) => !matches!(graph.nodes[id.index()].op, Op::Input(_) | Op::Dropout(_)),
    }
}

fn push(units: &mut Vec<Unit>, unit: Unit) -> usize {
    units.push(unit);
    units.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use sepal_graph::{Activation, Builder, Conv2d, Dropout, Shape};

    fn units(build: impl FnOnce(&mut Builder, NodeId) -> sepal_graph::Result<NodeId>) -> Vec<(bool, bool, bool)> {
        let mut b = Builder::new("test");
        let x = b.input("input", Shape::chw(4, 8, 8).unwrap()).unwrap();
        let out = build(&mut b, x).unwrap();
        let (units, _) = group(&b.finish(&[out]).unwrap());
        units.iter().map(|u| (u.producer == Producer::Copy, u.norm.is_some(), u.act.is_some())).collect()
    }

    #[test]
    fn norm_and_activation_join_their_convolution() {
        let got = units(|b, x| {
            let x = b.conv("conv", x, Conv2d::pointwise(8))?;
            let x = b.batch_norm("bn", x)?;
            b.activation("act", x, Activation::Relu)
        });
        assert_eq!(got, [(false, false, false), (false, true, true)]);
    }

    #[test]
    fn what_others_read_as_it_is_stays_as_it_is() {
        let got = units(|b, x| {
            let x = b.conv("conv", x, Conv2d::pointwise(8))?;
            let same = b.node("drop", Dropout { p: 0.0 }, &[x])?;
            let y = b.batch_norm("bn", same)?;
            b.add("add", x, y)
        });
        assert_eq!(got, [(false, false, false), (false, false, false), (true, true, false), (false, false, false)]);
    }

    #[test]
    fn a_norm_after_an_activation_or_on_the_input_starts_anew() {
        let got = units(|b, x| {
            let x = b.batch_norm("data", x)?;
            let x = b.activation("act", x, Activation::Relu)?;
            b.batch_norm("bn", x)
        });
        assert_eq!(got, [(false, false, false), (true, true, true), (true, true, false)]);
    }
}
