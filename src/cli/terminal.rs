//! What people see: tables, numbers, notes and progress.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::failure::Failure;
use super::shown::{complain, shown, shown_json};

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
        self.print(&shown_json(&format!("{value:#}")))
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

/// `1 array`, `12,345 arrays`.
pub(crate) fn counted(n: usize, what: &str) -> String {
    format!("{} {what}{}", count(n), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([0, 1, 1000].map(|n| counted(n, "row")), ["0 rows", "1 row", "1,000 rows"]);
        assert_eq!([0, 999, 1000, 1234567].map(count), ["0", "999", "1,000", "1,234,567"]);
        let durations = [0.0000012, 0.00123, 0.0456, 0.999, 12.345].map(|s| duration(Duration::from_secs_f64(s)));
        assert_eq!(durations, ["1.20 us", "1.23 ms", "45.6 ms", "999 ms", "12.3 s"]);
    }
}
