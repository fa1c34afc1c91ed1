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
//! | [`micro`] | the innermost loops, for every set of vector instructions |
//! | [`nearest`] | the name that was meant |
//! | [`mod@reference`] | what a graph means, computed plainly in f64 |
//! | [`rotation`] | rotations and inversion acting on features |
//!
//! Behind the executor stand `slots` (arrays matched by name), `sizes` (all sizes of a call), `chunk` (how rows are cut),
//! `pace` (how fast kernels are), `pool` (threads), `arena` (the memory of temporaries) and `call`, where kernels are
//! called. `unsafe` is in `call`, in `pool` and in [`micro`] alone.

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

#[allow(clippy::indexing_slicing, reason = "lengths were reserved; what is wrong here must not be called")]
mod arena;
pub mod argument;
pub mod array;
#[allow(
    clippy::indexing_slicing,
    reason = "places are of a program that the plan has checked, and of lists made for it"
)]
pub mod bind;
#[allow(clippy::indexing_slicing, clippy::unreachable, reason = "places are of a program that the plan has checked")]
mod call;
pub mod checkpoint;
#[allow(
    clippy::indexing_slicing,
    reason = "places are of a program that the plan has checked, and of lists made for it"
)]
mod chunk;
#[allow(clippy::indexing_slicing, reason = "places are of a program that the plan has checked")]
pub mod executor;
pub mod init;
#[allow(clippy::expect_used, reason = "arrays of ndarray have as many elements as their shapes say")]
pub mod input;
pub mod memory;
#[allow(
    clippy::indexing_slicing,
    clippy::unreachable,
    clippy::panic,
    reason = "places are of arrays whose lengths are constants here"
)]
pub mod micro;
pub mod nearest;
mod pace;
#[allow(clippy::indexing_slicing, reason = "places are checked before they are used")]
pub mod plan;
#[allow(
    clippy::indexing_slicing,
    reason = "places are of a program that the plan has checked, and of lists made for it"
)]
mod pool;
#[allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::unreachable,
    reason = "places are of a graph that the verifier has passed, and of values of its types"
)]
pub mod reference;
pub mod rotation;
#[allow(clippy::indexing_slicing, reason = "places are of a program that the plan has checked")]
mod sizes;
#[allow(
    clippy::indexing_slicing,
    reason = "places are of a program that the plan has checked, and of lists made for it"
)]
mod slots;
pub mod store;
pub mod view;
