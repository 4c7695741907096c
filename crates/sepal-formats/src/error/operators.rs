//! Operators that are not read.

use std::collections::BTreeMap;

/// Nodes listed for each missing operator.
const MAX_SHOWN: usize = 4;

/// An operator of an ONNX model that is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingOperator {
    /// Its name, or the use of it that is not supported.
    pub operator: String,
    /// The node.
    pub node: String,
    /// The version of the operator set.
    pub opset: i64,
}

impl MissingOperator {
    /// Whether it is one of those that quantised networks consist of.
    pub(super) fn is_of_quantised(&self) -> bool {
        self.operator.contains("Quant") || self.operator.contains("QLinear") || self.operator.ends_with("Integer")
    }
}

/// One line per operator, with the first of its nodes.
pub(super) fn show_operators(missing: &[MissingOperator]) -> String {
    let mut nodes: BTreeMap<(&str, i64), Vec<&str>> = BTreeMap::new();
    for m in missing {
        nodes.entry((&m.operator, m.opset)).or_default().push(&m.node);
    }
    let line = |((operator, opset), nodes): (&(&str, i64), &Vec<&str>)| {
        let shown: Vec<String> =
            nodes.iter().take(MAX_SHOWN).map(|node| format!("`{}`", node.escape_debug())).collect();
        let more = nodes.len() - shown.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("\n  {} (opset {opset}) at {}{more}", operator.escape_debug(), shown.join(", "))
    };
    nodes.iter().map(line).collect()
}
