//! A training step's time by passes.

use sepal_report::{Table, bytes};
use serde::Serialize;

use super::profile::{Machine, ratio};

/// The passes of one layer, as they were timed: seconds of one step.
pub(super) struct Training {
    pub(super) forward: f64,
    /// Sums of the norm's gradient.
    pub(super) norm: f64,
    /// All of the reverse step.
    pub(super) backward: f64,
    /// Gradients computed one after the other, in other steps than `backward`; none where they are none or one.
    pub(super) input: Option<f64>,
    pub(super) weights: Option<f64>,
    pub(super) forward_bytes: u64,
    pub(super) backward_bytes: u64,
    /// Why it is slow, if it runs on an operator made for any case.
    pub(super) fallback: Option<String>,
}

/// The passes of a row of the profile.
#[derive(Serialize)]
pub(super) struct Passes {
    forward_ms: f64,
    norm_ms: f64,
    backward_ms: f64,
    input_ms: Option<f64>,
    weights_ms: Option<f64>,
    forward_bytes: u64,
    backward_bytes: u64,
    /// The roofline's time of either.
    forward_limit_ms: Option<f64>,
    backward_limit_ms: Option<f64>,
    /// Why the layer is slow, if it runs on an operator made for any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fallback: Option<String>,
}

impl Passes {
    pub(super) const HEAD: [&str; 7] = ["forward", "× limit", "norm", "input", "weights", "backward", "× limit"];

    /// `macs` are those of three passes, of which one is forward.
    pub(super) fn new(training: Training, macs: u64, machine: &Machine) -> Self {
        let Training { forward, norm, backward, input, weights, forward_bytes, backward_bytes, fallback } = training;
        let ms = |seconds: f64| seconds * 1e3;
        Self {
            forward_ms: ms(forward),
            norm_ms: ms(norm),
            backward_ms: ms(backward),
            input_ms: input.map(ms),
            weights_ms: weights.map(ms),
            forward_bytes,
            backward_bytes,
            forward_limit_ms: machine.limit(macs / 3, forward_bytes).map(ms),
            backward_limit_ms: machine.limit(macs - macs / 3, backward_bytes).map(ms),
            fallback,
        }
    }

    /// Both together.
    pub(super) fn plus(&self, other: Option<Self>) -> Self {
        let part = |own: Option<f64>, of: fn(&Self) -> Option<f64>| {
            let other = other.as_ref().and_then(of);
            own.map_or(other, |own| Some(own + other.unwrap_or(0.0)))
        };
        let sum = |own: f64, of: fn(&Self) -> f64| own + other.as_ref().map_or(0.0, of);
        Self {
            forward_ms: sum(self.forward_ms, |o| o.forward_ms),
            norm_ms: sum(self.norm_ms, |o| o.norm_ms),
            backward_ms: sum(self.backward_ms, |o| o.backward_ms),
            input_ms: part(self.input_ms, |o| o.input_ms),
            weights_ms: part(self.weights_ms, |o| o.weights_ms),
            forward_bytes: self.forward_bytes + other.as_ref().map_or(0, |o| o.forward_bytes),
            backward_bytes: self.backward_bytes + other.as_ref().map_or(0, |o| o.backward_bytes),
            forward_limit_ms: part(self.forward_limit_ms, |o| o.forward_limit_ms),
            backward_limit_ms: part(self.backward_limit_ms, |o| o.backward_limit_ms),
            fallback: None,
        }
    }

    /// Under [`Passes::HEAD`].
    pub(super) fn cells(&self) -> Vec<String> {
        let ms = |ms: f64| if ms > 0.0 { format!("{ms:.3}") } else { String::new() };
        let times = |ms: f64, limit: Option<f64>| match limit {
            Some(limit) if ms > 0.0 && limit > 0.0 => format!("{:.2}", ms / limit),
            _ => String::new(),
        };
        vec![
            ms(self.forward_ms),
            times(self.forward_ms, self.forward_limit_ms),
            ms(self.norm_ms),
            ms(self.input_ms.unwrap_or(0.0)),
            ms(self.weights_ms.unwrap_or(0.0)),
            ms(self.backward_ms),
            times(self.backward_ms, self.backward_limit_ms),
        ]
    }
}

/// A pass over the whole network, or what comes between two.
#[derive(Serialize)]
pub(super) struct Pass {
    pub(super) name: &'static str,
    pub(super) ms: f64,
    /// Of the time of all passes; none for what is not part of the step that is timed.
    pub(super) share: Option<f64>,
    pub(super) bytes: Option<u64>,
    /// 10⁹ bytes a second.
    pub(super) gbs: Option<f64>,
}

/// The passes of a step, of `(name, seconds, bytes, whether the step has it)`.
pub(super) fn passes(list: Vec<(&'static str, f64, Option<u64>, bool)>) -> Vec<Pass> {
    let total: f64 = list.iter().filter(|(.., part)| *part).map(|(_, seconds, ..)| seconds).sum();
    let pass = |(name, seconds, bytes, part): (_, f64, Option<u64>, bool)| Pass {
        name,
        ms: seconds * 1e3,
        share: part.then(|| ratio(seconds, total)),
        bytes,
        gbs: bytes.map(|bytes| ratio(bytes as f64 / 1e9, seconds)),
    };
    list.into_iter().map(pass).collect()
}

/// A line for each pass.
pub(super) fn table(passes: &[Pass]) -> Table {
    let mut table = Table::new().left("pass").right("ms").right("share").right("moves").right("GB/s");
    for pass in passes {
        let share = pass.share.map_or("not in a step".to_owned(), |share| format!("{:.1} %", share * 100.0));
        let moves = pass.bytes.map(bytes).unwrap_or_default();
        let gbs = pass.gbs.map(|gbs| format!("{gbs:.1}")).unwrap_or_default();
        table.row([pass.name.to_owned(), format!("{:.3}", pass.ms), share, moves, gbs]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_add_up_and_what_is_no_part_has_no_share() {
        let machine = Machine { peak: 100.0, bandwidth: Some(10.0) };
        let training = |input, weights| Training {
            forward: 0.1,
            norm: 0.05,
            backward: 0.3,
            input,
            weights,
            forward_bytes: 500_000_000,
            backward_bytes: 2_000_000_000,
            fallback: Some("table".into()),
        };
        let first = Passes::new(training(None, Some(0.2)), 15_000_000_000, &machine);
        // 5 · 10⁹ multiply-adds or 0.5 GB, both 0.1 and 0.05 s; 10¹⁰, 0.2 s, and 2 GB, also 0.2 s.
        assert_eq!(first.cells(), ["100.000", "1.00", "50.000", "", "200.000", "300.000", "1.50"]);
        let sum = Passes::new(training(Some(0.1), None), 15_000_000_000, &machine).plus(Some(first));
        assert_eq!(sum.cells(), ["200.000", "1.00", "100.000", "100.000", "200.000", "600.000", "1.50"]);
        assert_eq!((sum.forward_bytes, sum.fallback), (1_000_000_000, None));

        let list = passes(vec![
            ("forward", 0.25, Some(1_000_000_000), true),
            ("backward", 0.75, None, true),
            ("moving average", 0.5, None, false),
        ]);
        assert_eq!(
            (list[0].share, list[0].gbs, list[1].share, list[2].share),
            (Some(0.25), Some(4.0), Some(0.75), None)
        );
        assert!(table(&list).to_string().ends_with("not in a step"), "{}", table(&list));
    }
}
