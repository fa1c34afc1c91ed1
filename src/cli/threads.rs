//! How many threads compute.

use std::num::NonZeroUsize;

use clap::Args;
use schur::CompiledModel;

/// The option of commands that call models.
#[derive(Debug, Args)]
pub(crate) struct Threads {
    /// The most threads that compute; without, one a core. Results have the same bits for any number.
    #[arg(long, value_name = "N", value_parser = threads, allow_negative_numbers = true)]
    threads: Option<NonZeroUsize>,
}

impl Threads {
    pub(crate) fn limit(&self, compiled: &mut CompiledModel) {
        if let Some(threads) = self.threads {
            compiled.set_threads(threads.get());
        }
    }

    pub(crate) fn most(&self) -> Option<NonZeroUsize> {
        self.threads
    }
}

fn threads(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "must be a whole number above 0".to_owned())
}
