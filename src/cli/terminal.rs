//! What people see: tables, numbers, notes and progress. Text may hold names of files that nobody vouches for.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::failure::Failure;

/// Where results, notes and progress go.
#[derive(Debug)]
pub(crate) struct Terminal {
    quiet: bool,
}

impl Terminal {
    pub(crate) fn new(quiet: bool) -> Self {
        Terminal { quiet }
    }

    /// Prints a result.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let end = if text.ends_with('\n') { "" } else { "\n" };
        let text = shown(text, self.has_colours());
        write!(out, "{text}{end}").and_then(|()| out.flush()).map_err(Failure::Output)
    }

    /// True where results may have colours: a person sees them, and has not asked for none.
    pub(crate) fn has_colours(&self) -> bool {
        io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }

    /// Prints a result for programs.
    pub(crate) fn json(&self, value: &Value) -> Result<(), Failure> {
        self.print(&format!("{value:#}"))
    }

    /// Says what was done, unless asked to be quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            complain(&format!("{}\n", shown(text, false)));
        }
    }

    /// Shows what is going on, where a person is watching; vanishes when it is dropped.
    pub(crate) fn progress(&self, steps: usize) -> Progress {
        self.bar(steps as u64, "{spinner} [{pos}/{len}] {msg}")
    }

    /// The same with a bar, and the time that is left.
    pub(crate) fn long_progress(&self, steps: u64) -> Progress {
        self.bar(steps, "{spinner} {bar:24} {percent}% {msg}, {eta} left")
    }

    fn bar(&self, steps: u64, template: &str) -> Progress {
        let watched = !self.quiet && io::stderr().is_terminal();
        let target = if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template(template).expect("the template is well formed");
        let bar = ProgressBar::with_draw_target(Some(steps), target).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(100));
        Progress(bar)
    }
}

/// Writes to standard error. Where that is full or gone, nobody is left to tell, and the work goes on.
pub(crate) fn complain(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

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

/// A line of progress.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Begins at a later step: what was done before is not part of the estimate of the time.
    pub(crate) fn begin_at(&self, step: u64) {
        self.0.set_position(step);
        self.0.reset_eta();
    }

    /// Prints a line above the progress; where nobody is watching, as a note.
    pub(crate) fn line(&self, terminal: &Terminal, text: &str) {
        if self.0.is_hidden() { terminal.note(text) } else { self.0.println(shown(text, false)) }
    }

    /// Goes on to the next step.
    pub(crate) fn step(&self, what: impl Into<String>) {
        self.0.inc(1);
        self.0.set_message(what.into());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A table whose first `left` columns are text and whose others are numbers.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    left: usize,
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let align = |k| if k < left { CellAlignment::Left } else { CellAlignment::Right };
    let cells = |row: [String; N]| row.into_iter().enumerate().map(move |(k, c)| Cell::new(c).set_alignment(align(k)));
    table.set_header(cells(header.map(str::to_owned)));
    for row in rows {
        table.add_row(cells(row));
    }
    table.trim_fmt() + "\n"
}

/// `1.23 ms`: three digits.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let (value, unit) = match seconds {
        s if s < 1e-3 => (s * 1e6, "us"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

/// `12,345`.
pub(crate) fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (k, digit) in digits.chars().enumerate() {
        if k > 0 && (digits.len() - k).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
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
    fn numbers_are_short() {
        assert_eq!([0, 999, 1000, 1234567].map(count), ["0", "999", "1,000", "1,234,567"]);
        let durations = [0.0000012, 0.00123, 0.0456, 0.999, 12.345].map(|s| duration(Duration::from_secs_f64(s)));
        assert_eq!(durations, ["1.20 us", "1.23 ms", "45.6 ms", "999 ms", "12.3 s"]);
    }
}
