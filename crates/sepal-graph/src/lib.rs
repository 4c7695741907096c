//! Networks as values: operators, shapes, parameters, cost.
