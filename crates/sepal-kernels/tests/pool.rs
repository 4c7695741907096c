//! Items run without denormals; the thread that asked for them keeps its mode, whatever happens to them.

#![cfg(not(target_family = "wasm"))]

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sepal_kernels::pool::{Pool, Serial, ThreadPool};

/// Whether this thread's arithmetic keeps denormal numbers.
fn denormals() -> bool {
    black_box(f32::MIN_POSITIVE) * black_box(0.25) != 0.0
}

#[test]
fn the_mode_of_the_caller_is_restored() {
    let pools: [Box<dyn Pool>; 3] =
        [Box::new(Serial), Box::new(ThreadPool::new(1).unwrap()), Box::new(ThreadPool::new(3).unwrap())];
    for pool in pools {
        let workers = pool.threads();
        assert!(denormals());
        pool.run(64, &|_, _| assert!(!denormals() || cfg!(not(target_arch = "x86_64"))));
        assert!(denormals(), "after a run of {workers}");
        // A single item, and an item that runs items.
        pool.run(1, &|_, _| Serial.run(2, &|_, _| {}));
        assert!(denormals(), "after a nested run of {workers}");
        let panics = catch_unwind(AssertUnwindSafe(|| pool.run(64, &|item, _| assert!(item != 7, "expected"))));
        assert!(panics.is_err() && denormals(), "after a panic of {workers}");
    }
}
