//! Sets of elements of a row, as sorted ranges that do not touch.

use std::ops::Range;

use schur_ir::graph::{Axis, Segment};

/// A set of elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Range<usize>>);

impl Ranges {
    /// The elements below `width`.
    pub(super) fn all(width: usize) -> Self {
        let mut all = Ranges::default();
        all.insert(0..width);
        all
    }

    /// The ranges, sorted.
    pub(super) fn runs(&self) -> &[Range<usize>] {
        &self.0
    }

    /// Adds elements.
    pub(super) fn insert(&mut self, mut range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        self.0.retain(|r| {
            let apart = r.end < range.start || range.end < r.start;
            if !apart {
                range = r.start.min(range.start)..r.end.max(range.end);
            }
            apart
        });
        let at = self.0.partition_point(|r| r.start < range.start);
        self.0.insert(at, range);
    }

    /// Adds the elements of a segment.
    pub(super) fn insert_segment(&mut self, segment: &Segment, axes: &[Axis]) {
        if axes.iter().any(|axis| axis.size == 0) {
            return;
        }
        let moving = segment.strides.iter().zip(axes).filter(|(stride, axis)| **stride > 0 && axis.size > 1);
        let mut moving: Vec<(usize, usize)> = moving.map(|(stride, axis)| (*stride, axis.size)).collect();
        moving.sort_unstable();
        let (mut starts, mut length) = (vec![segment.offset], 1);
        for (stride, size) in moving {
            if stride <= length {
                length += stride * (size - 1);
            } else {
                starts = starts.into_iter().flat_map(|start| (0..size).map(move |k| start + k * stride)).collect();
            }
        }
        starts.into_iter().for_each(|start| self.insert(start..start + length));
    }

    /// Adds all elements of another set.
    pub(super) fn extend(&mut self, other: &Ranges) {
        other.0.iter().for_each(|r| self.insert(r.clone()));
    }

    /// True where an element is in the set.
    pub(super) fn meets(&self, range: &Range<usize>) -> bool {
        self.0.iter().any(|r| r.start < range.end && range.start < r.end)
    }

    /// True where all elements are in the set.
    pub(super) fn covers(&self, range: &Range<usize>) -> bool {
        range.is_empty() || self.0.iter().any(|r| r.start <= range.start && range.end <= r.end)
    }

    /// The number of elements.
    pub(super) fn count(&self) -> usize {
        self.0.iter().map(ExactSizeIterator::len).sum()
    }

    /// The place of an element of the set when the set alone is stored.
    pub(super) fn place(&self, element: usize) -> usize {
        self.0.iter().take_while(|r| r.start <= element).map(|r| r.end.min(element) - r.start).sum()
    }
}
