//! Vectors that hold two items, or two terms, of half as many columns as they have lanes.

use super::permutation::{picked, place};
use super::simd::{MOST_LANES, Simd};

/// Lanes that a vector is made of.
type Lanes = [i32; MOST_LANES];

/// Lane `times · lane / by + plus` for every lane, counted in a circle.
const fn lanes_at(lanes: usize, times: usize, by: usize, plus: usize) -> Lanes {
    let mut index = [0; MOST_LANES];
    let mut lane = 0;
    while lane < lanes {
        index[lane] = ((times * lane / by + plus) % lanes) as i32;
        lane += 1;
    }
    index
}

/// Every lane of the first half twice, the second time of another vector.
const fn twice_of_two(lanes: usize) -> Lanes {
    let mut index = lanes_at(lanes, 1, 2, 0);
    let mut lane = 1;
    while lane < lanes {
        index[lane] += lanes as i32;
        lane += 2;
    }
    index
}

/// How every vector of woven items is made of `H` pairs, in steps as those of a [`Permutation`](super::permutation::Permutation).
const fn woven<const H: usize>(lanes: usize, items: usize) -> [[Lanes; H]; H] {
    let mut index = [[[0; MOST_LANES]; H]; H];
    let mut out = 0;
    while out < H {
        let mut lane = 0;
        while lane < lanes {
            let (column, item) = ((out * lanes + lane) / items % (lanes / 2), (out * lanes + lane) % items);
            let from = item / 2;
            let at = 2 * column + item - first_of_pair(from, items);
            let mut step = 0;
            while step < H {
                index[out][step][lane] = place(lanes, lane, step, from, at);
                step += 1;
            }
            lane += 1;
        }
        out += 1;
    }
    index
}

/// The first of the items in pair `p` of `items`: the last pair has one item again where their number is odd.
pub(super) const fn first_of_pair(p: usize, items: usize) -> usize {
    if 2 * p + 2 > items { items - 2 } else { 2 * p }
}

/// Vector `k` of those that hold the items of the first column, then of the next, and so on; `H` vectors hold pairs.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn weave_pairs<S: Simd, const H: usize, const ITEMS: usize>(pairs: &[S::V; H], k: usize) -> S::V {
    let steps = const { &woven::<H>(S::LANES, ITEMS) };
    // SAFETY: the caller's; steps pick lanes of two vectors.
    unsafe { picked::<S, H>(pairs, &steps[k]) }
}

/// Every lane of the first half twice.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn double<S: Simd>(v: S::V) -> S::V {
    let index = const { &lanes_at(S::LANES, 1, 2, 0) };
    // SAFETY: the caller's.
    unsafe { S::pick(v, v, index.as_ptr()) }
}

/// The first halves of two vectors, lane by lane in turn.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn in_turn<S: Simd>(a: S::V, b: S::V) -> S::V {
    let index = const { &twice_of_two(S::LANES) };
    // SAFETY: the caller's.
    unsafe { S::pick(a, b, index.as_ptr()) }
}

/// The columns of an item of a pair.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn item_of<S: Simd>(pair: S::V, second: usize) -> S::V {
    let index = const { &[lanes_at(S::LANES, 2, 1, 0), lanes_at(S::LANES, 2, 1, 1)] };
    // SAFETY: the caller's.
    unsafe { S::pick(pair, pair, index[second].as_ptr()) }
}
