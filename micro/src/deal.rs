//! Between vectors of single components and groups of an even number of neighbours.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use std::array::from_fn;

use super::simd::{MOST_LANES, Simd};
use super::weave::{unweave, weave};

/// The lanes of two vectors whose numbers are even, and those whose numbers are odd.
const fn every_second(lanes: usize) -> [[i32; MOST_LANES]; 2] {
    let mut index = [[0; MOST_LANES]; 2];
    let mut lane = 0;
    while lane < lanes {
        index[0][lane] = 2 * lane as i32;
        index[1][lane] = 2 * lane as i32 + 1;
        lane += 1;
    }
    index
}

/// The lanes of two vectors in turn: those of the first halves, and those of the second.
const fn in_turn(lanes: usize) -> [[i32; MOST_LANES]; 2] {
    let mut index = [[0; MOST_LANES]; 2];
    let mut lane = 0;
    while lane < lanes {
        let from = lane / 2 + lane % 2 * lanes;
        index[0][lane] = from as i32;
        index[1][lane] = (from + lanes / 2) as i32;
        lane += 1;
    }
    index
}

/// The components that groups of `D` neighbours hold, `D` being 2, 4, 6 or 8. All elements are dealt to two halves in turn, as cards are,
/// once for every factor 2; of 6, three components remain in each half, which are [unwoven](unweave).
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn deal<S: Simd, const D: usize>(groups: &[S::V; D]) -> [S::V; D] {
    let [even, odd] = const { &every_second(S::LANES) };
    let mut dealt = *groups;
    // SAFETY: the caller's; the tables have lanes of two vectors.
    unsafe {
        for _ in 0..D.trailing_zeros() {
            let before = dealt;
            for k in 0..D / 2 {
                let (a, b) = (before[2 * k], before[2 * k + 1]);
                dealt[k] = S::pick(a, b, even.as_ptr());
                dealt[k + D / 2] = S::pick(a, b, odd.as_ptr());
            }
        }
        if D == 6 {
            let [first, second] = [0, 3].map(|half| unweave::<S, 3>(&from_fn(|k| dealt[half + k])));
            dealt = from_fn(|k| if k % 2 == 0 { first[k / 2] } else { second[k / 2] });
        }
    }
    dealt
}

/// The groups of neighbours, each of one element of all `D` components: the inverse of [`deal`].
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn riffle<S: Simd, const D: usize>(components: &[S::V; D]) -> [S::V; D] {
    let [first, second] = const { &in_turn(S::LANES) };
    let mut groups = *components;
    // SAFETY: the caller's; the tables have lanes of two vectors.
    unsafe {
        if D == 6 {
            let halves = [0, 1].map(|odd| weave::<S, 3>(&from_fn(|k| components[2 * k + odd])));
            groups = from_fn(|k| halves[k / 3][k % 3]);
        }
        for _ in 0..D.trailing_zeros() {
            let before = groups;
            for k in 0..D / 2 {
                let (a, b) = (before[k], before[k + D / 2]);
                groups[2 * k] = S::pick(a, b, first.as_ptr());
                groups[2 * k + 1] = S::pick(a, b, second.as_ptr());
            }
        }
    }
    groups
}
