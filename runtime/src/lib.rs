//! Schur's runtime: everything that happens once a program is compiled.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`mod@array`], [`view`] | owned and borrowed arrays of the four element types |
//! | [`input`] | what a call is given: these, or arrays of ndarray |
//! | [`store`], [`init`] | the parameters by name, and how they begin |
//! | [`checkpoint`] | named arrays in files: safetensors, and flax's msgpack |
//! | [`executor`] | calls of a program: what goes in, what comes out |
//! | [`bind`], [`argument`] | the checks of a call's arrays: names, shapes, sizes of symbols, requirements |
//! | [`plan`] | the checks of a program |
//! | [`memory`] | how much there is, and what is refused before it is tried |
//! | [`nearest`] | the name that was meant |
//! | [`mod@reference`] | what a graph means, computed plainly in f64 |
//! | [`rotation`] | rotations and inversion acting on features |
//!
//! Behind the executor stand `slots` (arrays matched by name), `sizes` (all sizes of a call), `chunk` (how rows are cut),
//! `pace` (how fast kernels are), `pool` (threads), `arena` (the memory of temporaries) and `call`, where kernels are
//! called. `unsafe` is in `call` and in `pool` alone; what kernels call is of `schur-micro`.

#![deny(unsafe_code)]
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

pub mod aligned;
mod arena;
pub mod argument;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod array;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod bind;
mod call;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod checkpoint;
mod chunk;
mod core;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
mod elements;
pub mod executor;
pub mod init;
pub mod input;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod memory;
pub mod nearest;
mod pace;
mod pages;
mod partial;
pub mod plan;
pub mod pool;
pub mod reference;
pub mod rotation;
mod shares;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
mod sizes;
mod slots;
pub mod store;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod view;

#[doc(inline)]
pub use schur_micro::{InstructionSet, Loop};
