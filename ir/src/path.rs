//! Paths: the terms of a contraction.
//!
//! What an operation here does to a path keeps what it computes, up to the order of a sum; [`Path::restrict`] keeps a part.

#![expect(clippy::indexing_slicing, reason = "a place beyond the axes is a bug that must show; as documented")]

use std::ops::Range;

use smallvec::{SmallVec, smallvec};

use crate::expr::Scalar;
use crate::irreps::Irreps;
use crate::ty::Type;

/// The axes of a path. A graph has many paths and most have few axes, so that these lie in the path itself.
pub type Axes = SmallVec<[Axis; 4]>;

/// The factors of a path.
pub type Factors = SmallVec<[Factor; 2]>;

/// One number an axis of a path.
pub type Strides = SmallVec<[usize; 4]>;

/// One term of a contraction: `out[…] += coefficient · factor[…] · factor[…]` for all values of the axes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    /// A constant factor.
    pub coefficient: Scalar,
    /// The axes iterated over; those that the output segment lacks are summed.
    pub axes: Axes,
    /// One or two operands' segments.
    pub factors: Factors,
    /// Where the term is added.
    pub out: Segment,
}

/// An axis of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Axis {
    /// Its letter, for people: `u` and `v` for multiplicities, `i` for components, …; unique in the path.
    pub letter: char,
    /// Its length.
    pub size: usize,
}

/// A segment of an operand.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Factor {
    /// The operand, by its place in [`Contract::operands`](crate::graph::Contract::operands).
    pub operand: usize,
    /// The segment of its row.
    pub segment: Segment,
}

/// Elements of a row: `offset + Σ stride · axis`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Segment {
    /// The first element.
    pub offset: usize,
    /// One stride an axis of the path; 0 where the segment lacks the axis.
    pub strides: Strides,
}

impl Segment {
    /// The last element, given the sizes of the axes; `None` where an axis is empty or the place overflows.
    pub fn last(&self, axes: &[Axis]) -> Option<usize> {
        self.strides
            .iter()
            .zip(axes)
            .try_fold(self.offset, |at, (stride, axis)| at.checked_add(stride.checked_mul(axis.size.checked_sub(1)?)?))
    }

    /// True where something is summed over an axis: it has more than one value, and this segment, an output's, lacks it.
    pub fn sums(&self, axes: &[Axis]) -> bool {
        self.strides.iter().zip(axes).any(|(stride, axis)| axis.size > 1 && *stride == 0)
    }

    /// Neighbours from an element on, over one axis.
    pub fn run(offset: usize) -> Segment {
        Segment { offset, strides: smallvec![1] }
    }

    /// The elements from the first to the last, whether touched or not; empty where an axis is.
    pub fn hull(&self, axes: &[Axis]) -> Range<usize> {
        self.last(axes).map_or(self.offset..self.offset, |last| self.offset..last.saturating_add(1))
    }
}

impl Path {
    /// The product, element by element, of `length` neighbours each: factors are an operand and its first element.
    pub fn run(length: usize, factors: impl IntoIterator<Item = (usize, usize)>, out: usize) -> Path {
        let factor = |(operand, offset)| Factor { operand, segment: Segment::run(offset) };
        Path {
            coefficient: Scalar(1.0),
            axes: smallvec![Axis { letter: 'v', size: length }],
            factors: factors.into_iter().map(factor).collect(),
            out: Segment::run(out),
        }
    }

    /// All segments: the output's, then the factors'.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        std::iter::once(&self.out).chain(self.factors.iter().map(|f| &f.segment))
    }

    /// All segments, to be changed, in the order of [`Path::segments`].
    pub fn segments_mut(&mut self) -> impl Iterator<Item = &mut Segment> {
        std::iter::once(&mut self.out).chain(self.factors.iter_mut().map(|f| &mut f.segment))
    }

    /// Keeps the values `range` of an axis.
    ///
    /// # Panics
    /// Where the path has no such axis.
    pub fn restrict(&mut self, axis: usize, range: Range<usize>) {
        self.axes[axis].size = range.len();
        self.segments_mut()
            .for_each(|s| s.offset = s.strides[axis].saturating_mul(range.start).saturating_add(s.offset));
    }

    /// Cuts an axis into an outer one, at its place, and an inner one of size `inner` right behind it, which must divide
    /// its size.
    ///
    /// # Panics
    /// Where the path has no such axis, or `inner` is 0.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "an axis that is cut steps no further than before; the divisor is in # Panics"
    )]
    pub fn tile(&mut self, axis: usize, inner: usize) {
        let letter = self.free_letter();
        self.axes[axis].size /= inner;
        self.axes.insert(axis + 1, Axis { letter, size: inner });
        for segment in self.segments_mut() {
            let stride = segment.strides[axis];
            segment.strides[axis] = stride * inner;
            segment.strides.insert(axis + 1, stride);
        }
    }

    /// Drops an axis, of which the first value stays.
    ///
    /// # Panics
    /// Where the path has no such axis.
    pub fn remove_axis(&mut self, axis: usize) {
        self.axes.remove(axis);
        for segment in self.segments_mut() {
            segment.strides.remove(axis);
        }
    }

    /// Merges axes that are contiguous in all segments: `[u, i] = [ui]`. True where there were such.
    pub fn merge_axes(&mut self) -> bool {
        let before = self.axes.len();
        while let Some((outer, inner)) = self.contiguous_axes() {
            self.axes[inner].size = self.axes[inner].size.saturating_mul(self.axes[outer].size);
            self.remove_axis(outer);
        }
        self.axes.len() != before
    }

    /// An outer and an inner axis that are contiguous in all segments.
    fn contiguous_axes(&self) -> Option<(usize, usize)> {
        let pairs = (0..self.axes.len()).flat_map(|outer| (0..self.axes.len()).map(move |inner| (outer, inner)));
        pairs.filter(|(outer, inner)| outer != inner).find(|&(outer, inner)| {
            let step = self.axes[inner].size;
            self.segments().all(|s| s.strides[inner].checked_mul(step) == Some(s.strides[outer]))
        })
    }

    /// The last letter of the alphabet that no axis has.
    fn free_letter(&self) -> char {
        ('a'..='z').rev().find(|letter| self.axes.iter().all(|axis| axis.letter != *letter)).unwrap_or('?')
    }
}

/// True where no path writes into a chunk that `ty` says is zero. What lies between the first and the last element of a
/// path counts as written; an empty chunk there holds nothing.
pub fn keep_zeros(paths: &[Path], ty: &Type) -> bool {
    if !ty.zero.contains(&true) {
        return true;
    }
    let unwritten = unwritten(paths, &ty.irreps);
    let mut chunks = ty.irreps.iter().zip(&ty.zero).zip(unwritten);
    chunks.all(|((chunk, zero), unwritten)| !zero || unwritten || chunk.dim() == 0)
}

/// One flag a chunk of `irreps`: true where no path writes into it.
#[expect(clippy::arithmetic_side_effects, reason = "counts of chunks and paths, which are in memory")]
pub fn unwritten(paths: &[Path], irreps: &Irreps) -> Vec<bool> {
    let starts = irreps.offsets();
    let ends: Vec<usize> = irreps.iter().zip(&starts).map(|(c, at)| at.saturating_add(c.dim())).collect();
    // Every path touches the chunks of a range: +1 where ranges begin, −1 behind where they end.
    let mut changes = vec![0i64; irreps.len() + 1];
    for path in paths {
        let Some(last) = path.out.last(&path.axes) else { continue };
        let first_chunk = ends.partition_point(|end| *end <= path.out.offset);
        let behind = starts.partition_point(|start| *start <= last);
        for (chunk, change) in [(first_chunk, 1), (behind, -1)] {
            if let Some(changes) = changes.get_mut(chunk).filter(|_| first_chunk < behind) {
                *changes += change;
            }
        }
    }
    let touched = changes.iter().scan(0, |count, change| {
        *count += change;
        Some(*count == 0)
    });
    touched.take(irreps.len()).collect()
}
