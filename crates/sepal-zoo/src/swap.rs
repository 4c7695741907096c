//! Other blocks in place of the convolutions that a network has: its shapes stay, its function does not.

use globset::{GlobBuilder, GlobMatcher};
use sepal_graph::{Builder, Conv2d, Graph, Node, NodeId, Op};

use crate::{Block, Error, Place, Result};

/// What is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swapped {
    /// Standard k×k convolutions, k > 1.
    Standard,
    /// Depthwise separable convolutions: depthwise, then pointwise, with nothing but norms and activations between.
    Separable,
}

/// Replaces every standard convolution, or every depthwise separable one, whose path one of `globs` matches
/// (`*` also matches dots) by a block. Other nodes keep their paths, so that weights of theirs still fit.
///
/// Only convolutions whose place a block can take are looked at: square kernels and strides, no dilation, "same"
/// padding, a size that the block keeps. A bias goes with the convolution that had it. The paths of a separable
/// convolution are those of both its halves.
///
/// # Errors
/// [`Error::Glob`] for what is no glob, or for globs that match no such convolution; a block that cannot stand there,
/// with the path.
pub fn swap(graph: &Graph, what: Swapped, globs: &[&str], block: &Block) -> Result<Graph> {
    let globs = globs.iter().map(|text| glob(text)).collect::<Result<Vec<_>>>()?;
    let reads = graph.reads();
    let shapes = graph.shapes()?;
    let found = |id: NodeId| {
        let found = match what {
            Swapped::Standard => standard(graph, id),
            Swapped::Separable => separable(graph, id, &reads),
        }?;
        let matched =
            found.nodes.iter().any(|&id| globs.iter().any(|glob| glob.is_match(&graph.nodes[id.index()].path)));
        let [before, after] = [shapes[found.input.index()].size(), shapes[id.index()].size()];
        let same_size = before.map(|size| size.div_ceil(found.place.stride)) == after;
        (matched && same_size).then_some(found)
    };
    let places: Vec<Option<Found>> = graph.iter().map(|(id, _)| found(id)).collect();
    if places.iter().all(Option::is_none) {
        let globs = globs.iter().map(|glob| glob.glob().glob()).collect::<Vec<_>>().join("`, `");
        return Err(Error::Glob { glob: globs, problem: "matches no convolution of the kind asked for".into() });
    }
    let gone: Vec<NodeId> = places.iter().flatten().flat_map(|found| &found.nodes).copied().collect();

    let mut b = Builder::new(&graph.name);
    // What stands for each value; `None` inside what was replaced.
    let mut new: Vec<Option<NodeId>> = Vec::with_capacity(graph.nodes.len());
    for ((id, node), place) in graph.iter().zip(&places) {
        let value = match place {
            Some(found) => match new[found.input.index()] {
                Some(x) => Some(b.scope(&scope(graph, found), |b| block.build(b, x, found.place))?),
                None => None,
            },
            None if gone.contains(&id) => None,
            None => {
                let inputs: Option<Vec<NodeId>> = node.inputs.iter().map(|input| new[input.index()]).collect();
                inputs.map(|inputs| b.node(&node.path, node.op.clone(), &inputs)).transpose()?
            }
        };
        new.push(value);
    }
    let outputs: Vec<NodeId> = graph.outputs.iter().filter_map(|output| new[output.index()]).collect();
    Ok(b.finish(&outputs)?)
}

fn glob(text: &str) -> Result<GlobMatcher> {
    match GlobBuilder::new(text).build() {
        Ok(glob) => Ok(glob.compile_matcher()),
        Err(error) => Err(Error::Glob { glob: text.to_owned(), problem: format!("is not a glob: {}", error.kind()) }),
    }
}

/// A convolution that a block can stand for.
struct Found {
    place: Place,
    input: NodeId,
    /// Its nodes, the last one's value is its own.
    nodes: Vec<NodeId>,
}

/// The scope in which the block is built: that of the nodes it replaces.
fn scope(graph: &Graph, found: &Found) -> String {
    let paths = found.nodes.iter().map(|id| graph.nodes[id.index()].path.as_str());
    let parents = paths.map(|path| path.rsplit_once('.').map_or("", |(parent, _)| parent));
    let last = found.nodes.last().map_or("", |id| graph.nodes[id.index()].path.as_str());
    match parents.clone().next() {
        // A convolution that is named by more than its kind has that name for a scope.
        Some(parent) if !parent.is_empty() && parents.clone().all(|other| other == parent) && is_plain(last) => {
            parent.to_owned()
        }
        _ => last.to_owned(),
    }
}

/// Whether a path ends in the name of a kind of convolution.
fn is_plain(path: &str) -> bool {
    matches!(path.rsplit('.').next(), Some("conv" | "pointwise" | "depthwise"))
}

/// The square kernel and stride of an undilated convolution.
fn square(conv: &Conv2d) -> Option<(usize, usize)> {
    let ([kh, kw], [sh, sw]) = (conv.kernel, conv.stride);
    let plain = kh == kw && sh == sw && conv.dilation == [1, 1] && conv.padding.iter().sum::<usize>() == 2 * (kh - 1);
    plain.then_some((kh, sh))
}

fn standard(graph: &Graph, id: NodeId) -> Option<Found> {
    let Node { op: Op::Conv2d(conv), inputs, .. } = graph.node(id)? else { return None };
    let (kernel, stride) = square(conv)?;
    let place = Place { out_channels: conv.out_channels, kernel, stride, dilation: 1 };
    (conv.groups == 1 && kernel > 1).then(|| Found { place, input: inputs[0], nodes: vec![id] })
}

/// The depthwise separable convolution that ends here, if one does.
fn separable(graph: &Graph, id: NodeId, reads: &[usize]) -> Option<Found> {
    let Node { op: Op::Conv2d(pointwise), inputs, .. } = graph.node(id)? else { return None };
    if !pointwise.is_pointwise() || pointwise.stride != [1, 1] {
        return None;
    }
    let mut nodes = vec![id];
    let mut at = *inputs.first()?;
    loop {
        let node = graph.node(at)?;
        if reads[at.index()] != 1 {
            return None;
        }
        nodes.push(at);
        let input = *node.inputs.first()?;
        match &node.op {
            Op::BatchNorm(_) | Op::Activation(_) => at = input,
            // A depthwise convolution has as many groups as filters.
            Op::Conv2d(depthwise) if depthwise.groups == depthwise.out_channels && depthwise.groups > 1 => {
                let (kernel, stride) = square(depthwise)?;
                nodes.reverse();
                let place = Place { out_channels: pointwise.out_channels, kernel, stride, dilation: 1 };
                return Some(Found { place, input, nodes });
            }
            _ => return None,
        }
    }
}
