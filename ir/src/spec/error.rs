//! What is wrong with a spec, for people: each problem points at its place in the file and says what to do.

use std::fmt;
use std::ops::Range;

use miette::{Diagnostic, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use super::Source;

/// One thing that is wrong with a spec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// What stands beside the marked text; may be empty.
    pub label: String,
    /// The byte range of the marked text.
    pub span: Range<usize>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// A problem at `span`.
    pub fn new(message: impl Into<String>, label: impl Into<String>, span: Range<usize>) -> Self {
        Problem { message: shortened(message.into()), label: shortened(label.into()), span, help: None }
    }

    /// The same with advice.
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Problem { help: Some(shortened(help.into())), ..self }
    }

    /// The same with its range inside `text`, on character boundaries, on one line and of at most [`MAX_LINE`] bytes.
    fn clip(self, text: &str) -> Self {
        let start = text.floor_char_boundary(self.span.start);
        let end = text.ceil_char_boundary(self.span.end.clamp(start, start + MAX_LINE));
        let line = text[start..end].find(['\n', '\r']).map_or(end, |length| start + length);
        Problem { span: start..line, ..self }
    }
}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display + 'a>)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = (!self.label.is_empty()).then(|| self.label.clone());
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(label, self.span.clone()))))
    }
}

/// How many problems of a spec are kept: hundreds tend to follow from one.
pub(super) const MAX_PROBLEMS: usize = 100;

/// All that is wrong with a spec, up to a hundred problems.
///
/// As a [`Diagnostic`], one problem stands for itself and several are related to a heading that counts them.
#[derive(Clone)]
pub struct SpecError {
    source: Excerpts,
    problems: Vec<Problem>,
}

impl SpecError {
    /// The error that consists of `problems` in `source`. Ranges of several lines are cut to the first; where the spec
    /// was built in Rust, messages name the call behind the place.
    pub fn new(source: &Source, problems: Vec<Problem>) -> Self {
        let traced = |problem: Problem| match source.origin(problem.span.start) {
            Some(call) => Problem { message: format!("{} ({call})", problem.message), ..problem },
            None => problem,
        };
        let problems = problems.into_iter().take(MAX_PROBLEMS);
        let problems = problems.map(|problem| traced(problem.clip(source.text()))).collect();
        SpecError { source: Excerpts(source.clone()), problems }
    }

    /// The problems, in the order in which they are shown.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn single(&self) -> Option<&Problem> {
        match self.problems.as_slice() {
            [problem] => Some(problem),
            [] | [_, _, ..] => None,
        }
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.single() {
            Some(problem) => write!(f, "{problem}"),
            None if self.problems.len() < MAX_PROBLEMS => {
                write!(f, "{} has {} problems", self.source.0.name(), self.problems.len())
            }
            None => write!(f, "{} has {MAX_PROBLEMS} problems or more", self.source.0.name()),
        }
    }
}

/// What `unwrap` and a `main` that fails print: every problem, with its place.
impl fmt::Debug for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.source.0.text();
        for problem in &self.problems {
            let line_start = text[..problem.span.start].rfind('\n').map_or(0, |newline| newline + 1);
            let line = text[..line_start].matches('\n').count() + 1;
            let column = text[line_start..problem.span.start].chars().count() + 1;
            write!(f, "\n{}:{line}:{column}: {problem}", self.source.0.name())?;
            if let Some(help) = &problem.help {
                write!(f, "; {help}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for SpecError {}

impl Diagnostic for SpecError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.single()?.help()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.single()?.labels()
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        match self.single() {
            Some(_) => None,
            None => Some(Box::new(self.problems.iter().map(|problem| problem as &dyn Diagnostic))),
        }
    }
}

/// A text with its middle left out where it is longer than [`MAX_LINE`].
fn shortened(text: String) -> String {
    if text.len() <= MAX_LINE {
        return text;
    }
    let (start, end) = (text.floor_char_boundary(MAX_LINE / 2), text.ceil_char_boundary(text.len() - MAX_LINE / 2));
    format!("{} … {}", &text[..start], &text[end..])
}

/// Lines longer than this are shown in part.
const MAX_LINE: usize = 1000;

/// A source as diagnostics show it: of long lines, the marked place and a little around it.
#[derive(Clone, Debug)]
struct Excerpts(Source);

impl SourceCode for Excerpts {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        const AROUND: usize = 40;
        let text = self.0.text();
        let shown = text.read_span(span, lines_before, lines_after)?;
        let name = self.0.name().to_string();
        if shown.data().split(|&byte| byte == b'\n').all(|line| line.len() <= MAX_LINE) {
            let (place, line, column, count) = (*shown.span(), shown.line(), shown.column(), shown.line_count());
            return Ok(Box::new(MietteSpanContents::new_named(name, shown.data(), place, line, column, count)));
        }
        let (start, end) = (span.offset(), span.offset() + span.len());
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[end..].find(['\n', '\r']).map_or(text.len(), |length| end + length);
        let from = text.floor_char_boundary(start.saturating_sub(AROUND).max(line_start));
        let to = text.ceil_char_boundary((end + AROUND).min(line_end));
        let line = text[..start].matches('\n').count();
        let place = SourceSpan::from(from..to);
        Ok(Box::new(MietteSpanContents::new_named(
            name,
            text.as_bytes().get(from..to).unwrap_or_default(),
            place,
            line,
            from - line_start,
            1,
        )))
    }
}
