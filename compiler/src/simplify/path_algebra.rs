//! Algebra of single paths: the canonical form, and joining neighbours.
//!
//! Every operation keeps what a path computes, up to the order of a sum.

#![expect(clippy::indexing_slicing, reason = "places are of a verified op, and of lists made for it")]

use std::cmp::{Ordering, Reverse};

use schur_ir::expr::Scalar;
use schur_ir::graph::{Axis, Factor, Path, Segment};
use schur_ir::ty::DType;

use super::neighbours::extent;

/// True where a path adds nothing: an empty axis, or coefficient zero.
pub(super) fn is_void(path: &Path) -> bool {
    path.coefficient.0 == 0.0 || path.axes.iter().any(|a| a.size == 0)
}

/// Drops axes of size one.
pub(super) fn drop_unit_axes(path: &mut Path) -> bool {
    let before = path.axes.len();
    while let Some(axis) = path.axes.iter().position(|a| a.size == 1) {
        path.remove_axis(axis);
    }
    path.axes.len() != before
}

/// True where a path writes `width` neighbours, each once, from wherever it begins.
pub(super) fn is_run(path: &Path, width: usize) -> bool {
    match path.axes.as_slice() {
        [] => width == 1,
        [axis] => axis.size == width && path.out.strides[..] == [1],
        [..] => false,
    }
}

/// Replaces an axis that no segment has by its size: `Σ_u c x = n c x`, where `n c` is a number of the type.
pub(super) fn sum_free_axes(path: &mut Path, dtype: DType) -> bool {
    let mut changed = false;
    while let Some(axis) = (0..path.axes.len()).find(|&k| path.segments().all(|s| s.strides[k] == 0)) {
        let coefficient = path.coefficient.0 * path.axes[axis].size as f64;
        if !dtype.holds(coefficient) {
            break;
        }
        path.coefficient = Scalar(coefficient);
        path.remove_axis(axis);
        changed = true;
    }
    changed
}

/// Sorts factors by operand and place, and axes by their strides in the output (large first, summed ones last), then in
/// the factors; and gives the axes letters by their place.
pub(super) fn sort_path(path: &mut Path) -> bool {
    if is_sorted(path) {
        return false;
    }
    path.factors.sort_by(factor_order);
    let mut order: Vec<usize> = (0..path.axes.len()).collect();
    order.sort_by_key(|&k| axis_key(path, k));
    path.axes = order.iter().map(|&k| path.axes[k]).collect();
    for segment in path.segments_mut() {
        segment.strides = order.iter().map(|&k| segment.strides[k]).collect();
    }
    for k in 0..path.axes.len() {
        path.axes[k].letter = letter(path, k);
    }
    true
}

fn is_sorted(path: &Path) -> bool {
    path.factors.is_sorted_by(|a, b| factor_order(a, b).is_le())
        && (0..path.axes.len()).is_sorted_by_key(|k| axis_key(path, k))
        && (0..path.axes.len()).all(|k| path.axes[k].letter == letter(path, k))
}

/// Independent of the order of the axes, which depends on the order of the factors.
fn factor_order(a: &Factor, b: &Factor) -> Ordering {
    let sorted = |factor: &Factor| {
        let mut strides = factor.segment.strides.clone();
        strides.sort_unstable();
        strides
    };
    let place = |factor: &Factor| (factor.operand, factor.segment.offset);
    place(a).cmp(&place(b)).then_with(|| sorted(a).cmp(&sorted(b)))
}

fn axis_key(path: &Path, axis: usize) -> ([Reverse<usize>; 3], usize) {
    let mut strides = [Reverse(0); 3];
    path.segments().zip(&mut strides).for_each(|(s, at)| *at = Reverse(s.strides[axis]));
    (strides, path.axes[axis].size)
}

/// `v i j k …` for axes of the output, `u w x …` for summed ones.
fn letter(path: &Path, axis: usize) -> char {
    const KEPT: &[u8] = b"vijklmnopq";
    const SUMMED: &[u8] = b"uwxyzabcdefgh";
    let kept = path.out.strides.iter().filter(|s| **s > 0).count();
    let (from, at) = if path.out.strides[axis] > 0 { (KEPT, axis) } else { (SUMMED, axis - kept) };
    match from.get(at) {
        Some(byte) => char::from(*byte),
        None => char::from_u32(if from == KEPT { 0x3b1 } else { 0x430 } + at as u32).unwrap_or('?'),
    }
}

/// `a` and `b` as one path, where they are equal but for a step along one axis that leads from the end of one to the
/// start of the other in every segment. Both are canonical.
pub(super) fn join(a: &Path, b: &Path) -> Option<Path> {
    if a.coefficient != b.coefficient || a.factors.len() != b.factors.len() {
        return None;
    }
    if a.axes.len().abs_diff(b.axes.len()) > 1 || a.factors.iter().zip(&b.factors).any(|(x, y)| x.operand != y.operand)
    {
        return None;
    }
    let after = a.segments().zip(b.segments()).all(|(x, y)| x.offset <= y.offset);
    let before = a.segments().zip(b.segments()).all(|(x, y)| x.offset >= y.offset);
    match (after, before) {
        (true, false) => join_ordered(a, b),
        (false, true) => join_ordered(b, a),
        (true, true) | (false, false) => None,
    }
}

fn join_ordered(a: &Path, b: &Path) -> Option<Path> {
    let step = || a.segments().zip(b.segments()).map(|(x, y)| y.offset - x.offset);
    let leads = |path: &Path, k: usize, n: usize| path.segments().zip(step()).all(|(s, d)| s.strides[k] * n == d);
    // Most pairs of paths lie apart, which is told faster than whether they are alike.
    for k in (0..a.axes.len()).filter(|&k| leads(a, k, a.axes[k].size)) {
        let more = if same_axes(a, b, Some(k), Some(k)) {
            b.axes[k].size
        } else if same_axes(a, b, Some(k), None) {
            1
        } else {
            continue;
        };
        let mut joined = a.clone();
        joined.axes[k].size += more;
        return Some(joined);
    }
    if let Some(k) = (0..b.axes.len()).find(|&k| leads(b, k, 1) && same_axes(a, b, None, Some(k))) {
        let mut joined = b.clone();
        joined.axes[k].size += 1;
        joined.segments_mut().zip(a.segments()).for_each(|(s, first)| s.offset = first.offset);
        return Some(joined);
    }
    let follow = a.segments().zip(step()).all(|(s, d)| d == 0 || follows(a, s, d));
    (follow && same_axes(a, b, None, None)).then(|| {
        let mut joined = a.clone();
        joined.axes.push(Axis { letter: '?', size: 2 });
        joined.segments_mut().zip(step()).for_each(|(s, d)| s.strides.push(d));
        joined
    })
}

/// True where `a` without axis `skip_a` and `b` without axis `skip_b` have the same axes and strides; where both are
/// left out, these have the same strides too.
fn same_axes(a: &Path, b: &Path, skip_a: Option<usize>, skip_b: Option<usize>) -> bool {
    if a.axes.len() - usize::from(skip_a.is_some()) != b.axes.len().wrapping_sub(usize::from(skip_b.is_some())) {
        return false;
    }
    let strides = |x: usize, y: usize| a.segments().zip(b.segments()).all(|(s, t)| s.strides[x] == t.strides[y]);
    let rest_a = (0..a.axes.len()).filter(|k| Some(*k) != skip_a);
    let rest_b = (0..b.axes.len()).filter(|k| Some(*k) != skip_b);
    rest_a.zip(rest_b).all(|(x, y)| a.axes[x].size == b.axes[y].size && strides(x, y))
        && skip_a.zip(skip_b).is_none_or(|(x, y)| strides(x, y))
}

/// True where a step of `by` leads right behind the segment; any step does behind a single element.
fn follows(path: &Path, segment: &Segment, by: usize) -> bool {
    let extent = extent(path, segment);
    extent == 0 || extent == by
}
