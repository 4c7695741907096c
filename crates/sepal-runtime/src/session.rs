//! Running a plan.

use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(not(target_family = "wasm"))]
use sepal_kernels::pool::ThreadPool;
use sepal_kernels::pool::{Pool, Serial};
use sepal_kernels::{Buffer, Exec};

use crate::error::Result;
use crate::plan::{Plan, Profile};

/// A plan with memory to run it in. One run at a time; make a session per thread that runs.
pub struct Session {
    plan: Arc<Plan>,
    pool: Arc<dyn Pool>,
    arena: Buffer,
    scratch: Buffer,
}

/// A session of `plan` on the workers of `pool`, for those who bring their own; [`Plan::session`] and
/// [`Plan::session_on`] need none. Allocates all that its runs need.
///
/// Sessions may share a pool; their kernels then take turns. Results have the same bits for any
/// number of workers.
pub fn session(plan: Arc<Plan>, pool: Arc<dyn Pool>) -> Session {
    let arena = Buffer::zeroed(plan.arena);
    let scratch = Buffer::zeroed(plan.scratch(pool.threads()));
    Session { plan, pool, arena, scratch }
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

    /// Computes the network's output for 1 to [`Plan::max_batch`] images. Allocates nothing.
    ///
    /// `input` holds n images in the order N, C, H, W, `output` receives n outputs in the same
    /// order; n follows from the input's length.
    ///
    /// # Errors
    /// `input` is no whole number of images from 1 to the largest batch, or `output` is not
    /// exactly as long as their outputs.
    pub fn run(&mut self, input: &[f32], output: &mut [f32]) -> Result<()> {
        self.run_with(input, output, &mut |_| {})
    }

    /// As [`Session::run`], and replaces `profile` by the time each step took, in the order of
    /// [`Plan::describe`].
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_profiled(&mut self, input: &[f32], output: &mut [f32], profile: &mut Profile) -> Result<()> {
        profile.clear();
        profile.resize(self.plan.steps.len() + 2, Duration::ZERO);
        let mut before = Instant::now();
        self.run_with(input, output, &mut |index| {
            let now = Instant::now();
            profile[index] += now - before;
            before = now;
        })
    }

    /// Runs, group of images by group, and calls `done` with the index in [`Plan::describe`] of
    /// each part that is done.
    fn run_with(&mut self, input: &[f32], output: &mut [f32], done: &mut dyn FnMut(usize)) -> Result<()> {
        let Self { plan, pool, arena, scratch } = self;
        let n = plan.input.batch(input.len(), plan.max_batch)?;
        plan.output.check_room(output.len(), n)?;
        let exec = Exec { level: plan.level, pool: pool.as_ref() };
        let [each_input, each_output] = [&plan.input, &plan.output].map(|boundary| boundary.shape.elements());
        let groups = input.chunks(each_input * plan.group).zip(output.chunks_mut(each_output * plan.group));
        for (input, output) in groups {
            let n = input.len() / each_input;
            plan.input.read(exec, n, input, arena);
            done(0);
            for index in 0..plan.steps.len() {
                plan.run_step(index, exec, n, arena, scratch);
                done(index + 1);
            }
            plan.output.write(exec, n, arena, output);
            done(plan.steps.len() + 1);
        }
        Ok(())
    }
}
