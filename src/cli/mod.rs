//! The command line: arguments, and what is done with them. Results go to standard output, all else to standard error.

mod bench;
mod cache;
mod check;
mod completions;
mod evaluate;
mod explain;
mod failure;
mod files;
mod gradients;
mod init;
mod inspect;
mod random;
mod run;
mod shown;
mod terminal;
mod threads;
mod train;

use std::panic::catch_unwind;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;
use terminal::Terminal;

const STATUS: &str = "\
Exit status: 0 done; 1 the spec or the arrays are wrong; 2 the command line is wrong; 3 a bug of Schur; \
130 training was stopped by Ctrl-C.";

/// Compiles specs of E(3)-equivariant layers into fused native kernels, and runs them.
#[derive(Debug, Parser)]
#[command(name = "schur", version, after_help = STATUS, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Say nothing but results and errors.
    #[arg(short, long, global = true, display_order = 900)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Init(init::Init),
    Run(run::Run),
    Train(train::Train),
    Evaluate(evaluate::Evaluate),
    Bench(bench::Bench),
    Explain(explain::Explain),
    Inspect(inspect::Inspect),
    Completions(completions::Completions),
}

/// Parses the arguments and does what they say.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let terminal = Terminal::new(arguments.quiet);
    // The hook of the panic has printed what happened by then.
    let result = catch_unwind(|| run(arguments.command, &terminal)).unwrap_or(Err(Failure::Panic));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command, terminal: &Terminal) -> Result<(), Failure> {
    match command {
        Command::Check(check) => check.run(terminal),
        Command::Init(init) => init.run(terminal),
        Command::Run(run) => run.run(terminal),
        Command::Train(train) => train.run(terminal),
        Command::Evaluate(evaluate) => evaluate.run(terminal),
        Command::Bench(bench) => bench.run(terminal),
        Command::Explain(explain) => explain.run(terminal),
        Command::Inspect(inspect) => inspect.run(terminal),
        Command::Completions(completions) => completions.run(terminal),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// A longer line is broken, and can no longer be copied.
    #[test]
    fn examples_fit_a_terminal() {
        let arguments = Arguments::command();
        let examples = arguments.get_subcommands().filter_map(|command| command.get_after_help());
        let lines: Vec<String> =
            examples.flat_map(|help| help.to_string().lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        assert!(lines.iter().any(|line| line.starts_with("  schur train ")));
        assert_eq!(lines.iter().find(|line| line.len() > 80), None);
    }
}
