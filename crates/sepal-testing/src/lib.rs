//! Helpers for the workspace's tests; not published.
//!
//! [`Naive`] computes any graph in f64 by straight loops, in eval and train mode. It is the
//! oracle that every executor is tested against, so it is written to be obviously right and
//! nothing else. [`cases`] are the graphs that every executor runs; [`assert_close`],
//! [`finite_difference`] and [`Filler`] do the rest.
//!
//! Functions here panic where a test should fail.

mod cases;
mod compare;
mod fill;
mod gradient;
mod loss;
mod naive;

pub use cases::{Case, cases};
pub use compare::{assert_close, max_relative_error};
pub use fill::Filler;
pub use gradient::finite_difference;
pub use loss::{softmax, softmax_cross_entropy};
pub use naive::{Mode, Naive, Pass};
