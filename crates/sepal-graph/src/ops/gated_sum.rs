//! Sums weighted by a gate.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::Operator;
use crate::{Error, Result, Shape, limits};

/// Σ g_d·x_d: the first input is the gate `[D]`, the others are D values of one shape, which is the output's.
///
/// The soft sharing of depthwise convolutions over domains: Guo et al. 2019, arXiv:1902.00927, §3.3.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatedSum {}

impl Operator for GatedSum {
    fn arity(&self) -> RangeInclusive<usize> {
        2..=limits::MAX_INPUTS
    }

    fn title(&self, _: &[&Shape]) -> String {
        "GatedSum".into()
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [gate, first, rest @ ..] = inputs else {
            return Err(Error::Arity { op: "gated_sum", expected: self.arity(), actual: inputs.len() });
        };
        let wrong = |expected: String, actual: &Shape| {
            Err(Error::InputShape { op: "gated_sum", expected, actual: actual.to_string() })
        };
        if gate.dims() != [rest.len() + 1] {
            return wrong(format!("a gate of {} values, one for each other input", rest.len() + 1), gate);
        }
        match rest.iter().find(|shape| *shape != first) {
            Some(shape) => wrong(format!("inputs of one shape, the first is {first}"), shape),
            None => Ok((*first).clone()),
        }
    }
}
