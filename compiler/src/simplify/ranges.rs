//! Sets of elements of a row, as sorted ranges that do not touch.

#![expect(clippy::indexing_slicing, reason = "places are of the lists' own runs")]

use std::ops::Range;

use schur_ir::graph::{Axis, Segment};

/// A set of elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    runs: Vec<Range<usize>>,
    /// For every run, the elements of those before it.
    before: Vec<usize>,
}

/// The most ranges that one segment is taken apart into.
const MAX_PARTS: usize = 1024;

impl Ranges {
    /// The elements below `width`.
    pub(super) fn all(width: usize) -> Self {
        let mut all = Ranges::default();
        all.insert(0..width);
        all
    }

    /// The ranges, sorted.
    pub(super) fn runs(&self) -> &[Range<usize>] {
        &self.runs
    }

    /// The ranges that reach into another one, or lie around it, in order.
    pub(super) fn around(&self, range: &Range<usize>) -> impl Iterator<Item = &Range<usize>> {
        let (first, end) = (self.runs.partition_point(|r| r.end <= range.start), range.end);
        self.runs[first..].iter().take_while(move |r| r.start < end)
    }

    /// Adds elements.
    pub(super) fn insert(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let first = self.runs.partition_point(|r| r.end < range.start);
        let behind = self.runs.partition_point(|r| r.start <= range.end);
        let touched = &self.runs[first..behind];
        let start = touched.first().map_or(range.start, |r| r.start.min(range.start));
        let end = touched.last().map_or(range.end, |r| r.end.max(range.end));
        self.runs.splice(first..behind, std::iter::once(start..end));
        self.before.truncate(first);
        for k in first..self.runs.len() {
            let before = k.checked_sub(1).map_or(0, |k| self.before[k] + self.runs[k].len());
            self.before.push(before);
        }
    }

    /// Adds the elements of a segment; adds none, and is false, where they lie in too many ranges.
    #[must_use]
    pub(super) fn insert_segment(&mut self, segment: &Segment, axes: &[Axis]) -> bool {
        if axes.iter().any(|axis| axis.size == 0) {
            return true;
        }
        let moving = segment.strides.iter().zip(axes).filter(|(stride, axis)| **stride > 0 && axis.size > 1);
        let mut moving: Vec<(usize, usize)> = moving.map(|(stride, axis)| (*stride, axis.size)).collect();
        moving.sort_unstable();
        let (mut starts, mut length) = (vec![segment.offset], 1);
        for (stride, size) in moving {
            if stride <= length {
                length += stride * (size - 1);
            } else if starts.len().saturating_mul(size) > MAX_PARTS {
                return false;
            } else {
                starts = starts.into_iter().flat_map(|start| (0..size).map(move |k| start + k * stride)).collect();
            }
        }
        starts.into_iter().for_each(|start| self.insert(start..start + length));
        true
    }

    /// Adds all elements of another set.
    pub(super) fn extend(&mut self, other: &Ranges) {
        other.runs.iter().for_each(|r| self.insert(r.clone()));
    }

    /// True where an element is in the set.
    pub(super) fn meets(&self, range: &Range<usize>) -> bool {
        self.around(range).next().is_some()
    }

    /// True where all elements are in the set.
    pub(super) fn covers(&self, range: &Range<usize>) -> bool {
        range.is_empty() || self.around(range).any(|r| r.start <= range.start && range.end <= r.end)
    }

    /// The number of elements.
    pub(super) fn count(&self) -> usize {
        self.runs.last().zip(self.before.last()).map_or(0, |(last, before)| before + last.len())
    }

    /// The place of an element of the set when the set alone is stored.
    pub(super) fn place(&self, element: usize) -> usize {
        let Some(k) = self.runs.partition_point(|r| r.start <= element).checked_sub(1) else { return 0 };
        self.before[k] + self.runs[k].end.min(element) - self.runs[k].start
    }
}
