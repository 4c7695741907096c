//! A bar on a terminal, nothing in a pipe.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The look of every bar: what, how far, how fast, how long.
const BAR: &str = "{prefix} {bar:28.cyan} {pos}/{len} {per_sec:.dim} {eta:.dim} left {msg}";
/// The look of a training run's: the speed in its own units is in the message.
const RUN: &str = "{bar:28.cyan} {percent:>3}% {eta} left  {msg}";

/// A progress bar on standard error; it draws nothing where that is no terminal.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar of `len` items.
    pub(crate) fn bar(len: u64, what: impl Into<String>) -> Self {
        let bar = ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::stderr_with_hz(10));
        // A template that does not parse would be a slip in this file, and a plain bar still serves.
        bar.set_style(ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(what.into());
        Self(bar)
    }

    /// A bar of the steps of a training run, some of which are done.
    pub(crate) fn run(steps: usize, done: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr_with_hz(10));
        bar.set_style(ProgressStyle::with_template(RUN).unwrap_or_else(|_| ProgressStyle::default_bar()));
        let bar = bar.with_position(done as u64);
        bar.reset_eta();
        Self(bar)
    }

    /// Says how many items are done.
    pub(crate) fn at(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Says more behind the bar.
    pub(crate) fn message(&self, text: String) {
        self.0.set_message(text);
    }

    /// A line above the bar, or on standard error where no bar is drawn.
    pub(crate) fn line(&self, text: &str) {
        if self.0.is_hidden() { crate::output::log(text) } else { self.0.println(text) }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
