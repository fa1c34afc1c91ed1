//! Between vectors of single components and `[mul, 2l+1]`, where components are neighbours.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use super::simd::Simd;

/// The most lanes of any vector.
pub(super) const MOST: usize = 16;

/// Elements of a few vectors in another order. Every vector is made in steps: the first picks lanes of vectors 0 and 1, step `s`
/// replaces lanes by those of vector `s + 1`.
#[derive(Default)]
pub(super) struct Permutation {
    steps: Vec<[i32; MOST]>,
}

impl Permutation {
    /// The one of `count` elements that puts element `from(k)` at place `k`.
    pub(super) fn new(count: usize, lanes: usize, from: impl Fn(usize) -> usize) -> Self {
        let vectors = count.div_ceil(lanes);
        let step = |out: usize, step: usize| {
            std::array::from_fn(|lane| {
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
        let mut v = from[0];
        for j in 0..N.max(2) - 1 {
            // SAFETY: the caller's; steps pick lanes of two vectors.
            v = unsafe { S::pick(v, from[(j + 1).min(N - 1)], steps[k * N + j].as_ptr()) };
        }
        v
    }
}

/// How `D` vectors of components become `D` woven ones, and back: element `e` of the woven ones is lane `e / D` of component `e % D`.
///
/// `D` is odd, as `2l+1` is, and the number of lanes a power of two. So each component has one element in every lane, over all woven
/// vectors: it is permuted once, to the lanes of its elements, and a woven vector takes every lane from the component that is due
/// there. These are `D` permutations and `D (D − 1)` blends, of which a machine does more at once.
struct Table<const D: usize> {
    /// For component `i`, the element that each lane of a woven vector has of it.
    to_lanes: [[i32; MOST]; D],
    /// For component `i`, the lane of a woven vector that has each element of it.
    from_lanes: [[i32; MOST]; D],
    /// The lanes of woven vector `k` that component `i` has, a bit each.
    lanes_of: [[u32; D]; D],
}

impl<const D: usize> Table<D> {
    const fn new(lanes: usize) -> Self {
        let mut table = Table { to_lanes: [[0; MOST]; D], from_lanes: [[0; MOST]; D], lanes_of: [[0; D]; D] };
        let mut element = 0;
        while element < D * lanes {
            let (component, lane) = (element % D, element % lanes);
            table.to_lanes[component][lane] = (element / D) as i32;
            table.from_lanes[component][element / D] = lane as i32;
            table.lanes_of[element / lanes][component] |= 1 << lane;
            element += 1;
        }
        table
    }
}

/// The vectors that hold lane 0 of every component, then lane 1, and so on; `D` is odd.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn weave<S: Simd, const D: usize>(components: &[S::V; D]) -> [S::V; D] {
    debug_assert!(D % 2 == 1, "{D} components");
    let table = const { &Table::<D>::new(S::LANES) };
    let mut placed = *components;
    // SAFETY: the caller's; the table has lanes of vectors.
    unsafe {
        for i in 0..D {
            placed[i] = S::permute(placed[i], table.to_lanes[i].as_ptr());
        }
        std::array::from_fn(|k| mixed::<S, D>(&placed, |i| table.lanes_of[k][i]))
    }
}

/// The components that woven vectors hold: the inverse of [`weave`]; `D` is odd.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn unweave<S: Simd, const D: usize>(woven: &[S::V; D]) -> [S::V; D] {
    debug_assert!(D % 2 == 1, "{D} components");
    let table = const { &Table::<D>::new(S::LANES) };
    // SAFETY: the caller's; the table has lanes of vectors.
    unsafe {
        std::array::from_fn(|i| {
            let placed = mixed::<S, D>(woven, |k| table.lanes_of[k][i]);
            S::permute(placed, table.from_lanes[i].as_ptr())
        })
    }
}

/// The vector that has these lanes of each of some.
#[inline(always)]
unsafe fn mixed<S: Simd, const D: usize>(from: &[S::V; D], lanes: impl Fn(usize) -> u32) -> S::V {
    let mut v = from[0];
    for j in 1..D {
        // SAFETY: the caller's.
        v = unsafe { S::mix(v, from[j], lanes(j)) };
    }
    v
}

/// Vectors that hold neighbouring items in turn, column by column.
struct Pairs<const LANES: usize>;

impl<const LANES: usize> Pairs<LANES> {
    /// Every lane of the first half twice.
    const DOUBLE: [i32; MOST] = Self::lanes(1, 2, 0);
    /// The columns of the first item, and of the second.
    const ITEM: [[i32; MOST]; 2] = [Self::lanes(2, 1, 0), Self::lanes(2, 1, 1)];
    /// The first halves of two vectors, lane by lane in turn.
    const IN_TURN: [i32; MOST] = {
        let mut index = Self::DOUBLE;
        let mut lane = 1;
        while lane < LANES {
            index[lane] += LANES as i32;
            lane += 2;
        }
        index
    };

    const fn lanes(times: usize, by: usize, plus: usize) -> [i32; MOST] {
        let mut index = [0; MOST];
        let mut lane = 0;
        while lane < LANES {
            index[lane] = ((times * lane / by + plus) % LANES) as i32;
            lane += 1;
        }
        index
    }

    /// How vector `k` of woven items is made of `H` pairs, in steps as those of a [`Permutation`].
    const fn weave<const H: usize>(items: usize) -> [[[i32; MOST]; H]; H] {
        let mut index = [[[0; MOST]; H]; H];
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

/// The lane that step `step` picks for `lane`, which comes from lane `at` of vector `from`.
const fn place(lanes: usize, lane: usize, step: usize, from: usize, at: usize) -> i32 {
    if from == step + 1 {
        (lanes + at) as i32
    } else if from == 0 && step == 0 {
        at as i32
    } else {
        lane as i32
    }
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

/// For squares of `2 distance` vectors: lanes of the upper and of the lower half, after their off-diagonal parts have
/// changed places.
const fn exchange<const LANES: usize>(distance: usize) -> [[i32; MOST]; 2] {
    let mut index = [[0; MOST]; 2];
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
    let steps = const { [exchange::<L>(1), exchange::<L>(2), exchange::<L>(4), exchange::<L>(8)] };
    for (k, [upper, lower]) in steps.iter().enumerate() {
        let distance = 1 << k;
        if distance >= L {
            return;
        }
        for i in (0..L).filter(|i| i & distance == 0) {
            let (a, b) = (rows[i], rows[i + distance]);
            // SAFETY: the caller's; the tables hold lanes of two vectors.
            unsafe {
                rows[i] = S::pick(a, b, upper.as_ptr());
                rows[i + distance] = S::pick(a, b, lower.as_ptr());
            }
        }
    }
}

#[inline(always)]
unsafe fn picked<S: Simd, const D: usize>(from: &[S::V; D], steps: &'static [[i32; MOST]; D]) -> S::V {
    let mut v = from[0];
    for j in 1..D {
        // SAFETY: the caller's; the table has lanes of two vectors alone.
        v = unsafe { S::pick(v, from[j], steps[j - 1].as_ptr()) };
    }
    v
}
