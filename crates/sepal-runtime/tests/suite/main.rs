//! Plans against the naive f64 interpreter, and against themselves.

mod cases;
mod errors;
mod folding;
mod networks;
mod sameness;
mod sharing;
mod tools;
