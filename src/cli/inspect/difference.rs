//! What differs between the texts of two stages.
//!
//! Values of a simplified graph are shown under the numbers that they had before, so that what did not change is equal.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use schur::Graph;
use schur::compiler::simplify::Origin;
use schur::ir::graph::{Node, ValueId};
use similar::{ChangeTag, DiffOp, InlineChange, TextDiff};

/// Equal lines around a difference.
const CONTEXT: usize = 3;

/// A text with its name.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) text: String,
}

/// The differences, as `diff -u` prints them; on a terminal in colours, with the words that differ underlined.
pub(super) fn difference(before: &Named, after: &Named, colours: bool) -> String {
    let diff = TextDiff::from_lines(&before.text, &after.text);
    let paint = Paint { colours };
    let mut out = String::new();
    let groups = diff.grouped_ops(CONTEXT);
    if !groups.is_empty() {
        let _ = writeln!(
            out,
            "{}\n{}",
            paint.bold(&format!("--- {}", before.name)),
            paint.bold(&format!("+++ {}", after.name))
        );
    }
    for group in &groups {
        let _ = writeln!(out, "{}", paint.line(AnsiColor::Cyan, &header(group)));
        group.iter().for_each(|op| changes(&mut out, diff.iter_inline_changes(op), &paint));
    }
    out
}

/// `@@ -3,7 +3,9 @@`.
fn header(group: &[DiffOp]) -> String {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return String::new() };
    let range = |start: usize, end: usize| {
        let length = end - start;
        let start = if length == 0 { start } else { start + 1 };
        if length == 1 { start.to_string() } else { format!("{start},{length}") }
    };
    let (old, new) = (first.old_range().start..last.old_range().end, first.new_range().start..last.new_range().end);
    format!("@@ -{} +{} @@", range(old.start, old.end), range(new.start, new.end))
}

fn changes<'t>(out: &mut String, changes: impl Iterator<Item = InlineChange<'t, str>>, paint: &Paint) {
    for change in changes {
        let (sign, colour) = match change.tag() {
            ChangeTag::Equal => (" ", None),
            ChangeTag::Delete => ("-", Some(AnsiColor::Red)),
            ChangeTag::Insert => ("+", Some(AnsiColor::Green)),
        };
        *out += &paint.words(colour, sign, false);
        for (emphasised, words) in change.iter_strings_lossy() {
            *out += &paint.words(colour, words.trim_end_matches('\n'), emphasised);
        }
        out.push('\n');
    }
}

struct Paint {
    colours: bool,
}

impl Paint {
    fn styled(&self, style: Style, text: &str) -> String {
        if self.colours && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn bold(&self, text: &str) -> String {
        self.styled(Style::new().bold(), text)
    }

    fn line(&self, colour: AnsiColor, text: &str) -> String {
        self.styled(Style::new().fg_color(Some(colour.into())), text)
    }

    fn words(&self, colour: Option<AnsiColor>, text: &str, emphasised: bool) -> String {
        let style = Style::new().fg_color(colour.map(Into::into));
        self.styled(if emphasised { style.underline() } else { style }, text)
    }
}

/// The text of a simplified graph with the numbers and the order of the graph before, where a value stands for one of it;
/// others get numbers that it has not.
pub(super) fn renumbered(simplified: &Graph, origins: &[Origin], before: &Graph) -> String {
    let mut next = before.nodes.len() as u32;
    let mut fresh = || {
        next += 1;
        next - 1
    };
    let number = |((_, node), origin): ((ValueId, &Node), &Origin)| {
        let same = origin.sources.iter().find(|value| *before.ty(**value) == node.ty);
        same.or(origin.sources.first()).map_or_else(&mut fresh, |value| value.0)
    };
    let numbers: Vec<u32> = simplified.values().zip(origins).map(number).collect();
    let text = simplified.to_string();
    // Values stand between the first and the last empty line, one after the other.
    let parts: Vec<&str> = text.split("\n\n").collect();
    let [head, values, rest @ ..] = parts.as_slice() else { return text };
    let mut blocks: Vec<(u32, String)> = Vec::new();
    for line in values.lines() {
        match line.strip_prefix('%') {
            Some(_) => {
                let number = numbers.get(blocks.len()).copied().unwrap_or_default();
                blocks.push((number, with_numbers(line, &numbers)));
            }
            None => blocks.iter_mut().last().into_iter().for_each(|(_, block)| *block = format!("{block}\n{line}")),
        }
    }
    blocks.sort_by_key(|(number, _)| *number);
    let values: Vec<String> = blocks.into_iter().map(|(_, block)| block).collect();
    let rest = rest.iter().map(|part| with_numbers(part, &numbers));
    [(*head).to_owned(), values.join("\n")].into_iter().chain(rest).collect::<Vec<_>>().join("\n\n")
}

/// A text with other numbers of values; names stay.
fn with_numbers(text: &str, numbers: &[u32]) -> String {
    let mut out = String::new();
    let (mut rest, mut quoted) = (text, false);
    while let Some(at) = rest.find(['%', '"', '\\']) {
        out += &rest[..at];
        let (mark, after) = rest[at..].split_at(1);
        out += mark;
        rest = after;
        match mark {
            "\"" => quoted = !quoted,
            // What follows is part of a name.
            "\\" => {
                let skipped = after.chars().next().map_or(0, char::len_utf8);
                out += &after[..skipped];
                rest = &after[skipped..];
            }
            _ if !quoted => {
                let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                let number = after[..digits].parse::<usize>().ok().and_then(|k| numbers.get(k));
                out += &number.map_or_else(|| after[..digits].to_owned(), ToString::to_string);
                rest = &after[digits..];
            }
            _ => {}
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, text: &str) -> Named {
        Named { name: name.into(), text: text.into() }
    }

    #[test]
    fn differences_are_shown_with_their_surroundings() {
        let before = named("graph", "a\nb\nc\nd\ne 1\nf\n");
        let after = named("simplified", "a\nb\nc\nd\ne 2\nf\ng\n");
        let wanted = "--- graph\n+++ simplified\n@@ -2,5 +2,6 @@\n b\n c\n d\n-e 1\n+e 2\n f\n+g\n";
        assert_eq!(difference(&before, &after, false), wanted);
        assert!(difference(&before, &after, true).contains("\u{1b}["));
        assert_eq!(difference(&before, &before, true), "");
    }

    #[test]
    fn values_keep_their_numbers() {
        let text = "graph \"a%0\"\n\n%0: f32[N] 1x0e = input \"%0\"\n%1: f32[N] 1x0e = map tanh(x0) of %0[0]\n\noutput \"y\" = %1\n";
        let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}"));
        let before = "graph \"a\"\n%0: f32[N] 1x0e = input \"x\"\n%1: f32[N] 1x0e = map 1\n%2: f32[N] 1x0e = map tanh(x0) of %1[0]\n";
        let before: Graph = before.parse().unwrap_or_else(|e| panic!("{e}"));
        let origins = [0, 2].map(|k| Origin { sources: vec![ValueId(k)], rules: Vec::new() });
        assert_eq!(renumbered(&graph, &origins, &before), text.replace("%1", "%2"));
    }
}
