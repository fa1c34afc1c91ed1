//! Schur's compiler: from a graph to native code.
//!
//! [`autodiff`] makes the backward pass ordinary graph. [`compile`](compile::compile) is a straight line: [`loops`],
//! [`codegen`].

pub mod autodiff;
pub mod codegen;
pub mod compile;
pub mod loops;
