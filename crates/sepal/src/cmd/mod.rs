//! The verbs, a file each: `Args`, as the command line gives them, and `run`.

pub(crate) mod bench;
pub(crate) mod blocks;
pub(crate) mod completions;
pub(crate) mod data;
pub(crate) mod domains;
pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod models;
pub(crate) mod predict;
pub(crate) mod recipes;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod study;
pub(crate) mod summary;
pub(crate) mod train;
pub(crate) mod units;
