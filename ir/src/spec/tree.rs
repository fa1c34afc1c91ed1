//! A spec's text as a tree of values, the same for TOML and JSON; every value and key knows its place.

use std::ops::Range;

use indexmap::IndexMap;

use super::{Format, Problem, Source, json, toml};

/// A value and its byte range.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) value: Value,
}

/// What TOML and JSON can say.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
    Date,
    Array(Vec<Node>),
    Table(Table),
}

/// Entries in the order of the file.
pub(super) type Table = IndexMap<String, Entry>;

/// What a key stands for, and where the key is.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key_span: Range<usize>,
    pub(super) node: Node,
}

impl Value {
    /// The value of an integer or a float.
    pub(super) fn number(&self) -> Option<f64> {
        if let Value::Int(integer) = self {
            Some(*integer as f64)
        } else if let Value::Float(float) = self {
            Some(*float)
        } else {
            None
        }
    }

    /// What a diagnostic calls such a value.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a float",
            Value::String(_) => "a string",
            Value::Date => "a date",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

/// Reads the text by its format.
pub(super) fn parse(source: &Source) -> Result<Node, Vec<Problem>> {
    match source.format() {
        Format::Toml => toml::parse(source.text()),
        Format::Json => json::parse(source.text()),
    }
}
