//! Tables and plots.
//!
//! What a command prints and what a run leaves behind as a picture: [`Table`] for aligned text, [`number`] for
//! figures as people read them, [`svg`] for self-contained pictures that any browser opens. Nothing here knows what a
//! network is, and nothing here fails: a picture of no data or of NaN is a picture that says so.

pub mod number;
mod spark;
pub mod svg;
mod table;

pub use number::{bytes, duration, grouped, percent, short};
pub use spark::sparkline;
pub use svg::{Figure, HeatMap, LinePlot, Series, confusion_svg};
pub use table::{Align, Table};
