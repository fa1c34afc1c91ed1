//! `schur init`: parameters as they begin.

use std::path::PathBuf;

use clap::Args;
use schur::{Model, checkpoint};

use super::failure::Failure;
use super::files::require_format;
use super::terminal::{Terminal, counted};

/// Write freshly initialised parameters to a file: safetensors, or flax's msgpack, by its ending.
///
/// Names and shapes are flax's, so that e3nn_jax reads the file as well. A seed gives the same bits on every machine.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  schur init model.toml --seed 0 --out params.safetensors")]
pub(crate) struct Init {
    /// The model spec: a .toml or .json file.
    spec: PathBuf,
    /// The seed of the random numbers.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    seed: u64,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Init {
    pub(crate) fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        require_format(&self.out)?;
        let store = Model::from_file(&self.spec)?.init(self.seed)?;
        checkpoint::write(&self.out, store.iter())?;
        let numbers = store.iter().map(|(_, array)| array.len()).sum();
        let what = format!("{} of {}", counted(store.len(), "array"), counted(numbers, "number"));
        terminal.note(&format!("wrote {what} to {}", self.out.display()));
        Ok(())
    }
}
