//! Rewrites: functions from models to models that compute the same.

mod fold_norms;

pub use fold_norms::fold_norms;
