//! Schur's compiler: from a graph to native code.
//!
//! [`compile`](compile::compile) is a straight line: [`simplify`], [`loops`], [`codegen`]. [`autodiff`] makes the backward
//! pass ordinary graph, to be compiled like any other.

#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

pub mod autodiff;
pub mod codegen;
pub mod compile;
pub mod loops;
pub mod simplify;
pub mod validate;
