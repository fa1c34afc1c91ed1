//! What is wrong with a spec, for people: each problem points at its place in the file and says what to do.

use std::fmt;
use std::ops::Range;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

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
        Problem { message: message.into(), label: label.into(), span, help: None }
    }

    /// The same with advice.
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Problem { help: Some(help.into()), ..self }
    }

    /// The same with its range inside `text`, on character boundaries and on one line.
    fn clip(self, text: &str) -> Self {
        let start = text.floor_char_boundary(self.span.start.min(text.len()));
        let end = text.ceil_char_boundary(self.span.end.clamp(start, text.len()));
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

/// All that is wrong with a spec.
///
/// As a [`Diagnostic`], one problem stands for itself and several are related to a heading that counts them.
#[derive(Clone, Debug)]
pub struct SpecError {
    source: NamedSource<String>,
    problems: Vec<Problem>,
}

impl SpecError {
    /// The error that consists of `problems` in `source`.
    pub fn new(source: &Source, problems: Vec<Problem>) -> Self {
        let problems = problems.into_iter().map(|problem| problem.clip(source.text())).collect();
        SpecError { source: NamedSource::new(source.name(), source.text().to_string()), problems }
    }

    /// The problems, in the order of the file.
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
            None => write!(f, "{} has {} problems", self.source.name(), self.problems.len()),
        }
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
