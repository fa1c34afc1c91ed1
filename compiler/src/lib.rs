//! Schur's compiler: from a graph to native code.
//!
//! [`compile`](compile::compile) is a straight line: [`simplify`], [`loops`], [`codegen`].

pub mod codegen;
pub mod compile;
pub mod loops;
pub mod simplify;
