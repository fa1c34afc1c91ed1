//! The model spec: what a user writes, in TOML or JSON, as a typed value, with the place of everything for diagnostics.

mod error;
mod model;
mod source;

pub use error::{Problem, SpecError};
pub use model::*;
pub use source::{Format, Source, Spanned, UnknownFormat};
