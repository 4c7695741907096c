//! What `sepal bench` prints.

use std::time::Duration;

use sepal_report::{bytes, duration, grouped, short};
use serde::Serialize;

use super::compare::Comparison;
use super::passes::{self, Pass};
use super::profile::{self, Layer};
use crate::failure::Result;
use crate::output::Output;

/// Bytes that are needed.
#[derive(Serialize)]
pub(super) struct Memory {
    pub(super) weights: usize,
    pub(super) gradients: usize,
    pub(super) optimizer: usize,
    pub(super) activations: usize,
}

impl Memory {
    pub(super) fn total(&self) -> usize {
        self.weights + self.gradients + self.optimizer + self.activations
    }
}

#[derive(Serialize)]
pub(super) struct Report<'a> {
    pub(super) name: &'a str,
    pub(super) mode: &'static str,
    pub(super) median_ms: f64,
    pub(super) min_ms: f64,
    pub(super) mean_ms: f64,
    pub(super) p25_ms: f64,
    pub(super) p75_ms: f64,
    pub(super) p90_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
    pub(super) iterations: usize,
    pub(super) images_per_second: f64,
    /// Reading and checking the file; of a SPEC, building it and drawing its weights.
    pub(super) load_ms: f64,
    pub(super) compile_ms: f64,
    pub(super) gflops: f64,
    pub(super) peak_gflops: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bandwidth_gbs: Option<f64>,
    pub(super) share_of_peak: f64,
    pub(super) threads: usize,
    pub(super) batch: usize,
    pub(super) input: &'a [usize],
    pub(super) isa: &'static str,
    pub(super) params: u64,
    pub(super) macs: u64,
    pub(super) memory_bytes: usize,
    pub(super) memory: Memory,
    /// The most memory that the process had until the last iteration, if the system tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) peak_rss_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) layers: Vec<Layer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) passes: Vec<Pass>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) compare: Option<Comparison>,
}

/// Milliseconds as people read them.
pub(super) fn time(ms: f64) -> String {
    duration(Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default())
}

/// `3×224×224`
pub(super) fn dims(dims: &[usize]) -> String {
    let dims: Vec<String> = dims.iter().map(ToString::to_string).collect();
    dims.join("×")
}

impl Report<'_> {
    /// Prints it for people.
    pub(super) fn show(&self, out: Output) -> Result {
        if !self.layers.is_empty() {
            out.text(format!("{}\n", profile::table(&self.layers)))?;
        }
        let train = self.mode == "train";
        if !self.passes.is_empty() {
            out.text(format!("{}\n", passes::table(&self.passes)))?;
            let mut fallbacks = profile::fallbacks(&self.layers).peekable();
            if fallbacks.peek().is_none() {
                out.text("fallback    none: every layer runs on an operator made for it\n")?;
            }
            for (name, reason) in fallbacks {
                out.text(format!("fallback    {name} {reason}"))?;
            }
        }
        let what = if train { "a training step" } else { "a forward pass" };
        let counts = if train { "3 × forward × 2 × MACs" } else { "2 × MACs" };
        let bandwidth = self.bandwidth_gbs.map(|gbs| format!(", {gbs:.1} GB/s from memory")).unwrap_or_default();
        let process = self.peak_rss_bytes.map(|peak| format!(", {} the process at most", bytes(peak)));
        out.text(format!(
            "{}: {what}, {} × {}, {} thread{}, {}\n\
             time        {} median, {} min, {} p90, {} p99, {} iterations\n\
             throughput  {:.1} images/s\n\
             start       {} to load, {} to compile\n\
             arithmetic  {:.1} GFLOP/s ({counts}) of {:.1} measured peak: {:.0} %{bandwidth}\n\
             size        {} params, {} MACs an iteration\n\
             memory      {} ({} weights, {} gradients and optimizer, {} activations and scratch){}",
            self.name,
            self.batch,
            dims(self.input),
            self.threads,
            if self.threads == 1 { "" } else { "s" },
            self.isa,
            time(self.median_ms),
            time(self.min_ms),
            time(self.p90_ms),
            time(self.p99_ms),
            self.iterations,
            self.images_per_second,
            time(self.load_ms),
            time(self.compile_ms),
            self.gflops,
            self.peak_gflops,
            self.share_of_peak * 100.0,
            grouped(self.params),
            short(self.macs),
            bytes(self.memory_bytes as u64),
            bytes(self.memory.weights as u64),
            bytes((self.memory.gradients + self.memory.optimizer) as u64),
            bytes(self.memory.activations as u64),
            process.unwrap_or_default(),
        ))?;
        match &self.compare {
            Some(compare) => Ok(out.text(format!("\n{compare}"))?),
            None => Ok(()),
        }
    }
}
