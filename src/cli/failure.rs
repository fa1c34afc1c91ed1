//! What ends a command before its work is done, and the exit status that it is.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};

use super::shown::{complain, shown};

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub(crate) enum Failure {
    /// The library refused.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Schur(schur::Error),
    /// What was asked for does not exist.
    #[error("{message}")]
    User {
        message: String,
        #[help]
        help: Option<String>,
    },
    /// Arguments that do not go together.
    #[error("{0}")]
    #[diagnostic(help("`schur help` and `schur <command> --help` tell what goes together"))]
    CommandLine(String),
    /// Ctrl-C, after what was done has been saved; `command` goes on.
    #[error("{message}")]
    #[diagnostic(help("to go on:"))]
    Stopped { message: String, command: String },
    /// Something that should agree does not.
    #[error("{0}")]
    #[diagnostic(help("this is a bug of Schur: please report it with the spec"))]
    Bug(String),
    /// A panic, already printed.
    #[error("Schur stopped where it should not")]
    #[diagnostic(help("this is a bug of Schur: please report it with the spec"))]
    Panic,
    /// Standard output is gone or full.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

impl<E: Into<schur::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Schur(error.into())
    }
}

impl Failure {
    /// The user's fault.
    pub(crate) fn user(message: impl Into<String>, help: impl Into<Option<String>>) -> Self {
        Failure::User { message: message.into(), help: help.into() }
    }

    /// Prints the failure to standard error, with colours where that is a terminal, and gives the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        if matches!(self, Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe) {
            // Whoever reads has read enough.
            return ExitCode::SUCCESS;
        }
        let has_colours = io::stderr().is_terminal();
        let theme = if has_colours { GraphicalTheme::unicode() } else { GraphicalTheme::none() };
        // Messages hold their causes.
        let handler = GraphicalReportHandler::new_themed(theme).with_width(120).without_cause_chain();
        let mut text = String::new();
        if handler.render_report(&mut text, self).is_err() {
            text = format!("error: {self}\n");
        }
        if let Failure::Stopped { command, .. } = self {
            // In one line, which can be copied.
            text += &format!("{command}\n");
        }
        complain(&shown(&text, has_colours));
        self.status()
    }

    fn status(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Schur(error) if error.is_bug() => 3,
            Failure::Schur(_) | Failure::User { .. } | Failure::Output(_) => 1,
            Failure::CommandLine(_) => 2,
            Failure::Bug(_) | Failure::Panic => 3,
            // As shells report a program that Ctrl-C has ended.
            Failure::Stopped { .. } => 130,
        })
    }
}

/// Refuses options that would change nothing: those that are given without what they have an effect with. Options, whether
/// they are given, whether they have an effect, and with what.
pub(crate) fn require_effects(options: &[(&str, bool, bool, &str)]) -> Result<(), Failure> {
    match options.iter().find(|(_, is_given, has_effect, _)| *is_given && !has_effect) {
        Some((option, _, _, with)) => Err(Failure::CommandLine(format!("{option} has an effect with {with} alone"))),
        None => Ok(()),
    }
}
