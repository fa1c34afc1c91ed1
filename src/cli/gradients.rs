//! Which gradients a command compiles.

use std::sync::Arc;

use clap::Args;
use schur::Pass;

/// The options of a command that shows or measures what is compiled.
#[derive(Debug, Args)]
pub(crate) struct Gradients {
    /// Compile the gradients as well.
    #[arg(long)]
    pub(crate) gradients: bool,
    /// Only the gradient with respect to this input or parameter; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub(crate) wrt: Vec<Arc<str>>,
}

impl Gradients {
    pub(crate) fn pass(&self) -> Pass {
        if self.gradients || !self.wrt.is_empty() { with_respect_to(&self.wrt) } else { Pass::Forward }
    }
}

/// The gradients with respect to what `--wrt` names; all where it is not given.
pub(crate) fn with_respect_to(wrt: &[Arc<str>]) -> Pass {
    if wrt.is_empty() { Pass::Joint } else { Pass::Gradients(wrt.to_vec()) }
}
