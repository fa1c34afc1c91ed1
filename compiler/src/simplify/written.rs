//! Which paths of a contraction write where: an index by the elements of a row.

#![expect(clippy::indexing_slicing, reason = "places are of a list made for it")]

use std::ops::Range;

use schur_ir::graph::Path;

/// The paths of a contraction by where they write.
pub(super) struct Written<'c> {
    paths: &'c [Path],
    /// The elements from the first to the last that a path writes, sorted, the end of all up to there, and the path.
    spans: Vec<(Range<usize>, usize, usize)>,
}

impl<'c> Written<'c> {
    /// The index of the paths of a contraction.
    pub(super) fn new(paths: &'c [Path]) -> Self {
        let spans = paths.iter().enumerate().map(|(k, path)| (path.out.hull(&path.axes), 0, k));
        let mut spans: Vec<_> = spans.filter(|(span, ..)| !span.is_empty()).collect();
        spans.sort_by_key(|(span, _, k)| (span.start, *k));
        let mut end = 0;
        for span in &mut spans {
            end = end.max(span.0.end);
            span.1 = end;
        }
        Written { paths, spans }
    }

    /// The paths that may write an element of a range, in their order.
    pub(super) fn meeting(&self, range: &Range<usize>) -> impl Iterator<Item = &'c Path> + use<'c> {
        let first = self.spans.partition_point(|(_, end, _)| *end <= range.start);
        let spans = self.spans[first..].iter().take_while(|(span, ..)| span.start < range.end);
        let mut found: Vec<usize> = spans.filter(|(span, ..)| range.start < span.end).map(|(.., k)| *k).collect();
        found.sort_unstable();
        let paths = self.paths;
        found.into_iter().map(move |k| &paths[k])
    }
}
