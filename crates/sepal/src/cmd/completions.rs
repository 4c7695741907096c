//! `sepal completions`: for the shell's Tab key.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::Result;
use crate::output::Output;

/// Print a completion script for a shell
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal completions bash
  sepal completions zsh

Install, for example: sepal completions bash > ~/.local/share/bash-completion/completions/sepal")]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "sepal", &mut script);
    let script = String::from_utf8_lossy(&script);
    out.text(script.trim_end())?;
    Ok(out.result(&serde_json::json!({ "shell": args.shell.to_string(), "script": script }))?)
}
