//! Workers that share the items of a kernel.

use crate::denormals::FlushDenormals;

/// Runs the items of a kernel, on one thread or several.
pub trait Pool: Send + Sync {
    /// Number of workers, at least 1.
    fn threads(&self) -> usize;

    /// Calls `task(item, worker)` once for each item below `items`, with `worker < threads()`, and
    /// returns when all are done. A worker runs one item at a time.
    fn run(&self, items: usize, task: &(dyn Fn(usize, usize) + Sync));
}

/// The calling thread alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial;

impl Pool for Serial {
    fn threads(&self) -> usize {
        1
    }

    fn run(&self, items: usize, task: &(dyn Fn(usize, usize) + Sync)) {
        let _quiet = FlushDenormals::new();
        (0..items).for_each(|item| task(item, 0));
    }
}

pub use threads::ThreadPool;

#[cfg(not(target_family = "wasm"))]
mod threads {
    use super::{FlushDenormals, Pool};
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, Condvar, Mutex};

    /// A kernel follows the last one within microseconds: looking for it this many times before going
    /// to sleep is far cheaper than being woken.
    const SPINS: usize = 20_000;

    /// Counts the items of one worker's share out, on a cache line of its own.
    #[repr(align(64))]
    struct Counter(AtomicUsize);

    /// The items of a job, of which each worker has a share.
    struct Shares(Vec<Counter>);

    impl Shares {
        fn new(workers: usize) -> Self {
            Self((0..workers).map(|_| Counter(AtomicUsize::new(0))).collect())
        }

        fn reset(&self) {
            self.0.iter().for_each(|counter| counter.0.store(0, Ordering::SeqCst));
        }

        /// Does the items of a worker's own share, which are neighbours and often the same rows as those of the job before,
        /// and then what is left of the others'.
        fn take_all(&self, items: usize, worker: usize, task: &(dyn Fn(usize, usize) + Sync)) {
            let workers = self.0.len();
            for turn in 0..workers {
                let share = (worker + turn) % workers;
                let [start, end] = [share, share + 1].map(|share| items * share / workers);
                loop {
                    let item = start + self.0[share].0.fetch_add(1, Ordering::Relaxed);
                    if item >= end {
                        break;
                    }
                    task(item, worker);
                }
            }
        }
    }

    type Task<'a> = dyn Fn(usize, usize) + Sync + 'a;

    /// A fixed set of threads, of which the caller of [`Pool::run`] is one.
    ///
    /// A job starts and ends in about a microsecond while jobs follow closely; idle threads sleep.
    pub struct ThreadPool {
        shared: Arc<Shared>,
        /// One job at a time: callers from several threads take turns.
        turn: Mutex<()>,
        threads: Vec<std::thread::JoinHandle<()>>,
    }

    struct Shared {
        /// Number of the newest job; workers wait for it to change.
        epoch: AtomicUsize,
        job: Mutex<Option<Job>>,
        shares: Shares,
        /// Workers that have not finished the newest job.
        busy: AtomicUsize,
        panicked: AtomicBool,
        stop: AtomicBool,
        sleepers: AtomicUsize,
        bed: Mutex<()>,
        wake: Condvar,
    }

    #[derive(Clone, Copy)]
    struct Job {
        task: *const Task<'static>,
        items: usize,
    }

    // SAFETY: the task is `Sync`, and `run` keeps it alive until every worker is done with it.
    unsafe impl Send for Job {}

    impl ThreadPool {
        /// A pool of `threads` workers (at least 1), the calling thread included.
        ///
        /// # Errors
        /// If the operating system gives no more threads.
        pub fn new(threads: usize) -> std::io::Result<Self> {
            let shared = Arc::new(Shared {
                epoch: AtomicUsize::new(0),
                job: Mutex::new(None),
                shares: Shares::new(threads.max(1)),
                busy: AtomicUsize::new(0),
                panicked: AtomicBool::new(false),
                stop: AtomicBool::new(false),
                sleepers: AtomicUsize::new(0),
                bed: Mutex::new(()),
                wake: Condvar::new(),
            });
            let mut pool = Self { shared, turn: Mutex::new(()), threads: Vec::new() };
            for worker in 1..threads.max(1) {
                let shared = Arc::clone(&pool.shared);
                let name = format!("sepal-{worker}");
                pool.threads.push(std::thread::Builder::new().name(name).spawn(move || shared.work(worker))?);
            }
            Ok(pool)
        }
    }

    impl Drop for ThreadPool {
        fn drop(&mut self) {
            self.shared.stop.store(true, Ordering::SeqCst);
            self.shared.announce();
            for thread in self.threads.drain(..) {
                // A worker's panic was already passed on by `run`.
                let _ = thread.join();
            }
        }
    }

    impl Pool for ThreadPool {
        fn threads(&self) -> usize {
            self.threads.len() + 1
        }

        fn run(&self, items: usize, task: &Task<'_>) {
            if items <= 1 || self.threads.is_empty() {
                return super::Serial.run(items, task);
            }
            let _turn = self.turn.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let shared = &*self.shared;
            // SAFETY: only the lifetime changes; `run` returns, or unwinds, after `busy` fell to 0, when no
            // worker holds the pointer any more.
            let task_for_workers = unsafe { std::mem::transmute::<*const Task<'_>, *const Task<'static>>(task) };
            *shared.job.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) =
                Some(Job { task: task_for_workers, items });
            shared.shares.reset();
            shared.busy.store(self.threads.len(), Ordering::SeqCst);
            shared.announce();
            let own = catch_unwind(AssertUnwindSafe(|| {
                let _quiet = FlushDenormals::new();
                shared.shares.take_all(items, 0, task);
            }));
            let mut spins = 0;
            while shared.busy.load(Ordering::Acquire) > 0 {
                spins += 1;
                if spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
            }
            if let Err(panic) = own {
                shared.panicked.store(false, Ordering::SeqCst);
                resume_unwind(panic);
            }
            assert!(!shared.panicked.swap(false, Ordering::SeqCst), "a worker of the pool panicked");
        }
    }

    impl Shared {
        /// Publishes the next epoch and wakes who sleeps.
        fn announce(&self) {
            self.epoch.fetch_add(1, Ordering::SeqCst);
            if self.sleepers.load(Ordering::SeqCst) > 0 {
                let _bed = self.bed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                self.wake.notify_all();
            }
        }

        fn work(&self, worker: usize) {
            let _quiet = FlushDenormals::new();
            let mut seen = 0;
            loop {
                seen = self.wait_past(seen);
                if self.stop.load(Ordering::SeqCst) {
                    return;
                }
                let job = *self.job.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                if let Some(job) = job {
                    // SAFETY: `run` waits for `busy` before its task dies.
                    let task = unsafe { &*job.task };
                    if catch_unwind(AssertUnwindSafe(|| self.shares.take_all(job.items, worker, task))).is_err() {
                        self.panicked.store(true, Ordering::SeqCst);
                    }
                }
                self.busy.fetch_sub(1, Ordering::Release);
            }
        }

        /// Waits until the epoch differs from `seen`, and returns it.
        fn wait_past(&self, seen: usize) -> usize {
            for _ in 0..SPINS {
                let epoch = self.epoch.load(Ordering::Acquire);
                if epoch != seen {
                    return epoch;
                }
                std::hint::spin_loop();
            }
            let mut bed = self.bed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            self.sleepers.fetch_add(1, Ordering::SeqCst);
            while self.epoch.load(Ordering::SeqCst) == seen {
                bed = self.wake.wait(bed).unwrap_or_else(|poisoned| poisoned.into_inner());
            }
            self.sleepers.fetch_sub(1, Ordering::SeqCst);
            self.epoch.load(Ordering::SeqCst)
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
            let pool = ThreadPool::new(3).unwrap();
            let result = catch_unwind(AssertUnwindSafe(|| pool.run(100, &|item, _| assert!(item != 50))));
            assert!(result.is_err());
            let sum = AtomicUsize::new(0);
            pool.run(10, &|item, _| {
                sum.fetch_add(item, Ordering::SeqCst);
            });
            assert_eq!(sum.load(Ordering::SeqCst), 45);
        }

        #[test]
        fn callers_on_many_threads_take_turns() {
            let pool = ThreadPool::new(2).unwrap();
            let sum = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        for _ in 0..50 {
                            pool.run(20, &|_, _| {
                                sum.fetch_add(1, Ordering::SeqCst);
                            });
                        }
                    });
                }
            });
            assert_eq!(sum.load(Ordering::SeqCst), 8 * 50 * 20);
        }
    }
}

#[cfg(target_family = "wasm")]
mod threads {
    use super::Pool;

    /// Workers without threads, which WebAssembly does not give: the calling thread does their items in turn.
    ///
    /// Programs that ask for threads run unchanged and get the same results, but no sooner, and with scratch for each
    /// worker.
    pub struct ThreadPool {
        workers: usize,
    }

    impl ThreadPool {
        /// A pool of `threads` workers (at least 1).
        ///
        /// # Errors
        /// None.
        pub fn new(threads: usize) -> std::io::Result<Self> {
            Ok(Self { workers: threads.max(1) })
        }
    }

    impl Pool for ThreadPool {
        fn threads(&self) -> usize {
            self.workers
        }

        fn run(&self, items: usize, task: &(dyn Fn(usize, usize) + Sync)) {
            (0..items).for_each(|item| task(item, item % self.workers));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_item_runs_once_on_any_number_of_threads() {
        for threads in 1..5 {
            let pool = ThreadPool::new(threads).unwrap();
            for items in [0, 1, 2, 7, 1000] {
                let counts: Vec<AtomicUsize> = (0..items).map(|_| AtomicUsize::new(0)).collect();
                pool.run(items, &|item, worker| {
                    assert!(worker < threads);
                    counts[item].fetch_add(1, Ordering::SeqCst);
                });
                assert!(counts.iter().all(|count| count.load(Ordering::SeqCst) == 1));
            }
        }
    }
}
