//! What terminals are shown of texts that hold names and lines of files that nobody vouches for.

use std::borrow::Cow;
use std::io::{self, Write};

/// A text as terminals may get it: what could move the cursor, set the title or turn the direction of writing is spelled
/// (`\u{1b}`). Lines, tabs and, where there are any, colours stay.
pub(crate) fn shown(text: &str, has_colours: bool) -> Cow<'_, str> {
    if !text.contains(is_command) {
        return Cow::Borrowed(text);
    }
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(place) = rest.find(is_command) {
        let (plain, command) = rest.split_at(place);
        let colour = if has_colours { colour(command) } else { 0 };
        let (kept, after) = command.split_at(colour);
        shown.extend([plain, kept]);
        let mut after = after.chars();
        if colour == 0 {
            shown.extend(after.next().iter().flat_map(|command| command.escape_unicode()));
        }
        rest = after.as_str();
    }
    shown += rest;
    Cow::Owned(shown)
}

/// A JSON text with such characters as JSON spells them (`\u001b`): it says the same. They stand in its strings alone.
pub(crate) fn shown_json(text: &str) -> String {
    let (mut shown, mut units) = (String::with_capacity(text.len()), [0; 2]);
    for c in text.chars() {
        if is_command(c) {
            shown.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// True for characters that a terminal obeys instead of showing them, but for ends of lines and tabs.
fn is_command(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && !matches!(c, '\n' | '\t'))
}

/// The length of the colour (`ESC [ 1 ; 31 m`) that a text begins with, in bytes; 0 where it begins with none.
fn colour(text: &str) -> usize {
    let parameters =
        text.strip_prefix("\x1b[").map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
    parameters.and_then(|rest| rest.strip_prefix('m')).map_or(0, |rest| text.len() - rest.len())
}

/// Writes to standard error. Where that is full or gone, nobody is left to tell, and the work goes on.
pub(crate) fn complain(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_no_commands() {
        assert_eq!(shown("γ 😀\n\tx", false), "γ 😀\n\tx");
        assert_eq!(
            shown("a\x1b]0;title\x07b\r\u{9b}2J\u{202e}", true),
            "a\\u{1b}]0;title\\u{7}b\\u{d}\\u{9b}2J\\u{202e}"
        );
        assert_eq!(shown("\x1b[1;31mred\x1b[0m\x1b[2J", true), "\x1b[1;31mred\x1b[0m\\u{1b}[2J");
        assert_eq!(shown("\x1b[31mred\x1b[", false), "\\u{1b}[31mred\\u{1b}[");
    }

    #[test]
    fn json_says_what_it_said() {
        let name = "γ 😀\x7f\u{9b}2J\u{202e}";
        let shown = shown_json(&serde_json::json!({ "name": name }).to_string());
        assert_eq!(shown, r#"{"name":"γ 😀\u007f\u009b2J\u202e"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap()["name"], name);
    }
}
