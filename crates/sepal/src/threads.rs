//! The workers a command computes with.

use std::sync::Arc;

use clap::Args;
use sepal_kernels::pool::{Pool, Serial, ThreadPool};

use crate::args;
use crate::failure::{Failure, Result};

/// How many threads compute.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Threads {
    /// Threads that compute [default: those the machine or its container gives]
    #[arg(long, value_name = "N", env = "SEPAL_THREADS", hide_env = true, value_parser = args::threads)]
    threads: Option<usize>,
}

impl Threads {
    /// Their number. The standard library knows the limits of containers.
    pub(crate) fn count(self) -> usize {
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// The workers.
    pub(crate) fn pool(self) -> Result<Arc<dyn Pool>> {
        match self.count() {
            1 => Ok(Arc::new(Serial)),
            n => match ThreadPool::new(n) {
                Ok(pool) => Ok(Arc::new(pool)),
                Err(error) => Err(Failure::from(error).context(format!("cannot start {n} threads"))),
            },
        }
    }
}
