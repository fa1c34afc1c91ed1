//! Schur's runtime: everything that happens once a program is compiled.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`array`], [`view`] | owned and borrowed arrays of the four element types |
//! | [`store`], [`init`] | the parameters by name, and how they begin |
//! | [`checkpoint`] | named arrays in safetensors files |

#![deny(unsafe_code)]

pub mod array;
pub mod checkpoint;
pub mod init;
pub mod nearest;
pub mod reference;
pub mod store;
pub mod view;
