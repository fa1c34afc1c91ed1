//! Schur's side of `against_e3nn_jax.py`: calls that are timed on command, so that both sides can take turns.
//!
//! Every line of standard input is a command in JSON; every line of standard output is its answer, or `{"error": …}`.
//! Outputs go to arrays that are kept from call to call.

mod commands;
mod machine;

use std::error::Error;
use std::io::{self, BufRead, Write};

use commands::{Command, Worker};

/// Anything that goes wrong; the answer says what.
type Failure = Box<dyn Error>;

fn main() -> io::Result<()> {
    // `cargo bench` has no commands.
    if std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let mut worker = Worker::default();
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let answer = serde_json::from_str::<Command>(&line?).map_err(Failure::from).and_then(|c| worker.obey(c));
        let answer = answer.unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() }));
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
