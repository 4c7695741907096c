//! A naive f64 interpreter and shared test helpers.
