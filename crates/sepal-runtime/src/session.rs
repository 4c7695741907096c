//! Running a plan.

use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(not(target_family = "wasm"))]
use sepal_kernels::pool::ThreadPool;
use sepal_kernels::pool::{Pool, Serial};
use sepal_kernels::{Buffer, Exec, fill_parts};

use crate::error::Result;
use crate::plan::{Plan, Profile};

/// A plan with memory to run it in. One run at a time; make a session per thread that runs.
pub struct Session {
    plan: Arc<Plan>,
    pool: Arc<dyn Pool>,
    /// Where images are computed: one room that all workers share, and for batches one more for each worker but the first.
    rooms: Vec<Room>,
}

/// Memory in which a group of images is computed.
struct Room {
    arena: Buffer,
    scratch: Buffer,
}

/// A session of `plan` on the workers of `pool`, for those who bring their own; [`Plan::session`] and
/// [`Plan::session_on`] need none. Allocates all that its runs need.
///
/// Sessions may share a pool; their kernels then take turns. Results have the same bits for any
/// number of workers.
pub fn session(plan: Arc<Plan>, pool: Arc<dyn Pool>) -> Session {
    let mut session = Session { plan: Arc::clone(&plan), pool, rooms: Vec::new() };
    session.switch(plan);
    session
}

impl Plan {
    /// A session that computes on the thread that calls [`Session::run`], and starts none.
    pub fn session(self: &Arc<Self>) -> Session {
        session(Arc::clone(self), Arc::new(Serial))
    }

    /// A session with `threads` workers of its own, of which the caller of [`Session::run`] is one. The others are
    /// started here and end with the session. With 1, or 0, none is.
    ///
    /// # Errors
    /// If the operating system gives no more threads.
    #[cfg(not(target_family = "wasm"))]
    pub fn session_on(self: &Arc<Self>, threads: usize) -> std::io::Result<Session> {
        if threads <= 1 {
            return Ok(self.session());
        }
        Ok(session(Arc::clone(self), Arc::new(ThreadPool::new(threads)?)))
    }
}

impl Session {
    /// The plan that it runs.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Runs `plan` from now on, in the memory that is there. Of plans of one network, as those of its domains, all need as
    /// much, and nothing is allocated; for one that needs more, memory is replaced by more.
    pub fn switch(&mut self, plan: Arc<Plan>) {
        let threads = self.pool.threads();
        for index in 0..plan.rooms(threads) {
            let [arena, scratch] = [plan.arena, plan.scratch(if index == 0 { threads } else { 1 })];
            match self.rooms.get_mut(index) {
                None => {
                    self.rooms.push(Room { arena: Buffer::zeroed(arena), scratch: Buffer::zeroed(scratch) });
                }
                Some(room) => {
                    for (buffer, need) in [(&mut room.arena, arena), (&mut room.scratch, scratch)] {
                        if buffer.len() < need {
                            // The old one is freed first.
                            *buffer = Buffer::zeroed(0);
                            *buffer = Buffer::zeroed(need);
                        }
                    }
                }
            }
        }
        self.plan = plan;
    }

    /// Computes the network's output for 1 to [`Plan::max_batch`] images. Allocates nothing.
    ///
    /// `input` holds n images in the order N, C, H, W, `output` receives n outputs in the same
    /// order; n follows from the input's length. With several workers, each computes images of its own as far as
    /// there are as many for all, and they share the work on the rest.
    ///
    /// # Errors
    /// `input` is no whole number of images from 1 to the largest batch, or `output` is not
    /// exactly as long as their outputs.
    pub fn run(&mut self, input: &[f32], output: &mut [f32]) -> Result<()> {
        let Self { plan, pool, rooms } = self;
        let n = plan.check(input, output)?;
        let workers = pool.threads();
        let apart = if rooms.len() < workers { 0 } else { n / workers * workers };
        let (input_apart, input) = input.split_at(apart * plan.input.each());
        let (output_apart, output) = output.split_at_mut(apart * plan.output.each());
        if apart > 0 {
            // As many groups for every worker, of equal size.
            let group = apart.div_ceil(apart.div_ceil(plan.group).next_multiple_of(workers));
            let exec = Exec { level: plan.level, pool: &Serial };
            fill_parts(pool.as_ref(), rooms, output_apart, group * plan.output.each(), |room, part, output| {
                let input = &input_apart[part * group * plan.input.each()..];
                let len = output.len() / plan.output.each() * plan.input.each();
                plan.run_group(exec, &input[..len], output, room, &mut |_| {});
            });
        }
        self.run_together(input, output, &mut |_| {});
        Ok(())
    }

    /// As [`Session::run`] with all workers on the same images, and replaces `profile` by the time each step took, in the
    /// order of [`Plan::describe`].
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_profiled(&mut self, input: &[f32], output: &mut [f32], profile: &mut Profile) -> Result<()> {
        self.plan.check(input, output)?;
        profile.clear();
        profile.resize(self.plan.steps.len() + 2, Duration::ZERO);
        let mut before = Instant::now();
        self.run_together(input, output, &mut |index| {
            let now = Instant::now();
            profile[index] += now - before;
            before = now;
        });
        Ok(())
    }

    /// Runs group of images by group, the workers sharing the items of every kernel.
    fn run_together(&mut self, input: &[f32], output: &mut [f32], done: &mut dyn FnMut(usize)) {
        let Self { plan, pool, rooms } = self;
        let exec = Exec { level: plan.level, pool: pool.as_ref() };
        let inputs = input.chunks(plan.group * plan.input.each());
        for (input, output) in inputs.zip(output.chunks_mut(plan.group * plan.output.each())) {
            plan.run_group(exec, input, output, &mut rooms[0], done);
        }
    }
}

impl Plan {
    /// The number of images in `input`, whose outputs fill `output`.
    fn check(&self, input: &[f32], output: &[f32]) -> Result<usize> {
        let n = self.input.batch(input.len(), self.max_batch)?;
        self.output.check_room(output.len(), n)?;
        Ok(n)
    }

    /// Computes at most [`Plan::group`] images, and calls `done` with the index in [`Plan::describe`] of each part that
    /// is done.
    fn run_group(
        &self,
        exec: Exec<'_>,
        input: &[f32],
        output: &mut [f32],
        room: &mut Room,
        done: &mut dyn FnMut(usize),
    ) {
        let n = input.len() / self.input.each();
        let Room { arena, scratch } = room;
        self.input.read(exec, n, input, arena);
        done(0);
        for index in 0..self.steps.len() {
            self.run_step(index, exec, n, arena, scratch);
            done(index + 1);
        }
        self.output.write(exec, n, arena, output);
        done(self.steps.len() + 1);
    }
}
