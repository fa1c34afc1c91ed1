//! Between vectors of single components and `[mul, 2l+1]`, where components are neighbours.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use std::array::from_fn;

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
/// vectors, and all woven vectors go through the components in one order: what lane `l` of vector `k` has is of the component that
/// vector `k + t(l)`, counted in a circle, begins with. Components are permuted, each to the lanes of its elements, and put in that
/// order; then lane `l` is turned back by `t(l)` vectors: some lanes by one, then some by two, by four and so on. These are `D`
/// permutations and `D log₂ D` blends. Where a permutation takes lanes of two vectors, it turns by one as well.
struct Table<const D: usize> {
    /// The component that each woven vector begins with.
    first: [usize; D],
    /// For component `first[k]`, the element that each lane of a woven vector has of it.
    to_lanes: [[i32; MOST]; D],
    /// The same for lanes that are not turned by one, and that of `first[k + 1]` for those that are.
    to_lanes_of_two: [[i32; MOST]; D],
    /// For component `first[k]`, the lane of a woven vector that has each element of it.
    from_lanes: [[i32; MOST]; D],
    /// The same, of another vector for lanes that are turned by one.
    from_lanes_of_two: [[i32; MOST]; D],
    /// The lanes that are turned by 1, 2, 4 and 8, a bit each.
    turned: [u32; MOST_TURNS],
}

/// Turns of less than 2^4 vectors.
const MOST_TURNS: usize = 4;

impl<const D: usize> Table<D> {
    /// The turns that move a lane by any number of vectors.
    const TURNS: usize = D.next_power_of_two().trailing_zeros() as usize;

    /// Of no use where `D` is even, for which tiles are compiled as well, but not woven.
    const fn new(lanes: usize) -> Self {
        let none = [[0; MOST]; D];
        let mut table = Table {
            first: [0; D],
            to_lanes: none,
            to_lanes_of_two: none,
            from_lanes: none,
            from_lanes_of_two: none,
            turned: [0; MOST_TURNS],
        };
        let mut k = 0;
        while k < D {
            table.first[k] = k * lanes % D;
            k += 1;
        }
        let mut lane = 0;
        while lane < lanes {
            table.set_lane(lanes, lane);
            lane += 1;
        }
        table
    }

    /// Sets what the tables say of a lane of woven vectors.
    const fn set_lane(&mut self, lanes: usize, lane: usize) {
        let mut turns = 0;
        while turns + 1 < D && self.first[turns] != lane % D {
            turns += 1;
        }
        let mut turn = 0;
        while turn < MOST_TURNS {
            self.turned[turn] |= (((turns >> turn) & 1) << lane) as u32;
            turn += 1;
        }
        let (is_odd, mut woven) = (turns % 2, 0);
        while woven < D {
            let (k, element) = ((woven + turns) % D, (woven * lanes + lane) / D);
            let other = (is_odd * lanes) as i32;
            self.to_lanes[k][lane] = element as i32;
            self.to_lanes_of_two[(k + D - is_odd) % D][lane] = element as i32 + other;
            self.from_lanes[k][element] = lane as i32;
            self.from_lanes_of_two[k][element] = lane as i32 + other;
            woven += 1;
        }
    }
}

/// The vectors that hold lane 0 of every component, then lane 1, and so on; `D` is odd.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn weave<S: Simd, const D: usize>(components: &[S::V; D]) -> [S::V; D] {
    let table = const { &Table::<D>::new(S::LANES) };
    let mut woven = *components;
    // SAFETY: the caller's; the table has lanes of one vector or two.
    unsafe {
        for k in 0..D {
            let component = components[table.first[k]];
            woven[k] = if S::PICKS_OF_TWO {
                S::pick(component, components[table.first[(k + 1) % D]], table.to_lanes_of_two[k].as_ptr())
            } else {
                S::permute(component, table.to_lanes[k].as_ptr())
            };
        }
        for turn in usize::from(S::PICKS_OF_TWO)..Table::<D>::TURNS {
            let before = woven;
            for k in 0..D {
                woven[k] = S::mix(before[k], before[(k + (1 << turn)) % D], table.turned[turn]);
            }
        }
    }
    woven
}

/// The components that woven vectors hold: the inverse of [`weave`]; `D` is odd.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn unweave<S: Simd, const D: usize>(woven: &[S::V; D]) -> [S::V; D] {
    let table = const { &Table::<D>::new(S::LANES) };
    let (mut placed, mut components) = (*woven, *woven);
    // SAFETY: the caller's; the table has lanes of one vector or two.
    unsafe {
        for turn in usize::from(S::PICKS_OF_TWO)..Table::<D>::TURNS {
            let before = placed;
            for k in 0..D {
                placed[k] = S::mix(before[k], before[(k + D - (1 << turn) % D) % D], table.turned[turn]);
            }
        }
        for k in 0..D {
            components[table.first[k]] = if S::PICKS_OF_TWO {
                S::pick(placed[k], placed[(k + D - 1) % D], table.from_lanes_of_two[k].as_ptr())
            } else {
                S::permute(placed[k], table.from_lanes[k].as_ptr())
            };
        }
    }
    components
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
