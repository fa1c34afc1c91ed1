//! The model spec: what a user writes, in TOML or JSON, as a typed value, with the place of everything for diagnostics.
//!
//! [`ModelSpec::parse`] goes from text to a tree of values that know their place (`tree`, filled by `toml` or `json`),
//! from the tree to the data model (`parse` and `layers`, on top of `reader` and `values`), and checks names and options
//! (`check`). Each step reports all the problems that it finds. A [`SpecBuilder`] makes the tree from Rust.

mod builder;
mod check;
#[expect(clippy::arithmetic_side_effects, reason = "places in a text that is in memory")]
mod error;
#[expect(clippy::arithmetic_side_effects, reason = "places in a text that is in memory; depth is at most MAX_DEPTH")]
mod json;
mod layers;
mod model;
mod parse;
mod reader;
mod source;
mod toml;
mod tree;
mod values;

pub use builder::*;
pub use error::{Problem, SpecError};
pub use model::*;
pub use source::{Format, Source, Spanned, UnknownFormat};
