//! `schur completions`: what a shell needs to complete command lines.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::failure::Failure;
use super::terminal::Terminal;

/// Print a script that completes command lines of Schur in a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  schur completions bash > ~/.local/share/bash-completion/completions/schur
  schur completions zsh > ~/.zfunc/_schur
  schur completions fish > ~/.config/fish/completions/schur.fish")]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut super::Arguments::command(), "schur", &mut script);
        terminal.print(&String::from_utf8_lossy(&script))
    }
}
