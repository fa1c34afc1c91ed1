//! Where a path reads what another one writes: the algebra behind reading through a contraction.
//!
//! Both segments are boxes of addresses `offset + Σ stride · axis`. They are cut until they are equal, axis by axis, as
//! numbers with the same mixed-radix digits are; cuts apply to whole paths, so that the pieces stay exact.

#![expect(clippy::indexing_slicing, reason = "places are of a verified op, and of lists made for it")]

use std::borrow::Cow;
use std::ops::Range;

use schur_ir::expr::Scalar;
use schur_ir::graph::{Factor, Path, Segment};
use schur_ir::path::Strides;
use smallvec::smallvec;

/// How often one pair of paths may be cut.
const MAX_CUTS: usize = 64;

/// The terms of `reader` in which its factor `factor` is what `writer` adds to its output, with that factor replaced by
/// `writer`'s factors (operands numbered from `base`). `None` where the segments do not align, or a term would get more
/// than `most` factors.
pub(super) fn meet(reader: &Path, factor: usize, writer: &Path, base: usize, most: usize) -> Option<Vec<Path>> {
    let (read, written) = (reader.factors[factor].segment.hull(&reader.axes), writer.out.hull(&writer.axes));
    if read.start >= written.end || written.start >= read.end {
        return Some(Vec::new());
    }
    if reader.factors.len() + writer.factors.len() > most + 1 {
        return None;
    }
    let mut found = Vec::new();
    let mut open = vec![Pair { reader: Cow::Borrowed(reader), writer: Cow::Borrowed(writer), factor }];
    for _ in 0..MAX_CUTS {
        let Some(mut pair) = open.pop() else { return Some(found) };
        match pair.align()? {
            Aligned::Disjoint => {}
            Aligned::Cut(side, axis, at) => open.extend(pair.cut(side, axis, at)),
            Aligned::Equal => found.push(pair.joined(base)),
        }
    }
    open.is_empty().then_some(found)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Reader,
    Writer,
}

enum Aligned {
    /// No address in common.
    Disjoint,
    /// Cut this axis of this side at this value and look again.
    Cut(Side, usize, usize),
    /// Both segments have the same offset and the same digits.
    Equal,
}

#[derive(Clone)]
struct Pair<'p> {
    reader: Cow<'p, Path>,
    writer: Cow<'p, Path>,
    factor: usize,
}

/// An axis that moves the address: its stride and its place in the path.
type Digit = (usize, usize);

impl Pair<'_> {
    fn path(&self, side: Side) -> &Path {
        match side {
            Side::Reader => &self.reader,
            Side::Writer => &self.writer,
        }
    }

    fn path_mut(&mut self, side: Side) -> &mut Path {
        match side {
            Side::Reader => self.reader.to_mut(),
            Side::Writer => self.writer.to_mut(),
        }
    }

    fn segment(&self, side: Side) -> &Segment {
        match side {
            Side::Reader => &self.reader.factors[self.factor].segment,
            Side::Writer => &self.writer.out,
        }
    }

    fn hull(&self, side: Side) -> Range<usize> {
        self.segment(side).hull(&self.path(side).axes)
    }

    /// The digits of a side, large strides first.
    fn digits(&self, side: Side) -> Vec<Digit> {
        let axes = &self.path(side).axes;
        let strides = self.segment(side).strides.iter().copied().zip(0..);
        let mut digits: Vec<Digit> = strides.filter(|&(stride, k)| stride > 0 && axes[k].size > 1).collect();
        digits.sort_by(|a, b| b.cmp(a));
        digits
    }

    fn size(&self, side: Side, axis: usize) -> usize {
        self.path(side).axes[axis].size
    }

    fn keep(&mut self, side: Side, axis: usize, range: Range<usize>) {
        if range.len() < self.size(side, axis) {
            self.path_mut(side).restrict(axis, range);
        }
    }

    fn cut(self, side: Side, axis: usize, at: usize) -> [Self; 2] {
        let size = self.size(side, axis);
        let (mut low, mut high) = (self.clone(), self);
        low.path_mut(side).restrict(axis, 0..at);
        high.path_mut(side).restrict(axis, at..size);
        [low, high]
    }

    /// Restricts both sides to what they have in common, as far as the next cut.
    fn align(&mut self) -> Option<Aligned> {
        if [Side::Reader, Side::Writer].iter().any(|s| self.path(*s).axes.iter().any(|a| a.size == 0)) {
            return Some(Aligned::Disjoint);
        }
        loop {
            let trimmed = [(Side::Reader, Side::Writer), (Side::Writer, Side::Reader)].map(|(s, o)| self.trim(s, o));
            match trimmed {
                [None, _] | [_, None] => return Some(Aligned::Disjoint),
                [Some(false), Some(false)] => break,
                [Some(_), Some(_)] => {}
            }
        }
        let mut levels: Vec<usize> =
            self.digits(Side::Reader).iter().chain(&self.digits(Side::Writer)).map(|d| d.0).collect();
        levels.sort_by(|a, b| b.cmp(a));
        levels.dedup();
        if levels.windows(2).any(|w| w[0] % w[1] != 0) {
            return None;
        }
        for side in [Side::Reader, Side::Writer] {
            if let Some(cut) = self.refine(side, &levels) {
                return Some(cut);
            }
            let digits = self.digits(side);
            if digits.windows(2).any(|w| w[0].0 == w[1].0) {
                return None;
            }
        }
        Some(self.intersect(&levels))
    }

    /// Restricts the axes of a side, largest stride first, to what lies in the other's hull. `None` where nothing does.
    fn trim(&mut self, side: Side, other: Side) -> Option<bool> {
        let bounds = self.hull(other);
        let mut changed = false;
        for (stride, axis) in self.digits(side) {
            let size = self.size(side, axis);
            let whole = self.hull(side);
            let block = whole.len() - stride * (size - 1);
            // Block t covers `start + stride·t .. start + stride·t + block`.
            let first = (bounds.start + 1).saturating_sub(whole.start + block).div_ceil(stride);
            let end = bounds.end.saturating_sub(whole.start).div_ceil(stride).min(size);
            if first >= end {
                return None;
            }
            if end - first < size {
                self.path_mut(side).restrict(axis, first..end);
                changed = true;
            }
            if end - first > 1 {
                break;
            }
        }
        let (mine, bounds) = (self.hull(side), self.hull(other));
        (mine.start < bounds.end && bounds.start < mine.end).then_some(changed)
    }

    /// Tiles the axes of a side so that none spans the next larger level; asks for a cut where that leaves a rest.
    fn refine(&mut self, side: Side, levels: &[usize]) -> Option<Aligned> {
        for pair in levels.windows(2).rev() {
            let radix = pair[0] / pair[1];
            for (_, axis) in self.digits(side).into_iter().filter(|d| d.0 == pair[1]) {
                let size = self.size(side, axis);
                if size > radix && !size.is_multiple_of(radix) {
                    return Some(Aligned::Cut(side, axis, size - size % radix));
                }
                if size > radix {
                    self.path_mut(side).tile(axis, radix);
                }
            }
        }
        None
    }

    /// Intersects the digits, counted from the lower offset; both sides have at most one axis a level.
    fn intersect(&mut self, levels: &[usize]) -> Aligned {
        let (low, high) = if self.segment(Side::Reader).offset <= self.segment(Side::Writer).offset {
            (Side::Reader, Side::Writer)
        } else {
            (Side::Writer, Side::Reader)
        };
        let mut shift = self.segment(high).offset - self.segment(low).offset;
        let axis_at = |digits: &[Digit], level: usize| digits.iter().find(|d| d.0 == level).map(|d| d.1);
        let (digits_low, digits_high) = (self.digits(low), self.digits(high));
        let mut ranges = Vec::new();
        for (k, &level) in levels.iter().enumerate() {
            let (digit, a, b) = (shift / level, axis_at(&digits_low, level), axis_at(&digits_high, level));
            shift %= level;
            let sizes = [(low, a), (high, b)].map(|(side, axis)| axis.map_or(1, |axis| self.size(side, axis)));
            if let Some((axis, radix)) = b.filter(|_| k > 0).map(|axis| (axis, levels[k - 1] / level))
                && digit + sizes[1] > radix
            {
                return Aligned::Cut(high, axis, radix - digit);
            }
            let end = sizes[0].min(digit + sizes[1]);
            if digit >= end {
                return Aligned::Disjoint;
            }
            ranges.push((a, digit..end, b, 0..end - digit));
        }
        if shift != 0 {
            return Aligned::Disjoint;
        }
        for (a, in_low, b, in_high) in ranges {
            a.into_iter().for_each(|axis| self.keep(low, axis, in_low.clone()));
            b.into_iter().for_each(|axis| self.keep(high, axis, in_high.clone()));
        }
        Aligned::Equal
    }

    /// One path: the reader's axes, then those that the writer sums over.
    fn joined(self, base: usize) -> Path {
        let digits = self.digits(Side::Reader);
        let Pair { reader, writer, factor } = self;
        let mut axes = reader.axes.clone();
        let place: Vec<usize> = (0..writer.axes.len())
            .map(|k| {
                let (stride, axis) = (writer.out.strides[k], writer.axes[k]);
                let met = digits.iter().find(|d| d.0 == stride && axis.size > 1);
                met.map_or_else(
                    || {
                        axes.push(axis);
                        axes.len() - 1
                    },
                    |d| d.1,
                )
            })
            .collect();
        let widen = |segment: &Segment| {
            let mut segment = segment.clone();
            segment.strides.resize(axes.len(), 0);
            segment
        };
        let moved = |segment: &Segment| {
            let mut strides: Strides = smallvec![0; axes.len()];
            place.iter().zip(&segment.strides).for_each(|(at, stride)| strides[*at] += stride);
            Segment { offset: segment.offset, strides }
        };
        let kept = reader.factors.iter().enumerate().filter(|(k, _)| *k != factor);
        let kept = kept.map(|(_, f)| Factor { operand: f.operand, segment: widen(&f.segment) });
        let new = writer.factors.iter().map(|f| Factor { operand: base + f.operand, segment: moved(&f.segment) });
        Path {
            coefficient: Scalar(reader.coefficient.0 * writer.coefficient.0),
            factors: kept.chain(new).collect(),
            out: widen(&reader.out),
            axes,
        }
    }
}
