//! The command line of Sepal.

mod args;
mod cli;
mod cmd;
mod failure;
mod interrupt;
mod isa;
mod memory;
mod noise;
mod output;
mod pictures;
mod progress;
mod scores;
mod target;
mod threads;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !sepal_formats::keras::panics_are_caught() {
            print(panic);
        }
    }));
    let cli = cli::Cli::parse();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = write!(std::io::stderr().lock(), "{failure}");
            ExitCode::from(failure.code())
        }
    }
}
