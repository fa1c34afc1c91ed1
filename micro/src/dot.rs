//! Sums of neighbours for a single column: `out[r, i] (+)= c Σ_u a[r, u, i] b[u]`.
//!
//! A vector holds whole groups of components, so that each of its lanes sums one of them; what a lane beyond these sums is never
//! read. The sums of as many rows as a vector has lanes are a square, which is turned: then the lanes of all of these rows are added at
//! once.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use std::mem::MaybeUninit;

use schur_ir::micro::{Dot, MAX_DOT};

use super::permutation::transpose_square;
use super::portable::Element;
use super::simd::{MOST_LANES, Simd};

/// Sums of neighbours, ready to be computed.
pub(super) struct Plan<T: 'static> {
    dot: Dot,
    coefficient: T,
    run: DotFn<T>,
}

/// `out`, `a` and `b`.
pub(super) type Arrays<T> = [*mut T; 3];

/// Sums for so many rows.
pub(super) type DotFn<T> = unsafe fn(Arrays<T>, &Plan<T>, usize);

impl<T> Plan<T> {
    pub(super) fn new(dot: &Dot, coefficient: T, run: DotFn<T>) -> Self {
        Plan { dot: dot.clone(), coefficient, run }
    }

    /// Computes all rows.
    ///
    /// # Safety
    /// As [`schur_ir::micro::MicroFn`] says, on a machine with the instruction set of the function.
    pub(super) unsafe fn run(&self, arrays: Arrays<T>, rows: usize) {
        // SAFETY: the caller's.
        unsafe { (self.run)(arrays, self, rows) }
    }
}

/// Rows that are summed at once, so that their sums do not wait for each other.
const TOGETHER: usize = 4;

/// Fewer rows than this are added one by one.
const MIN_SQUARE: usize = 4;

/// Room for `b`, once for every component: whole groups fill more than half of a vector.
const ROOM: usize = 2 * MAX_DOT + MOST_LANES;

/// The sums of `D` components, in vectors of `L` lanes.
///
/// # Safety
/// As for [`Simd`], whose number of lanes is `L`; the arrays hold these rows.
#[inline(always)]
pub(super) unsafe fn rows<S: Simd, const D: usize, const L: usize>(
    [out, a, b]: Arrays<S::T>,
    plan: &Plan<S::T>,
    rows: usize,
) {
    let Dot { rows: [out_row, a_row], terms, b_stride, .. } = plan.dot;
    let mut room = MaybeUninit::<[S::T; ROOM]>::uninit();
    // SAFETY: the caller's; `b` fits into the room.
    unsafe {
        let weights = if D == 1 && b_stride == 1 { b } else { repeated::<S, D, L>(room.as_mut_ptr().cast(), b, plan) };
        for first in (0..rows).step_by(L) {
            let (count, out) = (L.min(rows - first), out.add(first * out_row));
            let mut square = [S::zero(); L];
            let mut k = 0;
            while k + TOGETHER <= count {
                let from = a.add((first + k) * a_row);
                let sums = sums::<S, D, L, TOGETHER>(from, a_row, weights, terms * D);
                square[k..k + TOGETHER].copy_from_slice(&sums);
                k += TOGETHER;
            }
            while k < count {
                [square[k]] = sums::<S, D, L, 1>(a.add((first + k) * a_row), a_row, weights, terms * D);
                k += 1;
            }
            if count < MIN_SQUARE {
                for k in 0..count {
                    write_row::<S, D, L>(out.add(k * out_row), plan, square[k]);
                }
            } else {
                transpose_square::<S, L>(&mut square);
                write_rows::<S, D, L>(out, plan, &square, count);
            }
        }
    }
}

/// `b` for every component, in vectors as those of a row.
///
/// # Safety
/// As for [`Simd`]; there is [`ROOM`], and `b` holds all terms.
#[inline(always)]
unsafe fn repeated<S: Simd, const D: usize, const L: usize>(
    room: *mut S::T,
    b: *const S::T,
    plan: &Plan<S::T>,
) -> *const S::T {
    let Dot { terms, b_stride, .. } = plan.dot;
    let groups = (L / D).max(1);
    let component: [i32; MOST_LANES] = std::array::from_fn(|lane| (lane / D).min(groups - 1) as i32);
    let mut of_vector = MaybeUninit::<[S::T; L]>::uninit();
    let of_vector: *mut S::T = of_vector.as_mut_ptr().cast();
    // SAFETY: the caller's.
    unsafe {
        for k in 0..terms.div_ceil(groups) {
            let first = k * groups;
            let (count, from) = (groups.min(terms - first), b.add(first * b_stride));
            let groups = if b_stride == 1 {
                S::load_first(from, S::first(count))
            } else {
                S::store(of_vector, S::zero());
                (0..count).for_each(|u| *of_vector.add(u) = *from.add(u * b_stride));
                S::load(of_vector)
            };
            S::store(room.add(k * L), S::permute(groups, component.as_ptr()));
        }
    }
    room
}

/// The sums of `G` rows of so many elements.
///
/// # Safety
/// As for [`Simd`]; `a` holds these rows, `weights` as many vectors as a row has, or elements where vectors have no gaps.
#[inline(always)]
unsafe fn sums<S: Simd, const D: usize, const L: usize, const G: usize>(
    a: *const S::T,
    a_row: usize,
    weights: *const S::T,
    elements: usize,
) -> [S::V; G] {
    let used = (L / D).max(1) * D;
    let (mut at, mut weights) = (0, weights);
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [S::zero(); G];
        while at + L <= elements {
            let w = S::load(weights);
            for g in 0..G {
                sums[g] = S::multiply_add(S::load(a.add(g * a_row + at)), w, sums[g]);
            }
            (at, weights) = (at + used, weights.wrapping_add(L));
        }
        while at < elements {
            let mask = S::first(used.min(elements - at));
            let w = S::load_first(weights, mask);
            for g in 0..G {
                sums[g] = S::multiply_add(S::load_first(a.add(g * a_row + at), mask), w, sums[g]);
            }
            (at, weights) = (at + used, weights.wrapping_add(L));
        }
        sums
    }
}

/// The sum of the first `count` vectors.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
unsafe fn total<S: Simd, const L: usize>(mut vectors: [S::V; L], mut count: usize) -> S::V {
    while count > 1 {
        let half = count.div_ceil(2);
        for k in half..count {
            // SAFETY: the caller's.
            vectors[k - half] = unsafe { S::add(vectors[k - half], vectors[k]) };
        }
        count = half;
    }
    vectors[0]
}

/// Adds the lanes of every component, of `count` rows at once, and writes them.
///
/// # Safety
/// As for [`Simd`]; `out` holds these rows.
#[inline(always)]
unsafe fn write_rows<S: Simd, const D: usize, const L: usize>(
    out: *mut S::T,
    plan: &Plan<S::T>,
    lanes: &[S::V; L],
    count: usize,
) {
    let Dot { rows: [out_row, _], out_stride, .. } = plan.dot;
    // SAFETY: the caller's.
    unsafe {
        for i in 0..D {
            let mut of_component = [S::zero(); L];
            for k in 0..L / D {
                of_component[k] = lanes[k * D + i];
            }
            write::<S, L>(out.add(i * out_stride), out_row, plan, total::<S, L>(of_component, L / D), count);
        }
    }
}

/// Adds the lanes of every component of a row, and writes them.
///
/// # Safety
/// As for [`Simd`]; `out` holds the row.
#[inline(always)]
unsafe fn write_row<S: Simd, const D: usize, const L: usize>(out: *mut S::T, plan: &Plan<S::T>, lanes: S::V) {
    let mut row = MaybeUninit::<[S::T; L]>::uninit();
    let row: *mut S::T = row.as_mut_ptr().cast();
    // SAFETY: the caller's.
    unsafe {
        S::store(row, lanes);
        let mut groups = [S::zero(); L];
        for k in 0..L / D {
            groups[k] = S::load_first(row.add(k * D), S::first(D));
        }
        write::<S, L>(out, plan.dot.out_stride, plan, total::<S, L>(groups, L / D), D);
    }
}

/// Writes the first `count` lanes of a sum.
///
/// # Safety
/// As for [`Simd`]; `out` holds so many elements.
#[inline(always)]
unsafe fn write<S: Simd, const L: usize>(out: *mut S::T, stride: usize, plan: &Plan<S::T>, sum: S::V, count: usize) {
    let mut lanes = MaybeUninit::<[S::T; L]>::uninit();
    let lanes: *mut S::T = lanes.as_mut_ptr().cast();
    // SAFETY: the caller's.
    unsafe {
        let mut sum = S::multiply(sum, S::splat(plan.coefficient));
        if plan.dot.accumulate {
            S::store(lanes, S::zero());
            (0..count).for_each(|k| *lanes.add(k) = *out.add(k * stride));
            sum = S::add(sum, S::load(lanes));
        }
        S::store(lanes, sum);
        (0..count).for_each(|k| *out.add(k * stride) = *lanes.add(k));
    }
}

/// The sums of any number of components, element by element.
///
/// # Safety
/// The arrays hold these rows.
pub(super) unsafe fn plain<T: Element>([out, a, b]: Arrays<T>, plan: &Plan<T>, rows: usize) {
    let Dot { rows: [out_row, a_row], short, terms, b_stride, out_stride, accumulate, .. } = plan.dot;
    for r in 0..rows {
        for i in 0..short {
            // SAFETY: the caller's.
            unsafe {
                let mut sum = *a.add(r * a_row + i) * *b;
                for u in 1..terms {
                    sum = sum + *a.add(r * a_row + u * short + i) * *b.add(u * b_stride);
                }
                let out = out.add(r * out_row + i * out_stride);
                *out = if accumulate { *out + sum * plan.coefficient } else { sum * plan.coefficient };
            }
        }
    }
}
