//! TOML text as a tree.

use std::ops::Range;

use ::toml::de::{DeTable, DeValue};

use super::Problem;
use super::tree::{Entry, Node, Table, Value};

/// How many faults of syntax are reported: later ones tend to follow from earlier ones.
const MAX_ERRORS: usize = 10;

/// Reads a TOML document.
pub(super) fn parse(text: &str) -> Result<Node, Vec<Problem>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut problems: Vec<Problem> = errors
        .iter()
        .take(MAX_ERRORS)
        .map(|e| {
            let span = e.span().unwrap_or(0..0);
            Problem::new(format!("this is not TOML: {}", e.message()), "here", span)
        })
        .collect();
    problems.sort_by_key(|problem| problem.span.start);
    problems.dedup_by_key(|problem| problem.span.start);
    if problems.is_empty() {
        let root = Node { span: document.span(), value: Value::Table(table(document.get_ref(), &mut problems)) };
        if problems.is_empty() {
            return Ok(root);
        }
    }
    Err(problems)
}

fn table(table: &DeTable<'_>, problems: &mut Vec<Problem>) -> Table {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
        .into_iter()
        .map(|(key, value)| {
            let node = node(value.get_ref(), value.span(), problems);
            (key.get_ref().to_string(), Entry { key_span: key.span(), node })
        })
        .collect()
}

fn node(value: &DeValue<'_>, span: Range<usize>, problems: &mut Vec<Problem>) -> Node {
    let value = match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(integer) => Value::Int(integer),
            Err(_) => {
                problems.push(Problem::new("this integer has more than 64 bits", "too large", span.clone()));
                Value::Int(0)
            }
        },
        DeValue::Float(float) => Value::Float(float.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(array) => {
            Value::Array(array.iter().map(|item| node(item.get_ref(), item.span(), problems)).collect())
        }
        DeValue::Table(inner) => Value::Table(table(inner, problems)),
    };
    Node { span, value }
}
