//! Register tiles of matrix products.
//!
//! A tile is `G × J` rows of `NV` vectors of columns, held in registers while `k` runs: an element of `a` is broadcast,
//! multiplied with the vectors of `b`, and added. `J` rows lie at one stride (the components of an irrep, or rows of a
//! batch), groups at another. Where components are neighbours in `out`, the tile is woven when it is stored.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use super::prefetch::Asking;
use super::simd::Simd;
use super::store::{store, store_pairs};
use super::tile::Tile;
use super::weave::{double, first_of_pair, in_turn, item_of};

/// A register tile of at most half a vector of columns, whose `ITEMS` items are neighbours in `a`: `H` vectors a group hold
/// two items each.
///
/// # Safety
/// As for [`Simd`]; `tile` names elements of its arrays.
#[inline(always)]
pub(super) unsafe fn pairs<S: Simd, const G: usize, const H: usize, const ITEMS: usize>(tile: &Tile<S::T>) {
    // SAFETY: the caller's.
    unsafe {
        let mask = S::first(tile.last);
        let sums = sums::<S, G, H, 1, ITEMS>(tile, mask, || {});
        store_pairs::<S, G, H, ITEMS>(
            tile,
            &sums.map(|pairs| pairs.map(|[sum]| sum)),
            Some(S::splat(tile.coefficient)),
        );
    }
}

/// A register tile.
///
/// # Safety
/// As for [`Simd`]; `tile` names elements of its arrays.
#[inline(always)]
pub(super) unsafe fn tile<S: Simd, const G: usize, const J: usize, const NV: usize>(tile: &Tile<S::T>) {
    // SAFETY: the caller's.
    unsafe {
        let mask = S::first(tile.last);
        match tile.ahead.as_mut() {
            Some(ahead) => {
                let mut asking = Asking::start(ahead, G * J * NV * S::LANES);
                sum::<S, G, J, NV>(tile, mask, || asking.turn());
                asking.stop(ahead);
            }
            None => sum::<S, G, J, NV>(tile, mask, || {}),
        }
    }
}

/// Computes a register tile. In every turn of the loop, something else is done too.
#[inline(always)]
unsafe fn sum<S: Simd, const G: usize, const J: usize, const NV: usize>(
    tile: &Tile<S::T>,
    mask: S::Mask,
    meanwhile: impl FnMut(),
) {
    // SAFETY: the caller's.
    unsafe {
        if G == 1 {
            let sums = [sums_of_group::<S, J, NV>(tile, mask, meanwhile)];
            store::<S, 1, J, NV>(tile, &scaled::<S, 1, J, NV>(tile, sums, mask), mask);
        } else {
            let sums = sums::<S, G, J, NV, 0>(tile, mask, meanwhile);
            store::<S, G, J, NV>(tile, &scaled::<S, G, J, NV>(tile, sums, mask), mask);
        }
    }
}

/// The sums times what they are multiplied by, if they are.
#[inline(always)]
unsafe fn scaled<S: Simd, const G: usize, const J: usize, const NV: usize>(
    tile: &Tile<S::T>,
    mut sums: [[[S::V; NV]; J]; G],
    mask: S::Mask,
) -> [[[S::V; NV]; J]; G] {
    if tile.scale.is_null() {
        return sums;
    }
    // SAFETY: the caller's.
    unsafe {
        for g in 0..G {
            for j in 0..J {
                let scale = tile.scale.add(g * tile.group[2] + j * tile.item[2]);
                for v in 0..NV {
                    let from = scale.add(v * S::LANES);
                    let scale = if v + 1 < NV { S::load(from) } else { S::load_first(from, mask) };
                    sums[g][j][v] = S::multiply(sums[g][j][v], scale);
                }
            }
        }
    }
    sums
}

/// A register tile of at most half a vector of columns, whose sums run along neighbours in `a`: a vector holds two terms of
/// every column in turn.
///
/// # Safety
/// As for [`Simd`]; `tile` names elements of its arrays.
#[inline(always)]
pub(super) unsafe fn terms<S: Simd, const G: usize, const J: usize>(tile: &Tile<S::T>) {
    // SAFETY: the caller's.
    unsafe {
        let mask = S::first(tile.last);
        let mut sums = [[[S::zero(); 1]; J]; G];
        let (count, b_step) = (tile.k[1], tile.b_k[1]);
        let a = |g: usize, j: usize| tile.a.add(g * tile.group[0] + j * tile.item[0]);
        for outer in 0..tile.k[0] {
            let (at, b) = (outer * tile.a_k[0], tile.b.add(outer * tile.b_k[0]));
            for k in (0..count - count % 2).step_by(2) {
                let first = b.add(k * b_step);
                let columns = in_turn::<S>(S::load_first(first, mask), S::load_first(first.add(b_step), mask));
                for g in 0..G {
                    for j in 0..J {
                        sums[g][j][0] = S::multiply_add(S::splat_pair(a(g, j).add(at + k)), columns, sums[g][j][0]);
                    }
                }
            }
            if count % 2 == 1 {
                let k = count - 1;
                let columns = in_turn::<S>(S::load_first(b.add(k * b_step), mask), S::zero());
                for g in 0..G {
                    for j in 0..J {
                        sums[g][j][0] = S::multiply_add(S::splat(*a(g, j).add(at + k)), columns, sums[g][j][0]);
                    }
                }
            }
        }
        for g in 0..G {
            for j in 0..J {
                let both = sums[g][j][0];
                sums[g][j][0] = S::add(item_of::<S>(both, 0), item_of::<S>(both, 1));
            }
        }
        store::<S, G, J, 1>(tile, &sums, mask);
    }
}

/// The sums of a tile: of single items, or of pairs of `PAIRED` items. In every turn of the loop, something else is done too.
///
/// Whole vectors and items that are neighbours have loops of their own: masks and addresses take instructions, for which an Intel core
/// has no other place than where it multiplies.
#[inline(always)]
unsafe fn sums<S: Simd, const G: usize, const J: usize, const NV: usize, const PAIRED: usize>(
    tile: &Tile<S::T>,
    mask: S::Mask,
    meanwhile: impl FnMut(),
) -> [[[S::V; NV]; J]; G] {
    // SAFETY: the caller's.
    unsafe {
        let (part, whole) = (|from| S::load_first(from, mask), |from| S::load(from));
        let item = tile.item[0];
        match (tile.last == S::LANES, item) {
            (false, _) => sums_along::<S, G, J, NV, PAIRED>(tile, item, part, meanwhile),
            (true, 1) => sums_along::<S, G, J, NV, PAIRED>(tile, 1, whole, meanwhile),
            (true, _) => sums_along::<S, G, J, NV, PAIRED>(tile, item, whole, meanwhile),
        }
    }
}

/// The same for items at a stride, and with a way to load the last vector of columns.
#[inline(always)]
unsafe fn sums_along<S: Simd, const G: usize, const J: usize, const NV: usize, const PAIRED: usize>(
    tile: &Tile<S::T>,
    item: usize,
    load_last: impl Fn(*const S::T) -> S::V,
    mut meanwhile: impl FnMut(),
) -> [[[S::V; NV]; J]; G] {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[[S::zero(); NV]; J]; G];
        let [a_step, b_step] = [tile.a_k[1], tile.b_k[1]];
        for outer in 0..tile.k[0] {
            let mut a = [tile.a; G];
            for (g, a) in a.iter_mut().enumerate() {
                *a = a.add(outer * tile.a_k[0] + g * tile.group[0]);
            }
            let mut b = tile.b.add(outer * tile.b_k[0]);
            for _ in 0..tile.k[1] {
                meanwhile();
                let mut columns = [S::zero(); NV];
                for v in 0..NV {
                    let from = b.add(v * S::LANES);
                    columns[v] = if v + 1 < NV { S::load(from) } else { load_last(from) };
                }
                if PAIRED > 0 {
                    for v in 0..NV {
                        columns[v] = double::<S>(columns[v]);
                    }
                }
                for g in 0..G {
                    for j in 0..J {
                        let x = match PAIRED {
                            0 => S::splat(*a[g].add(j * item)),
                            items => S::splat_pair(a[g].add(first_of_pair(j, items))),
                        };
                        for v in 0..NV {
                            sums[g][j][v] = S::multiply_add(x, columns[v], sums[g][j][v]);
                        }
                    }
                    a[g] = a[g].wrapping_add(a_step);
                }
                b = b.wrapping_add(b_step);
            }
        }
        sums
    }
}

/// Fewer sums than this are waited for, one term after the other.
const FEW_SUMS: usize = 8;

/// The sums of one group. Its factors, or its columns where these are far fewer, are in registers together, and not both, since
/// there are more sums than in other tiles; a few sums are two each.
#[inline(always)]
unsafe fn sums_of_group<S: Simd, const J: usize, const NV: usize>(
    tile: &Tile<S::T>,
    mask: S::Mask,
    mut meanwhile: impl FnMut(),
) -> [[S::V; NV]; J] {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[S::zero(); NV]; J];
        let mut others = sums;
        let mut term = |a: *const S::T, b: *const S::T, sums: &mut [[S::V; NV]; J]| {
            meanwhile();
            let item = |j: usize| S::splat(*a.add(j * tile.item[0]));
            let column = |v: usize| {
                let from = b.add(v * S::LANES);
                if v + 1 < NV { S::load(from) } else { S::load_first(from, mask) }
            };
            if 2 * NV <= J {
                let mut columns = [S::zero(); NV];
                for v in 0..NV {
                    columns[v] = column(v);
                }
                for j in 0..J {
                    let item = item(j);
                    for v in 0..NV {
                        sums[j][v] = S::multiply_add(item, columns[v], sums[j][v]);
                    }
                }
            } else {
                let mut items = [S::zero(); J];
                for j in 0..J {
                    items[j] = item(j);
                }
                for v in 0..NV {
                    let column = column(v);
                    for j in 0..J {
                        sums[j][v] = S::multiply_add(items[j], column, sums[j][v]);
                    }
                }
            }
        };
        let [a_step, b_step] = [tile.a_k[1], tile.b_k[1]];
        let are_two = J * NV < FEW_SUMS;
        for outer in 0..tile.k[0] {
            let (mut a, mut b) = (tile.a.add(outer * tile.a_k[0]), tile.b.add(outer * tile.b_k[0]));
            let mut left = tile.k[1];
            while are_two && left > 1 {
                term(a, b, &mut sums);
                term(a.add(a_step), b.add(b_step), &mut others);
                (a, b) = (a.wrapping_add(2 * a_step), b.wrapping_add(2 * b_step));
                left -= 2;
            }
            while left > 0 {
                term(a, b, &mut sums);
                (a, b) = (a.wrapping_add(a_step), b.wrapping_add(b_step));
                left -= 1;
            }
        }
        if are_two {
            for j in 0..J {
                for v in 0..NV {
                    sums[j][v] = S::add(sums[j][v], others[j][v]);
                }
            }
        }
        sums
    }
}
