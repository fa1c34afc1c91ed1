//! Vectors that hold two items, or two terms, of half as many columns as they have lanes.

use super::permutation::place;
use super::simd::{MOST_LANES, Simd};

/// Vectors that hold neighbouring items in turn, column by column.
struct Pairs<const LANES: usize>;

impl<const LANES: usize> Pairs<LANES> {
    /// Every lane of the first half twice.
    const DOUBLE: [i32; MOST_LANES] = Self::lanes(1, 2, 0);
    /// The columns of the first item, and of the second.
    const ITEM: [[i32; MOST_LANES]; 2] = [Self::lanes(2, 1, 0), Self::lanes(2, 1, 1)];
    /// The first halves of two vectors, lane by lane in turn.
    const IN_TURN: [i32; MOST_LANES] = {
        let mut index = Self::DOUBLE;
        let mut lane = 1;
        while lane < LANES {
            index[lane] += LANES as i32;
            lane += 2;
        }
        index
    };

    const fn lanes(times: usize, by: usize, plus: usize) -> [i32; MOST_LANES] {
        let mut index = [0; MOST_LANES];
        let mut lane = 0;
        while lane < LANES {
            index[lane] = ((times * lane / by + plus) % LANES) as i32;
            lane += 1;
        }
        index
    }

    /// How vector `k` of woven items is made of `H` pairs, in steps as those of a [`Permutation`](super::permutation::Permutation).
    const fn weave<const H: usize>(items: usize) -> [[[i32; MOST_LANES]; H]; H] {
        let mut index = [[[0; MOST_LANES]; H]; H];
        let mut out = 0;
        while out < H {
            let mut lane = 0;
            while lane < LANES {
                let (column, item) = ((out * LANES + lane) / items % (LANES / 2), (out * LANES + lane) % items);
                let from = item / 2;
                let at = 2 * column + item - first_of_pair(from, items);
                let mut step = 0;
                while step < H {
                    index[out][step][lane] = place(LANES, lane, step, from, at);
                    step += 1;
                }
                lane += 1;
            }
            out += 1;
        }
        index
    }
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
    // SAFETY: the caller's.
    unsafe {
        match S::LANES {
            2 => picked::<S, H>(pairs, &const { Pairs::<2>::weave::<H>(ITEMS) }[k]),
            4 => picked::<S, H>(pairs, &const { Pairs::<4>::weave::<H>(ITEMS) }[k]),
            8 => picked::<S, H>(pairs, &const { Pairs::<8>::weave::<H>(ITEMS) }[k]),
            _ => picked::<S, H>(pairs, &const { Pairs::<16>::weave::<H>(ITEMS) }[k]),
        }
    }
}

/// Every lane of the first half twice.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn double<S: Simd>(v: S::V) -> S::V {
    let index = match S::LANES {
        2 => &Pairs::<2>::DOUBLE,
        4 => &Pairs::<4>::DOUBLE,
        8 => &Pairs::<8>::DOUBLE,
        _ => &Pairs::<16>::DOUBLE,
    };
    // SAFETY: the caller's.
    unsafe { S::pick(v, v, index.as_ptr()) }
}

/// The first halves of two vectors, lane by lane in turn.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn in_turn<S: Simd>(a: S::V, b: S::V) -> S::V {
    let index = match S::LANES {
        2 => &Pairs::<2>::IN_TURN,
        4 => &Pairs::<4>::IN_TURN,
        8 => &Pairs::<8>::IN_TURN,
        _ => &Pairs::<16>::IN_TURN,
    };
    // SAFETY: the caller's.
    unsafe { S::pick(a, b, index.as_ptr()) }
}

/// The columns of an item of a pair.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn item_of<S: Simd>(pair: S::V, second: usize) -> S::V {
    let index = match S::LANES {
        2 => &Pairs::<2>::ITEM,
        4 => &Pairs::<4>::ITEM,
        8 => &Pairs::<8>::ITEM,
        _ => &Pairs::<16>::ITEM,
    };
    // SAFETY: the caller's.
    unsafe { S::pick(pair, pair, index[second].as_ptr()) }
}

#[inline(always)]
unsafe fn picked<S: Simd, const D: usize>(from: &[S::V; D], steps: &'static [[i32; MOST_LANES]; D]) -> S::V {
    let mut v = from[0];
    for j in 1..D {
        // SAFETY: the caller's; the table has lanes of two vectors alone.
        v = unsafe { S::pick(v, from[j], steps[j - 1].as_ptr()) };
    }
    v
}
