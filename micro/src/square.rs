//! Products with squares of half a vector: as many terms, or as many rows, as columns. All of the square is in registers while
//! rows go by.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use schur_ir::micro::Extent;

use super::pairs::{double, first_of_pair, in_turn, item_of};
use super::simd::{MOST_LANES, Simd};
use super::store::{store_pairs, write};
use super::tile::{Layout, Tile};

/// The largest side of a square.
const SIDE: usize = MOST_LANES / 2;

/// Smaller squares than this are not worth tiles of their own.
const MIN_SIDE: usize = 4;

/// True where a square of half a vector has so many rows.
pub(super) fn is_side(lanes: usize, extent: Extent) -> bool {
    matches!(extent, Extent::Fixed(count @ MIN_SIDE..) if 2 * count == lanes)
}

/// `times` groups of `G` rows of `ITEMS` items, times a square: `H` vectors a row hold two items each. In `a`, items are
/// neighbours, and those of the next term of a sum follow them.
///
/// # Safety
/// As for [`Simd`]; `tile` names elements of its arrays, and sums have as many terms as the square has rows.
#[inline(always)]
pub(super) unsafe fn pairs<S: Simd, const G: usize, const H: usize, const ITEMS: usize>(
    layout: &Layout<S::T>,
    tile: &mut Tile<S::T>,
    times: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let (mask, coefficient) = (S::first(layout.last), S::splat(layout.coefficient));
        let mut square = [S::zero(); SIDE];
        for k in 0..S::LANES / 2 {
            let row = S::load_first(tile.b.add(k * layout.b_k[1]), mask);
            square[k] = double::<S>(S::multiply(row, coefficient));
        }
        for _ in 0..times {
            let mut sums = [[S::zero(); H]; G];
            for k in 0..S::LANES / 2 {
                for g in 0..G {
                    let row = tile.a.add(g * layout.group[0] + k * ITEMS);
                    for p in 0..H {
                        let items = S::splat_pair(row.add(first_of_pair(p, ITEMS)));
                        sums[g][p] = S::multiply_add(items, square[k], sums[g][p]);
                    }
                }
            }
            store_pairs::<S, G, H, ITEMS>(layout, tile, &sums, None);
            tile.advance(layout, G);
        }
    }
}

/// `times` groups of `G` rows times a square, where terms of a sum are neighbours in `a`: a vector holds two terms of every
/// column in turn.
///
/// # Safety
/// As for [`pairs`].
#[inline(always)]
pub(super) unsafe fn terms<S: Simd, const G: usize>(layout: &Layout<S::T>, tile: &mut Tile<S::T>, times: usize) {
    // SAFETY: the caller's.
    unsafe {
        let (mask, coefficient) = (S::first(layout.last), S::splat(layout.coefficient));
        let mut square = [S::zero(); SIDE / 2];
        for p in 0..S::LANES / 4 {
            let first = tile.b.add(2 * p * layout.b_k[1]);
            let both = in_turn::<S>(S::load_first(first, mask), S::load_first(first.add(layout.b_k[1]), mask));
            square[p] = S::multiply(both, coefficient);
        }
        for _ in 0..times {
            let mut sums = [S::zero(); G];
            for p in 0..S::LANES / 4 {
                for g in 0..G {
                    let terms = S::splat_pair(tile.a.add(g * layout.group[0] + 2 * p));
                    sums[g] = S::multiply_add(terms, square[p], sums[g]);
                }
            }
            for g in 0..G {
                let sum = S::add(item_of::<S>(sums[g], 0), item_of::<S>(sums[g], 1));
                write::<S>(tile.out.add(g * layout.group[1]), sum, None, tile.accumulate, Some(mask));
            }
            tile.advance(layout, G);
        }
    }
}

/// `times` squares, each the sum over rows, and over `D` components, of products of `a`, rows of components that follow each
/// other, and of the columns of `b`: a vector holds two components in turn.
///
/// # Safety
/// As for [`Simd`]; `tile` names elements of its arrays, and has as many items as the square has rows.
#[inline(always)]
pub(super) unsafe fn sums<S: Simd, const D: usize>(layout: &Layout<S::T>, tile: &mut Tile<S::T>, times: usize) {
    // SAFETY: the caller's.
    unsafe {
        for _ in 0..times {
            sum::<S, D>(layout, tile);
            tile.advance(layout, 1);
        }
    }
}

#[inline(always)]
unsafe fn sum<S: Simd, const D: usize>(layout: &Layout<S::T>, tile: &Tile<S::T>) {
    // SAFETY: the caller's.
    unsafe {
        let mask = S::first(layout.last);
        let mut pairs = [S::zero(); SIDE];
        let mut last = [S::zero(); SIDE];
        let (mut a, mut b) = (tile.a, tile.b);
        for _ in 0..tile.k[1] {
            let column = |i: usize| S::load_first(b.wrapping_add(i * layout.b_k[0]), mask);
            for i in (0..D - 1).step_by(2) {
                let columns = in_turn::<S>(column(i), column(i + 1));
                for j in 0..S::LANES / 2 {
                    pairs[j] = S::multiply_add(S::splat_pair(a.add(j * D + i)), columns, pairs[j]);
                }
            }
            if D % 2 == 1 {
                let columns = column(D - 1);
                for j in 0..S::LANES / 2 {
                    last[j] = S::multiply_add(S::splat(*a.add(j * D + D - 1)), columns, last[j]);
                }
            }
            (a, b) = (a.wrapping_add(layout.a_k[1]), b.wrapping_add(layout.b_k[1]));
        }
        let coefficient = Some(S::splat(layout.coefficient));
        for j in 0..S::LANES / 2 {
            let sum = S::add(S::add(item_of::<S>(pairs[j], 0), item_of::<S>(pairs[j], 1)), last[j]);
            write::<S>(tile.out.add(j * layout.item[1]), sum, coefficient, tile.accumulate, Some(mask));
        }
    }
}
