//! Where machine code is kept for the next command.

use std::ffi::OsString;

use clap::Args;
use schur::{Cache, CompileOptions};

use super::terminal::Terminal;

/// The option of commands that compile.
#[derive(Debug, Args)]
pub(crate) struct CacheFolder {
    /// Keep machine code in this folder, and start faster with what is found there. Whoever may write to it decides what
    /// runs; it can be emptied at any time.
    #[arg(long, value_name = "DIR", env = "SCHUR_CACHE", hide_env_values = true)]
    cache: Option<OsString>,
}

impl CacheFolder {
    /// How to compile. A folder that cannot be used is told, and done without.
    pub(crate) fn options(&self, terminal: &Terminal) -> CompileOptions {
        let folder = self.cache.as_ref().filter(|folder| !folder.is_empty());
        let cache = folder.and_then(|folder| {
            let told = |error: &schur::CacheError| terminal.note(&format!("warning: {error}; compiling without it"));
            Cache::open(folder).inspect_err(told).ok()
        });
        CompileOptions { cache, ..CompileOptions::default() }
    }
}

/// Tells that what was compiled could not be kept.
pub(crate) fn tell_failure(options: &CompileOptions, terminal: &Terminal) {
    if let Some(error) = options.cache.as_ref().and_then(Cache::failure) {
        terminal.note(&format!("warning: {error}; the next start compiles again"));
    }
}
