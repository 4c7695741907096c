//! The verbs.

use clap::{Parser, Subcommand};

use crate::cmd;
use crate::failure::Result;
use crate::isa;
use crate::output::Output;

/// From a folder of images to a small, fast classifier of separable convolutions, on the CPU.
#[derive(Parser, Debug)]
#[command(name = "sepal", version, about, after_help = EXAMPLES, max_term_width = 110, propagate_version = true)]
pub(crate) struct Cli {
    /// Make the last line of standard output one JSON object
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sepal train                                  train on the sample that ships with Sepal
  sepal train photos --epochs 30               train on photos/train/CLASS/*.jpg
  sepal predict runs/mobilenet_v1 cat.jpg      say what is in a picture

Options can also come from the environment: SEPAL_THREADS=1 is --threads 1.
Exit codes: 0 success, 1 failure, 2 wrong command line, 130 interrupted.";

#[derive(Subcommand, Debug)]
enum Command {
    Models(cmd::models::Args),
    Blocks(cmd::blocks::Args),
    Recipes(cmd::recipes::Args),
    Summary(cmd::summary::Args),
    Train(Box<cmd::train::Args>),
    Eval(cmd::eval::Args),
    Units(cmd::units::Args),
    Runs(cmd::runs::Args),
    Predict(cmd::predict::Args),
    Run(cmd::run::Args),
    Export(cmd::export::Args),
    Import(cmd::import::Args),
    Inspect(cmd::inspect::Args),
    Bench(cmd::bench::Args),
    Data(cmd::data::Args),
    Domains(Box<cmd::domains::Args>),
    Study(cmd::study::Args),
    Completions(cmd::completions::Args),
}

impl Cli {
    /// Does what was asked.
    pub(crate) fn run(self) -> Result {
        let out = Output::new(self.json);
        // There it is the default of an option.
        if !matches!(self.command, Command::Bench(_)) {
            isa::check_environment()?;
        }
        match self.command {
            Command::Models(args) => cmd::models::run(&args, out),
            Command::Blocks(args) => cmd::blocks::run(&args, out),
            Command::Recipes(args) => cmd::recipes::run(&args, out),
            Command::Summary(args) => cmd::summary::run(&args, out),
            Command::Train(args) => cmd::train::run(&args, out),
            Command::Eval(args) => cmd::eval::run(&args, out),
            Command::Units(args) => cmd::units::run(&args, out),
            Command::Runs(args) => cmd::runs::run(&args, out),
            Command::Predict(args) => cmd::predict::run(&args, out),
            Command::Run(args) => cmd::run::run(&args, out),
            Command::Export(args) => cmd::export::run(&args, out),
            Command::Import(args) => cmd::import::run(&args, out),
            Command::Inspect(args) => cmd::inspect::run(&args, out),
            Command::Bench(args) => cmd::bench::run(&args, out),
            Command::Data(args) => cmd::data::run(&args, out),
            Command::Domains(args) => cmd::domains::run(&args, out),
            Command::Study(args) => cmd::study::run(&args, out),
            Command::Completions(args) => cmd::completions::run(&args, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// The command lines among the examples of a help text: two blanks, `sepal …`, a comment after more blanks.
    fn examples(command: &clap::Command) -> Vec<String> {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = help.lines().filter_map(|line| line.strip_prefix("  sepal "));
        lines.map(|line| line.split("  ").next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn every_example_parses_and_every_verb_has_one() {
        let mut command = Cli::command();
        command.build();
        let mut checked = 0;
        let named = |c: &&clap::Command| c.get_name() != "help";
        let verbs = command.get_subcommands().filter(named);
        let all = verbs.flat_map(|c| std::iter::once(c).chain(c.get_subcommands().filter(named)));
        for (verb, own) in all.map(|c| (c.get_name(), examples(c))).chain([("sepal", examples(&command))]) {
            assert!(!own.is_empty(), "{verb} has no example");
            for example in own {
                let words = example.split_whitespace().map(|word| word.trim_matches('\''));
                let parsed = Cli::try_parse_from(std::iter::once("sepal").chain(words));
                assert!(parsed.is_ok(), "sepal {example}: {}", parsed.unwrap_err());
                checked += 1;
            }
        }
        assert!(checked > 20, "{checked}");
    }
}
