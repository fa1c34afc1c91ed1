//! The text of a spec, and values that remember their place in it.

use std::ops::{Deref, Range};
use std::panic::Location;
use std::sync::Arc;

/// A value and its byte range in the source. Equality ignores the range.
#[derive(Clone, Debug, Default)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its byte range in the source.
    pub span: Range<usize>,
}

impl<T> Spanned<T> {
    /// `value`, found at `span`.
    pub fn new(value: T, span: Range<usize>) -> Self {
        Spanned { value, span }
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

/// The language of a spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A name that ends in `.toml`.
    Toml,
    /// A name that ends in `.json`.
    Json,
}

/// A spec's text, with the name of its file for diagnostics. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Source {
    name: Arc<str>,
    text: Arc<str>,
    format: Format,
    origins: Arc<[Origin]>,
}

/// The call in a user's program that stands behind a part of a text.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) span: Range<usize>,
    pub(super) call: &'static Location<'static>,
}

/// A file whose ending does not tell its format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` ends in neither `.toml` nor `.json`")]
pub struct UnknownFormat {
    /// The file's name.
    pub name: String,
}

impl miette::Diagnostic for UnknownFormat {}

impl Source {
    /// The text of a file; the ending of its name decides the format.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Result<Self, UnknownFormat> {
        let name = name.into();
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        let format = match ending.as_deref() {
            Some("toml") => Format::Toml,
            Some("json") => Format::Json,
            Some(_) | None => return Err(UnknownFormat { name: name.to_string() }),
        };
        Ok(Source { name, text: text.into(), format, origins: Arc::default() })
    }

    /// The TOML text of a spec that a program made, with the calls that it was made by.
    pub(super) fn built(name: &str, text: String, origins: Vec<Origin>) -> Self {
        let name = format!("{name} (built in Rust)");
        Source { name: name.into(), text: text.into(), format: Format::Toml, origins: origins.into() }
    }

    /// The call that made what stands at a place of the text.
    pub(super) fn origin(&self, place: usize) -> Option<&'static Location<'static>> {
        self.origins.iter().find(|origin| origin.span.contains(&place)).map(|origin| origin.call)
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The language of the text.
    pub fn format(&self) -> Format {
        self.format
    }
}
