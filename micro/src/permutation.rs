//! Elements of a few vectors in another order.

use std::array::from_fn;

use super::simd::{MOST_LANES, Simd};

/// Elements of a few vectors in another order. Every vector is made in steps: the first picks lanes of vectors 0 and 1, step `s`
/// replaces lanes by those of vector `s + 1`.
#[derive(Default)]
pub(super) struct Permutation {
    steps: Vec<[i32; MOST_LANES]>,
}

impl Permutation {
    /// The one of `count` elements that puts element `from(k)` at place `k`.
    pub(super) fn new(count: usize, lanes: usize, from: impl Fn(usize) -> usize) -> Self {
        let vectors = count.div_ceil(lanes);
        let step = |out: usize, step: usize| {
            from_fn(|lane| {
                let to = out * lanes + lane;
                let element = if lane < lanes && to < count { from(to) } else { 0 };
                place(lanes, lane % lanes, step, element / lanes, element % lanes)
            })
        };
        let steps = (0..vectors).flat_map(|out| (0..vectors).map(move |s| (out, s)));
        Permutation { steps: steps.map(|(out, s)| step(out, s)).collect() }
    }

    /// Vector `k` of `N`.
    ///
    /// # Safety
    /// As for [`Simd`].
    #[inline(always)]
    pub(super) unsafe fn vector<S: Simd, const N: usize>(&self, from: &[S::V; N], k: usize) -> S::V {
        // One length, so that all bounds are checked at once.
        let steps = &self.steps[..N * N];
        // SAFETY: the caller's; steps pick lanes of two vectors.
        unsafe { picked::<S, N>(from, &steps[k * N..(k + 1) * N]) }
    }
}

/// The vector that `N` steps make of `N` vectors; of one alone, a permutation.
///
/// # Safety
/// As for [`Simd`]; steps pick lanes of two vectors.
#[inline(always)]
pub(super) unsafe fn picked<S: Simd, const N: usize>(from: &[S::V; N], steps: &[[i32; MOST_LANES]]) -> S::V {
    let mut v = from[0];
    for j in 0..N.max(2) - 1 {
        // SAFETY: the caller's.
        v = unsafe { S::pick(v, from[(j + 1).min(N - 1)], steps[j].as_ptr()) };
    }
    v
}

/// The lane that step `step` picks for `lane`, which comes from lane `at` of vector `from`.
pub(super) const fn place(lanes: usize, lane: usize, step: usize, from: usize, at: usize) -> i32 {
    if from == step + 1 {
        (lanes + at) as i32
    } else if from == 0 && step == 0 {
        at as i32
    } else {
        lane as i32
    }
}

/// For squares of `2 distance` vectors: lanes of the upper and of the lower half, after their off-diagonal parts have
/// changed places.
const fn exchange<const LANES: usize>(distance: usize) -> [[i32; MOST_LANES]; 2] {
    let mut index = [[0; MOST_LANES]; 2];
    let mut lane = 0;
    while lane < LANES {
        let odd = lane & distance != 0;
        index[0][lane] = if odd { LANES + lane - distance } else { lane } as i32;
        index[1][lane] = if odd { LANES + lane } else { lane + distance } as i32;
        lane += 1;
    }
    index
}

/// Exchanges rows and columns of a square of `L` vectors, `L` being the number of lanes: at every distance 1, 2, 4, …
/// the off-diagonal halves of squares of twice that size change places.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn transpose_square<S: Simd, const L: usize>(rows: &mut [S::V; L]) {
    // SAFETY: the caller's.
    unsafe {
        exchange_halves::<S, L, 1>(rows);
        exchange_halves::<S, L, 2>(rows);
        exchange_halves::<S, L, 4>(rows);
        exchange_halves::<S, L, 8>(rows);
    }
}

/// The exchange at distance `D`, if there is one: with loops over constants alone, so that all rows are in registers.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
unsafe fn exchange_halves<S: Simd, const L: usize, const D: usize>(rows: &mut [S::V; L]) {
    if D >= L {
        return;
    }
    let [upper, lower] = const { &exchange::<L>(D) };
    for pair in 0..L / 2 {
        let i = pair / D * 2 * D + pair % D;
        let (a, b) = (rows[i], rows[i + D]);
        // SAFETY: the caller's; the tables hold lanes of two vectors.
        unsafe {
            rows[i] = S::pick(a, b, upper.as_ptr());
            rows[i + D] = S::pick(a, b, lower.as_ptr());
        }
    }
}
