//! Fit a model: reverse pass, optimizers, recipes, checkpoints.
