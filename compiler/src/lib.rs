//! Schur's compiler: from a graph to native code.
//!
//! [`compile`](compile::compile) is a straight line: [`simplify`], [`loops`], [`codegen`]. [`autodiff`] makes the backward
//! pass ordinary graph, to be compiled like any other.

pub mod autodiff;
pub mod codegen;
pub mod compile;
pub mod loops;
pub mod simplify;
pub mod validate;
