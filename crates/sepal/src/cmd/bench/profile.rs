//! The time of each layer beside what the machine could do at best.

use sepal_kernels::{Exec, measure};
use sepal_report::{Table, bytes, short};
use serde::Serialize;

use super::passes::{Passes, Training};

/// What the machine does at best.
pub(super) struct Machine {
    /// 10⁹ floating-point operations a second.
    pub(super) peak: f64,
    /// 10⁹ bytes a second from main memory; only measured for a profile.
    pub(super) bandwidth: Option<f64>,
}

impl Machine {
    /// Measured on all workers of `exec`.
    pub(super) fn measure(exec: Exec<'_>, bandwidth: bool) -> Self {
        Self { peak: measure::peak_gflops(exec), bandwidth: bandwidth.then(|| measure::bandwidth(exec)) }
    }

    /// The least seconds that so much work can take: arithmetic at the peak, or bytes at the bandwidth of main
    /// memory, whichever is longer (Williams et al., "Roofline", 2009).
    pub(super) fn limit(&self, macs: u64, bytes: u64) -> Option<f64> {
        let memory = bytes as f64 / (self.bandwidth? * 1e9);
        Some(memory.max(2.0 * macs as f64 / (self.peak * 1e9)))
    }
}

/// A step that was timed.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) seconds: f64,
    /// Multiply-adds of one iteration.
    pub(super) macs: u64,
    /// What it must read and write at least in one iteration, where that is known.
    pub(super) bytes: Option<u64>,
    /// Of a training step, how it divides.
    pub(super) training: Option<Training>,
}

/// A row of the profile.
#[derive(Serialize)]
pub(super) struct Layer {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) ms: f64,
    /// Of the time of all layers.
    share: f64,
    /// Multiply-adds of one iteration.
    macs: u64,
    gflops: f64,
    share_of_peak: f64,
    bytes: Option<u64>,
    /// The roofline's time.
    limit_ms: Option<f64>,
    /// How many times that the layer takes.
    times_limit: Option<f64>,
    /// Of a training step: its passes.
    #[serde(flatten)]
    passes: Option<Passes>,
}

/// `a / b`, and 0 where there is nothing to divide by.
pub(super) fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

impl Layer {
    fn new(row: Row, total: f64, machine: &Machine) -> Self {
        let Row { name, kind, seconds, macs, bytes, training } = row;
        let gflops = ratio(2.0 * macs as f64 / 1e9, seconds);
        let limit = bytes.and_then(|bytes| machine.limit(macs, bytes));
        Self {
            name,
            kind,
            ms: seconds * 1e3,
            share: ratio(seconds, total),
            macs,
            gflops,
            share_of_peak: gflops / machine.peak,
            bytes,
            limit_ms: limit.map(|limit| limit * 1e3),
            times_limit: limit.map(|limit| ratio(seconds, limit)),
            passes: training.map(|training| Passes::new(training, macs, machine)),
        }
    }
}

/// The layers of a profile.
pub(super) fn layers(rows: Vec<Row>, machine: &Machine) -> Vec<Layer> {
    let total = rows.iter().map(|row| row.seconds).sum();
    rows.into_iter().map(|row| Layer::new(row, total, machine)).collect()
}

/// A line for each layer, and one for all of them.
pub(super) fn table(layers: &[Layer]) -> Table {
    let limits = layers.iter().any(|layer| layer.limit_ms.is_some());
    let passes = layers.iter().any(|layer| layer.passes.is_some());
    let mut table = Table::new().left("layer").left("kind");
    if passes {
        table = Passes::HEAD.iter().fold(table, |table, head| table.right(*head));
    }
    table = table.right("ms").right("share").right("MACs").right("GFLOP/s").right("of peak");
    if limits {
        table = table.right("moves").right("× limit");
    }
    let row = |[name, kind]: [&str; 2], layer: &Layer| {
        let of = |text: String| if layer.macs == 0 { String::new() } else { text };
        let mut cells = vec![name.to_owned(), kind.to_owned()];
        if passes {
            let none = || vec![String::new(); Passes::HEAD.len()];
            cells.extend(layer.passes.as_ref().map_or_else(none, Passes::cells));
        }
        cells.extend([
            format!("{:.3}", layer.ms),
            format!("{:.1} %", layer.share * 100.0),
            of(short(layer.macs)),
            of(format!("{:.1}", layer.gflops)),
            of(format!("{:.0} %", layer.share_of_peak * 100.0)),
        ]);
        if limits {
            cells.push(layer.bytes.map(bytes).unwrap_or_default());
            cells.push(layer.times_limit.map(|times| format!("{times:.2}")).unwrap_or_default());
        }
        cells
    };
    let rows: Vec<Vec<String>> = layers.iter().map(|layer| row([&layer.name, &layer.kind], layer)).collect();
    let total = row(["total", ""], &sum(layers));
    for cells in rows {
        table.row(cells);
    }
    table.rule().row(total);
    table
}

fn sum(layers: &[Layer]) -> Layer {
    let ms = layers.iter().map(|layer| layer.ms).sum();
    let macs = layers.iter().map(|layer| layer.macs).sum();
    let gflops = ratio(2.0 * macs as f64 / 1e6, ms);
    let limit_ms: Option<f64> = layers.iter().map(|layer| layer.limit_ms).sum();
    // The same for all layers that have any.
    let peak = layers.iter().find(|layer| layer.gflops > 0.0).map_or(0.0, |layer| layer.gflops / layer.share_of_peak);
    Layer {
        name: String::new(),
        kind: String::new(),
        ms,
        share: layers.iter().map(|layer| layer.share).sum(),
        macs,
        gflops,
        share_of_peak: ratio(gflops, peak),
        bytes: layers.iter().map(|layer| layer.bytes).sum(),
        limit_ms,
        times_limit: limit_ms.map(|limit| ratio(ms, limit)),
        passes: layers
            .iter()
            .filter_map(|layer| layer.passes.as_ref())
            .fold(None, |sum, passes| Some(passes.plus(sum))),
    }
}

/// Layers that ran on a slow operator, with the reason; nothing for inference.
pub(super) fn fallbacks(layers: &[Layer]) -> impl Iterator<Item = (&str, &str)> {
    layers.iter().filter_map(|layer| Some((layer.name.as_str(), layer.passes.as_ref()?.fallback.as_deref()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, seconds: f64, macs: u64, bytes: u64) -> Row {
        Row { name: name.to_owned(), kind: "conv".to_owned(), seconds, macs, bytes: Some(bytes), training: None }
    }

    #[test]
    fn the_limit_is_arithmetic_or_memory() {
        let machine = Machine { peak: 100.0, bandwidth: Some(10.0) };
        // 0.1 s of arithmetic and 0.05 s of memory; 0 and 0.2 s.
        let rows = vec![row("a", 0.2, 5_000_000_000, 500_000_000), row("b", 0.2, 0, 2_000_000_000)];
        let layers = layers(rows, &machine);
        assert_eq!(layers[0].times_limit, Some(2.0));
        assert_eq!((layers[0].gflops, layers[0].share_of_peak, layers[0].share), (50.0, 0.5, 0.5));
        assert_eq!((layers[1].limit_ms, layers[1].times_limit, layers[1].gflops), (Some(200.0), Some(1.0), 0.0));
        let total = sum(&layers);
        assert_eq!((total.ms, total.bytes, total.macs), (400.0, Some(2_500_000_000), 5_000_000_000));
        assert!((total.times_limit.unwrap() - 4.0 / 3.0).abs() < 1e-9 && (total.share_of_peak - 0.25).abs() < 1e-9);
        let text = table(&layers).to_string();
        assert!(text.contains("× limit") && text.lines().last().unwrap().ends_with("1.33"), "{text}");
    }

    #[test]
    fn without_bytes_there_is_no_limit() {
        let machine = Machine { peak: 100.0, bandwidth: Some(10.0) };
        let layers = layers(vec![Row { bytes: None, ..row("a", 0.0, 7, 0) }], &machine);
        assert_eq!((layers[0].limit_ms, layers[0].gflops, layers[0].share), (None, 0.0, 0.0));
        assert!(!table(&layers).to_string().contains("limit"));
    }
}
