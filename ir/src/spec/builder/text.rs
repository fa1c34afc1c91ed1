//! Writes a spec that is built as TOML, and gives every value its place in the text.

use std::ops::Range;
use std::panic::Location;

use super::literal::Literal;
use super::{Setting, SpecBuilder, Table};
use crate::spec::source::Origin;
use crate::spec::tree::{self, Entry, Node, Value};
use crate::spec::{Problem, Source};

/// The text so far, the calls behind its lines, and what is wrong with it already.
#[derive(Default)]
pub(super) struct Writer {
    text: String,
    origins: Vec<Origin>,
    problems: Vec<Problem>,
}

impl Writer {
    /// The source that was written, and what is wrong with it already.
    pub(super) fn finish(self, name: &str) -> (Source, Vec<Problem>) {
        (Source::built(name, self.text, self.origins), self.problems)
    }

    /// Writes the whole spec.
    pub(super) fn model(&mut self, model: &SpecBuilder) -> Node {
        let mut top = self.settings(&model.top.settings);
        // Keys that must be there, and that no table below has.
        self.empty("inputs = {}", model.inputs.is_empty(), model.top.call);
        self.empty("layers = []", model.layers.is_empty(), model.top.call);
        if !model.config.settings.is_empty() {
            let entry = self.table(["[", "config", "]"], &model.config);
            top.insert("config".into(), entry);
        }
        let inputs = self.inputs(&model.inputs);
        top.insert("inputs".into(), inputs);
        let layers = model.layers.iter().map(|layer| self.table(["[[", "layers", "]]"], layer).node).collect();
        top.insert("layers".into(), entry(self.text.len()..self.text.len(), Value::Array(layers)));
        Node { span: 0..self.text.len(), value: Value::Table(top) }
    }

    /// A line for what is empty.
    fn empty(&mut self, line: &str, is_empty: bool, call: &'static Location<'static>) {
        if is_empty {
            let start = self.text.len();
            self.text.push_str(line);
            self.end_line(start, call);
        }
    }

    fn inputs(&mut self, inputs: &[(String, Table)]) -> Entry {
        let start = self.text.len();
        let mut table = tree::Table::new();
        for (name, input) in inputs {
            let written = self.table(["[inputs.", &key(name), "]"], input);
            if table.contains_key(name) {
                let message = format!("the name `{name}` is taken by an earlier input");
                self.problems.push(Problem::new(message, "taken", written.key_span.clone()));
            }
            table.insert(name.clone(), written);
        }
        entry(start..self.text.len(), Value::Table(table))
    }

    /// Writes a table under a heading, whose middle part is the table's key.
    fn table(&mut self, [open, key, close]: [&str; 3], table: &Table) -> Entry {
        self.text.push('\n');
        let start = self.text.len();
        self.text.extend([open, key, close]);
        let span = start..self.text.len();
        self.end_line(start, table.call);
        let key_span = span.start.saturating_add(open.len())..span.end.saturating_sub(close.len());
        Entry { key_span, node: Node { span, value: Value::Table(self.settings(&table.settings)) } }
    }

    fn settings(&mut self, settings: &[Setting]) -> tree::Table {
        let written = settings.iter().map(|setting| {
            let start = self.text.len();
            self.text.push_str(setting.key);
            let key_span = start..self.text.len();
            self.text.push_str(" = ");
            let node = self.value(&setting.value);
            self.end_line(start, setting.call);
            (setting.key.to_owned(), Entry { key_span, node })
        });
        written.collect()
    }

    fn end_line(&mut self, start: usize, call: &'static Location<'static>) {
        self.text.push('\n');
        self.origins.push(Origin { span: start..self.text.len(), call });
    }

    fn value(&mut self, literal: &Literal) -> Node {
        let start = self.text.len();
        let value = match literal {
            Literal::Bool(flag) => self.plain(flag.to_string(), Value::Bool(*flag)),
            Literal::Int(integer) => self.plain(integer.to_string(), Value::Int(*integer)),
            Literal::Float(number) => self.plain(float(*number), Value::Float(*number)),
            Literal::String(text) => self.plain(quoted(text), Value::String(text.clone())),
            Literal::Array(values) => {
                let value = |writer: &mut Self, value: &Literal| writer.value(value);
                Value::Array(self.list("[", values, "]", value))
            }
            Literal::Table(entries) => {
                let entry = |writer: &mut Self, (key, value): &(&str, Literal)| {
                    let start = writer.text.len();
                    writer.text.push_str(key);
                    let key_span = start..writer.text.len();
                    writer.text.push_str(" = ");
                    ((*key).to_owned(), Entry { key_span, node: writer.value(value) })
                };
                Value::Table(self.list("{ ", entries, " }", entry).into_iter().collect())
            }
        };
        Node { span: start..self.text.len(), value }
    }

    fn plain(&mut self, text: String, value: Value) -> Value {
        self.text.push_str(&text);
        value
    }

    fn list<T, U>(&mut self, open: &str, items: &[T], close: &str, write: impl Fn(&mut Self, &T) -> U) -> Vec<U> {
        self.text.push_str(open);
        let written = items.iter().enumerate().map(|(place, item)| {
            self.text.push_str(if place > 0 { ", " } else { "" });
            write(self, item)
        });
        let written = written.collect();
        self.text.push_str(close);
        written
    }
}

fn entry(span: Range<usize>, value: Value) -> Entry {
    Entry { key_span: span.clone(), node: Node { span, value } }
}

/// A key, quoted where it has to be.
fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}

/// A string as TOML quotes it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A float as TOML writes it: always with a point or an exponent.
fn float(number: f64) -> String {
    if number.is_nan() { "nan".to_owned() } else { format!("{number:?}") }
}
