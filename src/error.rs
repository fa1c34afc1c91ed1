//! All that can go wrong between a spec and the arrays that a call returns, and whose fault it is.

use std::io;
use std::path::PathBuf;

use miette::Diagnostic;
use schur_compiler::autodiff::AutodiffError;
use schur_compiler::codegen::CodegenError;
use schur_compiler::compile::CompileError;
use schur_ir::limits::LimitError;
use schur_ir::spec::{SpecError, UnknownFormat};
use schur_runtime::array::ArrayError;
use schur_runtime::bind::CallError;
use schur_runtime::checkpoint::CheckpointError;
use schur_runtime::nearest::Nearest;
use schur_runtime::plan::ProgramError;
use schur_runtime::store::StoreError;

use crate::train::TrainError;

/// Why something was not done.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// A spec's file cannot be read.
    #[error("cannot read the spec {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something is larger than is accepted.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A spec's file is named neither `.toml` nor `.json`.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Format(#[from] UnknownFormat),
    /// A spec says something that is no model; the problems know their places in it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Spec(#[from] SpecError),
    /// A gradient is wanted of what the model does not have.
    #[error("the model has no input or parameter `{name}`{nearest}")]
    NoLeaf {
        /// What was named.
        name: String,
        /// What may have been meant.
        nearest: Nearest,
    },
    /// A model was not differentiated.
    #[error(transparent)]
    Autodiff(#[from] AutodiffError),
    /// A model was not compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The compiler made a program that contradicts itself.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// An array cannot be made.
    #[error(transparent)]
    Array(#[from] ArrayError),
    /// Parameters are not the model's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of arrays cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A call's inputs are not what the model needs.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Training is not begun, or does not go on.
    #[error(transparent)]
    Train(#[from] TrainError),
}

impl Error {
    pub(crate) fn no_leaf<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Self {
        Error::NoLeaf { name: name.to_owned(), nearest: Nearest::of(name, known) }
    }

    /// True where nobody but Schur is at fault.
    pub fn is_bug(&self) -> bool {
        match self {
            Error::Compile(error) => match error {
                CompileError::Codegen(CodegenError::Target(_) | CodegenError::Memory(_)) | CompileError::Limit(_) => {
                    false
                }
                CompileError::Codegen(CodegenError::Kernel { .. })
                | CompileError::Graph(_)
                | CompileError::Simplified(_)
                | CompileError::Simplify(_)
                | CompileError::Loops(_) => true,
                CompileError::Validation(error) => error.is_bug(),
            },
            Error::Autodiff(error) => match error {
                AutodiffError::NoOutput(_)
                | AutodiffError::NoLeaf(_)
                | AutodiffError::NotFloat(_)
                | AutodiffError::Repeated(_) => false,
                AutodiffError::Graph(_) | AutodiffError::Slope(_) => true,
            },
            Error::Program(_) => true,
            Error::Read { .. }
            | Error::NoLeaf { .. }
            | Error::Limit(_)
            | Error::Format(_)
            | Error::Spec(_)
            | Error::Array(_)
            | Error::Store(_)
            | Error::Checkpoint(_)
            | Error::Call(_)
            | Error::Train(_) => false,
        }
    }
}
