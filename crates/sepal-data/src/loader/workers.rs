//! Threads that make batches ahead and hand them out in order.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::Batch;
use super::make::Maker;
use crate::error::{DataError, Result};
use crate::preprocess::Scratch;

/// Where the batches stand; `slots[i]` is batch `first + i`, `None` while it is being made or waiting.
struct State {
    first: usize,
    claimed: usize,
    slots: VecDeque<Option<Result<Batch>>>,
    stop: bool,
}

struct Shared {
    state: Mutex<State>,
    /// A batch was finished.
    made: Condvar,
    /// A batch was taken, or the end has come.
    room: Condvar,
    ahead: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No thread panics while it holds the lock, and a poisoned state would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts up to `count` threads on the batches from `first` on, which keep at most `ahead` batches
    /// ready or in the making. Fewer threads do if the system refuses more.
    pub(super) fn start(maker: &Arc<Maker>, count: usize, first: usize, ahead: usize) -> Result<Self> {
        let state = State { first, claimed: first, slots: VecDeque::with_capacity(ahead), stop: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), made: Condvar::new(), room: Condvar::new(), ahead });
        let mut workers = Self { shared: shared.clone(), threads: Vec::with_capacity(count) };
        for number in 0..count {
            let (maker, shared) = (maker.clone(), shared.clone());
            let started =
                std::thread::Builder::new().name(format!("sepal-data-{number}")).spawn(move || work(&maker, &shared));
            match started {
                Ok(thread) => workers.threads.push(thread),
                Err(error) if workers.threads.is_empty() => {
                    return Err(DataError::Worker { cause: format!("no thread could be started: {error}") });
                }
                Err(_) => break,
            }
        }
        Ok(workers)
    }

    /// The next batch; waits until it is made.
    pub(super) fn take(&self) -> Result<Batch> {
        let mut state = self.shared.lock();
        loop {
            if let Some(slot) = state.slots.front_mut()
                && let Some(made) = slot.take()
            {
                state.slots.pop_front();
                state.first += 1;
                drop(state);
                self.shared.room.notify_one();
                return made;
            }
            state = self.shared.made.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            // A panic has been handed over as an error already.
            let _ = thread.join();
        }
    }
}

fn work(maker: &Maker, shared: &Shared) {
    let mut scratch = Scratch::new();
    loop {
        let mut state = shared.lock();
        while !state.stop && state.claimed < maker.plan.count && state.claimed >= state.first + shared.ahead {
            state = shared.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stop || state.claimed >= maker.plan.count {
            drop(state);
            // Others may wait for room that this one was woken for.
            shared.room.notify_all();
            return;
        }
        let number = state.claimed;
        state.claimed += 1;
        state.slots.push_back(None);
        drop(state);
        let made = maker.make(number, &mut scratch);
        let mut state = shared.lock();
        let place = number - state.first;
        if let Some(slot) = state.slots.get_mut(place) {
            *slot = Some(made);
        }
        drop(state);
        shared.made.notify_one();
    }
}
