//! Which paths of a contraction write where: an index by the elements of a row.

#![expect(clippy::indexing_slicing, reason = "places are of a list made for it")]

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use schur_ir::graph::{Contract, Op, Path};

/// An op that others are read through again and again.
pub(super) struct Indexed {
    pub(super) op: Op,
    spans: OnceLock<Arc<[Span]>>,
}

impl Indexed {
    pub(super) fn new(op: Op) -> Self {
        Indexed { op, spans: OnceLock::new() }
    }

    /// A contraction with the index of its paths, which is made once.
    pub(super) fn writer(&self) -> Option<Writer<'_>> {
        match &self.op {
            Op::Contract(contract) => {
                Some(Writer { contract, spans: self.spans.get_or_init(|| spans(&contract.paths)).clone() })
            }
            Op::Input(_) | Op::Param(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => None,
        }
    }
}

/// A contraction with its paths by where they write.
pub(super) struct Writer<'c> {
    pub(super) contract: &'c Contract,
    spans: Arc<[Span]>,
}

impl<'c> Writer<'c> {
    pub(super) fn new(contract: &'c Contract) -> Self {
        Writer { contract, spans: spans(&contract.paths) }
    }

    /// The paths that may write an element of a range, in their order.
    pub(super) fn meeting(&self, range: &Range<usize>) -> impl Iterator<Item = &'c Path> + use<'c> {
        let first = self.spans.partition_point(|span| span.end <= range.start);
        let spans = self.spans[first..].iter().take_while(|span| span.elements.start < range.end);
        let met = spans.filter(|span| range.start < span.elements.end);
        let mut found: Vec<usize> = met.map(|span| span.path).collect();
        found.sort_unstable();
        let paths = &self.contract.paths;
        found.into_iter().map(move |k| &paths[k])
    }
}

/// Where a path writes.
struct Span {
    /// From the first to the last element.
    elements: Range<usize>,
    /// The end of all spans up to this one.
    end: usize,
    path: usize,
}

/// The spans of paths, sorted.
fn spans(paths: &[Path]) -> Arc<[Span]> {
    let span = |(path, of): (usize, &Path)| Span { elements: of.out.hull(&of.axes), end: 0, path };
    let mut spans: Vec<Span> = paths.iter().enumerate().map(span).filter(|span| !span.elements.is_empty()).collect();
    spans.sort_by_key(|span| (span.elements.start, span.path));
    let mut end = 0;
    for span in &mut spans {
        end = end.max(span.elements.end);
        span.end = end;
    }
    spans.into()
}
