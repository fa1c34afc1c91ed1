//! Typed reading of a tree.
//!
//! What cannot be read is reported and replaced by a default, so that one pass finds every problem; a spec with problems
//! is never returned.

use std::ops::Range;

use super::error::MAX_PROBLEMS;
use super::tree::{Node, Table, Value};
use super::{Problem, Source};
use crate::limits::{LimitError, Limits};

/// Collects problems while a tree is read.
pub(super) struct Reader<'s> {
    pub(super) source: &'s Source,
    pub(super) limits: &'s Limits,
    pub(super) problems: Vec<Problem>,
}

/// A value and the key that it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) key: &'a str,
    pub(super) node: &'a Node,
}

/// A type that a value of a spec can have. `None` means that a problem was reported.
pub(super) trait FromNode: Sized {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self>;
}

impl Reader<'_> {
    /// Reports that the item is not what was expected.
    pub(super) fn expected<T>(&mut self, item: Item<'_>, expected: &str) -> Option<T> {
        let message = format!("`{}`: expected {expected}, found {}", item.key, item.node.value.kind());
        self.problems.push(Problem::new(message, format!("expected {expected}"), item.node.span.clone()));
        None
    }

    /// Reports a value of the right type that will not do.
    pub(super) fn reject<T>(&mut self, item: Item<'_>, reason: &str, label: &str) -> Option<T> {
        let message = format!("`{}`: {reason}", item.key);
        self.problems.push(Problem::new(message, label, item.node.span.clone()));
        None
    }

    /// Reports that there is more of something than is accepted.
    pub(super) fn within(&mut self, item: Item<'_>, limit: &'static str, allowed: usize, found: usize) -> Option<()> {
        match LimitError::check(limit, allowed, found, || format!("the {limit}")) {
            Ok(()) => Some(()),
            Err(error) => self.reject(item, &error.to_string(), "too large"),
        }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, item: Item<'_>, what: &str, words: &[(&str, T)]) -> Option<T> {
        let Value::String(text) = &item.node.value else {
            return self.expected(item, &format!("{what} as a string"));
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| word == text) {
            return Some(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("`{}`: `{text}` is not {what}", item.key);
        let problem = Problem::new(message, format!("not {what}"), item.node.span.clone());
        self.problems.push(problem.with_help(did_you_mean(text, &known).unwrap_or_else(|| one_of(&known))));
        None
    }
}

/// The entries of a table, and the keys that were asked for.
pub(super) struct Fields<'a, 'r, 's> {
    pub(super) reader: &'r mut Reader<'s>,
    pub(super) table: &'a Table,
    what: String,
    span: Range<usize>,
    asked: Vec<&'static str>,
}

impl<'a, 'r, 's> Fields<'a, 'r, 's> {
    /// The fields of the item; `None`, and a problem, where it is no table. Problems with the whole table are put at `span`.
    pub(super) fn open(reader: &'r mut Reader<'s>, item: Item<'a>, what: &str, span: Range<usize>) -> Option<Self> {
        let Value::Table(table) = &item.node.value else {
            return reader.expected(item, "a table");
        };
        Some(Fields { reader, table, what: what.into(), span, asked: Vec::new() })
    }

    /// Names the table more closely than its opening did.
    pub(super) fn rename(&mut self, what: String) {
        self.what = what;
    }

    /// What a diagnostic calls the table.
    pub(super) fn what(&self) -> &str {
        &self.what
    }

    /// The place of the whole table.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The value of a key, if there is one, null or not.
    pub(super) fn item(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.asked.push(key);
        self.table.get(key).map(|entry| Item { key, node: &entry.node })
    }

    /// An option; null leaves it out.
    pub(super) fn optional<T: FromNode>(&mut self, key: &'static str) -> Option<T> {
        let item = self.item(key).filter(|item| !matches!(item.node.value, Value::Null))?;
        T::from_node(self.reader, item)
    }

    /// An option with a default; null leaves it out.
    pub(super) fn or<T: FromNode>(&mut self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// An option with a default for which null is an error, as it might mean something else than the default.
    pub(super) fn explicit<T: FromNode>(&mut self, key: &'static str, default: T) -> T {
        self.item(key).and_then(|item| T::from_node(self.reader, item)).unwrap_or(default)
    }

    /// A key that must be there.
    pub(super) fn required<T: FromNode + Default>(&mut self, key: &'static str) -> T {
        self.required_with(key, |reader, item| T::from_node(reader, item))
    }

    /// A key that must be there, read by `read`.
    pub(super) fn required_with<T: Default>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Reader<'s>, Item<'a>) -> Option<T>,
    ) -> T {
        let value = self.item(key).map(|item| read(self.reader, item));
        if value.is_none() {
            let message = format!("{} lacks `{key}`", self.what);
            self.reader.problems.push(Problem::new(message, format!("`{key}` is missing"), self.span()));
        }
        value.flatten().unwrap_or_default()
    }

    /// The keys that were asked for.
    pub(super) fn asked(&self) -> &[&'static str] {
        &self.asked
    }

    /// The keys of the file that were not asked for, with their places.
    pub(super) fn unknown(&self) -> Vec<(&'a str, Range<usize>)> {
        let unknown = self.table.iter().filter(|(key, _)| !self.asked.contains(&key.as_str()));
        unknown.map(|(key, entry)| (key.as_str(), entry.key_span.clone())).collect()
    }

    /// Reports every key that was not asked for.
    pub(super) fn finish(self) {
        for (key, span) in self.unknown().into_iter().take(MAX_PROBLEMS) {
            let help = did_you_mean(key, &self.asked).unwrap_or_else(|| format!("known keys: {}", list(&self.asked)));
            let message = format!("{} has no key `{key}`", self.what);
            self.reader.problems.push(Problem::new(message, "unknown key", span).with_help(help));
        }
    }
}

/// Asks for the known name nearest to `name`, where one is near. Only the first thousand names are compared, and no long
/// ones, as comparing takes time in proportion to the product of the lengths.
pub(super) fn did_you_mean(name: &str, known: &[&str]) -> Option<String> {
    const LONG: usize = 100;
    if name.len() > LONG {
        return None;
    }
    let known = known.iter().take(1000).filter(|other| (1..=LONG).contains(&other.len()));
    let name = name.to_lowercase();
    let near = |other: &&str| {
        let limit = name.len().max(other.len()) / 3;
        if name.len().abs_diff(other.len()) > limit {
            return None;
        }
        let distance = strsim::damerau_levenshtein(&name, &other.to_lowercase());
        (distance <= limit).then(|| (distance, other.to_string()))
    };
    let (_, nearest) = known.filter_map(near).min_by_key(|(distance, _)| *distance)?;
    Some(format!("did you mean `{nearest}`?"))
}

/// "one of `a`, `b`, `c`".
pub(super) fn one_of(names: &[&str]) -> String {
    format!("one of {}", list(names))
}

/// "`a`, `b`, `c`".
pub(super) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
