//! The text form of a graph: what snapshots and file tests hold, and what `schur inspect` shows.
//!
//! `docs/graph.md` describes it. Invariant: for every graph that the verifier accepts, `parse(print(g)) == g`. The parser
//! checks the grammar alone; what the graph means is the verifier's to check.

use std::fmt;

mod parse;
mod print;
mod token;

pub use parse::ParseGraphError;

/// Prints a name as it is where it is an identifier, else quoted.
pub(crate) struct Name<'a>(pub(crate) &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.chars();
        let starts_well = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if starts_well && chars.all(is_name_char) { f.write_str(self.0) } else { Quoted(self.0).fmt(f) }
    }
}

/// True for what an identifier is made of.
fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Prints a text in double quotes, with `\"`, `\\` and `\u{…}` for control characters.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        self.0.chars().try_for_each(|c| write_escaped(f, c, '"'))?;
        f.write_str("\"")
    }
}

/// Prints the letter of an axis as it is where it is a letter, else in single quotes.
struct Letter(char);

impl fmt::Display for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_alphabetic() {
            return write!(f, "{}", self.0);
        }
        f.write_str("'")?;
        write_escaped(f, self.0, '\'')?;
        f.write_str("'")
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, c: char, quote: char) -> fmt::Result {
    if c == quote || c == '\\' {
        write!(f, "\\{c}")
    } else if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
        write!(f, "\\u{{{:x}}}", u32::from(c))
    } else {
        write!(f, "{c}")
    }
}
