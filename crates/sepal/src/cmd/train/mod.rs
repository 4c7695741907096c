//! `sepal train`: from pictures to a model.

mod args;
mod display;
mod find_lr;
mod init;
mod recipe;
mod result;
mod start;
mod steps;
mod tensorboard;

use sepal_report::bytes;
use sepal_train::{Outcome, TrainMemory, Trainer};

pub(crate) use args::{Args, Training};
use display::Display;
pub(crate) use init::transfer;
pub(crate) use recipe::{layer, resolve};
pub(crate) use result::{Done, Report, program};
pub(crate) use start::{Prepared, Started, begin, new_data, optimizer, provenance, schedule};
use tensorboard::Events;

use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::output::{Output, log};

pub(crate) fn run(args: &Args, out: Output) -> Result {
    if let Some(svg) = &args.find_lr {
        return find_lr::run(args, svg.as_deref(), out);
    }
    let mut second;
    let mut args = args;
    if let (None, None, Some(first)) = (&args.from.resume, &args.from.init, steps::first(args)?) {
        log(format!("step 1 of 2: recipe {}", first.name));
        run(&first.args, out)?;
        log(format!("step 2 of 2, from {}", first.run.display()));
        second = args.clone();
        second.from.init = Some(first.run);
        args = &second;
    }
    let started = match &args.from.resume {
        Some(run) => start::resume(args, run.as_deref())?,
        None => start::new(args)?,
    };
    let run = started.run.clone();
    let (done, _) = carry_out(started, &args.training)?;
    done.show(out)?;
    out.result(&done.report)?;
    if done.report.stopped {
        log(format!("interrupted; go on with: {} train --resume {}", program(), run.display()));
        return Err(Failure::interrupted());
    }
    Ok(())
}

/// Trains to the end, or until the user stops it.
pub(crate) fn carry_out(started: Started, args: &Training) -> Result<(Done, Trainer)> {
    let Started { mut trainer, data, run } = started;
    let machine = &args.machine;
    let events = machine.tensorboard.then(|| Events::create(&run)).transpose()?;
    let mut display = Display::new(machine.progress, &run, events);
    let memory = trainer.memory();
    if display.is_talkative() {
        log(start::describe(&trainer, &data, &run, machine)?);
        log(format!("memory   {}", describe_memory(&memory)));
    }
    let stop = interrupt::watch()?;
    let outcome = trainer.run(&mut display, &stop);
    display.finish();
    let outcome = outcome?;
    if let Some(stop) = trainer.recipe().early_stopping.filter(|_| ended_early(&trainer, &outcome)) {
        let (done, all) = (outcome.epochs, trainer.recipe().epochs);
        log(format!("ended after {done} of {all} epochs: no improvement in the last {}", stop.patience));
    }
    let done = Done::new(&trainer, outcome, &data, &run, memory.total(), machine)?;
    done.write_scores(&run);
    Ok((done, trainer))
}

/// Whether early stopping ended the run.
fn ended_early(trainer: &Trainer, outcome: &Outcome) -> bool {
    !outcome.stopped && outcome.epochs < trainer.recipe().epochs
}

fn describe_memory(memory: &TrainMemory) -> String {
    let part = |n: usize| bytes(n as u64);
    format!(
        "{} at the peak of a step: activations {}, parameters and gradients {}, optimizer and average {}, pictures ahead {}",
        part(memory.total()),
        part(memory.activations),
        part(memory.parameters + memory.gradients),
        part(memory.optimizer + memory.ema),
        part(memory.batches),
    )
}

/// Number of pictures that a run trains on, and what it holds out.
fn describe_data(data: &sepal_data::Splits) -> String {
    let held = [("val", &data.val), ("test", &data.test)];
    let held = held.iter().filter_map(|(name, set)| Some(format!(", {} {name}", set.as_ref()?.len())));
    format!(
        "{}: {} training pictures{}, {} classes",
        data.kind,
        data.train.len(),
        held.collect::<String>(),
        data.classes.len()
    )
}

/// The network's line.
fn describe_model(trainer: &Trainer) -> Result<String> {
    let graph = trainer.model()?.graph;
    let cost = graph.cost()?;
    let (params, macs) = (sepal_report::grouped(cost.params), sepal_report::short(cost.macs));
    Ok(format!("{} on {}: {params} params, {macs} MACs", graph.name, graph.input_shape()?))
}
