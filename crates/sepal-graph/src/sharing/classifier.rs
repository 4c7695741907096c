//! The layer that tells classes apart.

use crate::{Conv2d, Error, Graph, Linear, NodeId, Op, Result};

impl Graph {
    /// The layer whose outputs are the network's, with nothing learnt in between: its last linear layer, or the 1×1
    /// convolution that stands for one. `None` where the output comes from something else.
    #[must_use]
    pub fn classifier(&self) -> Option<NodeId> {
        let shapes = self.shapes().ok()?;
        let [mut at] = self.outputs[..] else { return None };
        loop {
            let node = self.node(at)?;
            match &node.op {
                Op::Linear(_) => return Some(at),
                Op::Conv2d(conv) if conv.groups == 1 => return Some(at),
                op => {
                    let inputs: Vec<_> = node.inputs.iter().map(|id| &shapes[id.index()]).collect();
                    match node.inputs[..] {
                        [input] if op.operator().params(&inputs).is_empty() => at = input,
                        _ => return None,
                    }
                }
            }
        }
    }

    /// The same network for another number of classes.
    ///
    /// # Errors
    /// It has no [classifier](Graph::classifier), or one that cannot have so many outputs.
    pub fn with_classes(&self, classes: usize) -> Result<Self> {
        let mut graph = self.clone();
        let classifier = self.classifier().and_then(|id| graph.nodes.get_mut(id.index()));
        match classifier.map(|node| &mut node.op) {
            Some(Op::Linear(Linear { out_features, .. })) => *out_features = classes,
            Some(Op::Conv2d(Conv2d { out_channels, .. })) => *out_channels = classes,
            _ => return Err(Error::Interface("the network's output is not that of a classifier".into())),
        }
        graph.validate()?;
        Ok(graph)
    }
}
