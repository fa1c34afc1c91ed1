//! Copies that exchange two axes: between `[mul, 2l+1]` and `[2l+1, mul]`, and of whole matrices.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use schur_ir::micro::Transpose;

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

/// Copies a row of `D` components in vectors.
///
/// # Safety
/// As for [`Simd`]; `out` and `from` hold a row.
#[inline(always)]
pub(super) unsafe fn row<S: Simd, const D: usize>(out: *mut S::T, from: *const S::T, plan: &Plan<S::T>) {
    let Transpose { long, between, .. } = plan.transpose;
    let mut u = 0;
    // SAFETY: the caller's.
    unsafe {
        let coefficient = S::splat(plan.coefficient);
        while u < long {
            let count = S::LANES.min(long - u);
            let (part, all) = (S::first(count), S::first(S::LANES));
            let woven = |k: usize| S::first(lanes_of::<S>(count * D, k));
            let mut vectors = [S::zero(); D];
            if plan.transpose.apart {
                for k in 0..D {
                    let mask = if count == S::LANES { all } else { woven(k) };
                    vectors[k] = S::multiply(S::load_first(from.wrapping_add(u * D + k * S::LANES), mask), coefficient);
                }
                let components = unweave::<S, D>(&vectors);
                for i in 0..D {
                    S::store_first(out.add(i * between + u), components[i], part);
                }
            } else {
                for i in 0..D {
                    vectors[i] = S::multiply(S::load_first(from.add(i * between + u), part), coefficient);
                }
                let vectors = weave::<S, D>(&vectors);
                for k in (0..D).take_while(|k| k * S::LANES < count * D) {
                    let mask = if count == S::LANES { all } else { woven(k) };
                    S::store_first(out.add(u * D + k * S::LANES), vectors[k], mask);
                }
            }
            u += count;
        }
    }
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
            let from = from.add(k * from_row);
            let row = if IS_WHOLE { S::load(from) } else { S::load_first(from, S::first(width)) };
            square[k] = S::multiply(row, coefficient);
        }
        transpose_square::<S, L>(&mut square);
        for k in 0..width {
            let out = out.add(k * out_row);
            if IS_WHOLE { S::store(out, square[k]) } else { S::store_first(out, square[k], S::first(height)) }
        }
    }
}
