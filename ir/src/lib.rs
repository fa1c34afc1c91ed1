//! Schur's language: irreps, symbolic sizes, types, the graph and its text form, the model spec, and the contract
//! between compiler and runtime. Depends on neither of them. It does nothing unsafe: the one unsafe function,
//! [`Program::new`](program::Program::new), is so because of what its caller promises.

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

#[expect(clippy::arithmetic_side_effects, reason = "expressions are put together, no numbers")]
pub mod activation;
#[expect(clippy::arithmetic_side_effects, reason = "widths are within limits, which are checked after every layer")]
pub mod build;
pub mod counted;
#[expect(clippy::arithmetic_side_effects, reason = "no part has more rows than there are")]
pub mod cut;
pub mod dim;
#[expect(clippy::arithmetic_side_effects, reason = "expressions are put together, no numbers")]
pub mod expr;
pub mod functions;
pub mod graph;
pub mod irreps;
pub mod limits;
pub mod memory;
pub mod micro;
pub mod path;
pub mod program;
pub mod spec;
pub mod text;
pub mod ty;
pub mod verify;
