//! Networks, a file per family; each reads like its paper's table.

pub mod mobilenet_v1;
