//! Schur's compiler: from a graph to native code.

pub mod codegen;
pub mod loops;
