//! Between vectors of single components and `[mul, 2l+1]`, where components are neighbours.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use super::simd::{MOST_LANES, Simd};

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
    to_lanes: [[i32; MOST_LANES]; D],
    /// The same for lanes that are not turned by one, and that of `first[k + 1]` for those that are.
    to_lanes_of_two: [[i32; MOST_LANES]; D],
    /// For component `first[k]`, the lane of a woven vector that has each element of it.
    from_lanes: [[i32; MOST_LANES]; D],
    /// The same, of another vector for lanes that are turned by one.
    from_lanes_of_two: [[i32; MOST_LANES]; D],
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
        let none = [[0; MOST_LANES]; D];
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
