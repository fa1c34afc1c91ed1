//! Copies that exchange two axes: between `[mul, 2l+1]` and `[2l+1, mul]`, and of whole matrices.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use std::ops::Range;

use schur_ir::micro::Transpose;

use super::deal::{deal, riffle};
use super::permutation::{Permutation, transpose_square};
use super::simd::{MOST_LANES, Simd, lanes_of};
use super::weave::{unweave, weave};

/// A transposing copy, ready to be called.
pub(super) struct Plan<T: 'static> {
    pub(super) transpose: Transpose,
    pub(super) coefficient: T,
    /// The copy of rows.
    copy: RowsFn<T>,
    /// For a row of few vectors: how each is made of all.
    permutation: Permutation,
}

/// `out` and `from`.
pub(super) type Arrays<T> = (*mut T, *const T);

/// Copies so many rows.
pub(super) type RowsFn<T> = unsafe fn(Arrays<T>, &Plan<T>, usize);

impl<T> Plan<T> {
    /// A copy by the functions of an instruction set with so many lanes.
    pub(super) fn new(transpose: &Transpose, coefficient: T, lanes: usize, copy: RowsFn<T>) -> Self {
        let Transpose { short, long, apart, .. } = *transpose;
        let from = |to: usize| if apart { to % long * short + to / long } else { to % short * long + to / short };
        let permutation =
            if is_few(transpose, lanes) { Permutation::new(short * long, lanes, from) } else { Permutation::default() };
        Plan { transpose: transpose.clone(), coefficient, copy, permutation }
    }

    /// Copies all rows.
    ///
    /// # Safety
    /// As [`schur_ir::micro::MicroFn`] says, on a machine with the instruction set of the copy.
    pub(super) unsafe fn run(&self, [out, from]: [*mut T; 2], rows: usize) {
        // SAFETY: the caller's.
        unsafe { (self.copy)((out, from), self, rows) }
    }

    /// Copies row by row.
    #[inline(always)]
    pub(super) fn each(&self, (mut out, mut from): Arrays<T>, rows: usize, copy: impl Fn(*mut T, *const T)) {
        let [out_row, from_row] = self.transpose.rows;
        for _ in 0..rows {
            copy(out, from);
            (out, from) = (out.wrapping_add(out_row), from.wrapping_add(from_row));
        }
    }
}

/// The most vectors of a row that is permuted as a whole.
pub(super) const FEW: usize = 4;

/// True where a row has few vectors, without gaps.
pub(super) fn is_few(transpose: &Transpose, lanes: usize) -> bool {
    let Transpose { short, long, between, .. } = *transpose;
    short * long <= FEW * lanes && lanes <= MOST_LANES && between == long
}

/// Copies a row of `N` vectors.
///
/// # Safety
/// As for [`Simd`]; `out` and `from` hold a row, and the plan was made for this number of lanes.
#[inline(always)]
pub(super) unsafe fn few<S: Simd, const N: usize>(out: *mut S::T, from: *const S::T, plan: &Plan<S::T>) {
    let last = plan.transpose.short * plan.transpose.long - (N - 1) * S::LANES;
    // SAFETY: the caller's.
    unsafe {
        let (coefficient, mask) = (S::splat(plan.coefficient), S::first(last));
        let mut vectors = [S::zero(); N];
        for k in 0..N {
            let at = from.add(k * S::LANES);
            vectors[k] = S::multiply(if k + 1 < N { S::load(at) } else { S::load_first(at, mask) }, coefficient);
        }
        for k in 0..N {
            let (to, v) = (out.add(k * S::LANES), plan.permutation.vector::<S, N>(&vectors, k));
            if k + 1 < N { S::store(to, v) } else { S::store_first(to, v, mask) }
        }
    }
}

/// Copies a row of `D` components in whole vectors, where there are as many groups as lanes. The last ones begin before those in front of
/// them end.
///
/// # Safety
/// As for [`Simd`]; `out` and `from` hold a row, and share no element.
#[inline(always)]
pub(super) unsafe fn row<S: Simd, const D: usize>(out: *mut S::T, from: *const S::T, plan: &Plan<S::T>) {
    let long = plan.transpose.long;
    // SAFETY: the caller's.
    unsafe {
        if long < S::LANES {
            return groups::<S, D, false>((out, from), plan, 0..long);
        }
        for first in (0..long).step_by(S::LANES) {
            let first = first.min(long - S::LANES);
            groups::<S, D, true>((out, from), plan, first..first + S::LANES);
        }
    }
}

/// Copies some groups of `D` neighbours: as many as lanes if they are whole, or else at most so many.
///
/// # Safety
/// As for [`row`].
#[inline(always)]
unsafe fn groups<S: Simd, const D: usize, const IS_WHOLE: bool>(
    (out, from): Arrays<S::T>,
    plan: &Plan<S::T>,
    groups: Range<usize>,
) {
    let Transpose { apart, between, .. } = plan.transpose;
    let of_groups = |k: usize| (groups.start * D + k * S::LANES, lanes_of::<S>(groups.len() * D, k));
    let of_component = |i: usize| (i * between + groups.start, groups.len());
    // SAFETY: the caller's.
    unsafe {
        let coefficient = S::splat(plan.coefficient);
        let mut vectors = [S::zero(); D];
        for k in 0..D {
            let (at, count) = if apart { of_groups(k) } else { of_component(k) };
            vectors[k] = S::multiply(load::<S, IS_WHOLE>(from.wrapping_add(at), count), coefficient);
        }
        let vectors = if apart { components::<S, D>(&vectors) } else { neighbours::<S, D>(&vectors) };
        for k in 0..D {
            let (at, count) = if apart { of_component(k) } else { of_groups(k) };
            store::<S, IS_WHOLE>(out.wrapping_add(at), vectors[k], count);
        }
    }
}

/// The components of groups of `D` neighbours.
#[inline(always)]
unsafe fn components<S: Simd, const D: usize>(groups: &[S::V; D]) -> [S::V; D] {
    // SAFETY: the caller's.
    unsafe { if D.is_multiple_of(2) { deal::<S, D>(groups) } else { unweave::<S, D>(groups) } }
}

/// The groups of neighbours of `D` components.
#[inline(always)]
unsafe fn neighbours<S: Simd, const D: usize>(components: &[S::V; D]) -> [S::V; D] {
    // SAFETY: the caller's.
    unsafe { if D.is_multiple_of(2) { riffle::<S, D>(components) } else { weave::<S, D>(components) } }
}

/// The first `count` lanes, which are all if the vector is whole.
#[inline(always)]
unsafe fn load<S: Simd, const IS_WHOLE: bool>(from: *const S::T, count: usize) -> S::V {
    // SAFETY: the caller's.
    unsafe { if IS_WHOLE { S::load(from) } else { S::load_first(from, S::first(count)) } }
}

/// The first `count` lanes, which are all if the vector is whole.
#[inline(always)]
unsafe fn store<S: Simd, const IS_WHOLE: bool>(to: *mut S::T, v: S::V, count: usize) {
    // SAFETY: the caller's.
    unsafe { if IS_WHOLE { S::store(to, v) } else { S::store_first(to, v, S::first(count)) } }
}

/// Copies a matrix in squares of vectors.
///
/// # Safety
/// As for [`Simd`], whose number of lanes is `L`; `out` and `from` hold a row.
#[inline(always)]
pub(super) unsafe fn matrix<S: Simd, const L: usize>(out: *mut S::T, from: *const S::T, plan: &Plan<S::T>) {
    let Transpose { short, long, apart, between, .. } = plan.transpose;
    let (rows, columns) = if apart { (long, short) } else { (short, long) };
    let strides = if apart { [between, short] } else { [short, between] };
    // SAFETY: the caller's.
    unsafe {
        let coefficient = S::splat(plan.coefficient);
        for v in (0..columns).step_by(L) {
            for u in (0..rows).step_by(L) {
                let arrays = (out.add(v * strides[0] + u), from.add(u * strides[1] + v));
                match [L.min(rows - u), L.min(columns - v)] {
                    part if part == [L; 2] => square::<S, L, true>(arrays, strides, coefficient, part),
                    part => square::<S, L, false>(arrays, strides, coefficient, part),
                }
            }
        }
    }
}

/// Copies the first `width` elements of the first `height` vectors of a square, at these strides in `out` and `from`; if it is whole, these
/// are `L`, and are not asked.
#[inline(always)]
unsafe fn square<S: Simd, const L: usize, const IS_WHOLE: bool>(
    (out, from): Arrays<S::T>,
    [out_row, from_row]: [usize; 2],
    coefficient: S::V,
    [height, width]: [usize; 2],
) {
    let [height, width] = if IS_WHOLE { [L; 2] } else { [height, width] };
    // SAFETY: the caller's.
    unsafe {
        let mut square = [S::zero(); L];
        for k in 0..height {
            square[k] = S::multiply(load::<S, IS_WHOLE>(from.add(k * from_row), width), coefficient);
        }
        transpose_square::<S, L>(&mut square);
        for k in 0..width {
            store::<S, IS_WHOLE>(out.add(k * out_row), square[k], height);
        }
    }
}
