//! Schur's language: irreps, symbolic sizes, types, the graph and its text form, the model spec, and the contract
//! between compiler and runtime. Depends on neither of them and contains no unsafe code.

#![forbid(unsafe_code)]

pub mod activation;
pub mod build;
pub mod dim;
pub mod expr;
pub mod graph;
pub mod irreps;
pub mod limits;
pub mod micro;
pub mod program;
pub mod spec;
pub mod text;
pub mod ty;
pub mod verify;
