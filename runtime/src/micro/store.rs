//! How the sums of register tiles are written.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use super::simd::Simd;
use super::tile::Tile;
use super::weave::{MOST, first_of_pair, item_of, weave, weave_pairs};

/// Writes the sums of a tile.
///
/// # Safety
/// As for [`Simd`]; `tile` names elements of its arrays.
#[inline(always)]
pub(super) unsafe fn store<S: Simd, const G: usize, const J: usize, const NV: usize>(
    tile: &Tile<S::T>,
    sums: &[[[S::V; NV]; J]; G],
    mask: S::Mask,
) {
    // SAFETY: the caller's.
    unsafe {
        let coefficient = Some(S::splat(tile.coefficient));
        let out = |g: usize| tile.out.add(g * tile.group[1]);
        if tile.n_stride == 1 {
            for g in 0..G {
                plain::<S, J, NV>(tile, &sums[g], out(g), coefficient, mask);
            }
        } else if J % 2 == 1 && J > 1 && tile.n_stride == J && tile.item[1] == 1 {
            for g in 0..G {
                woven::<S, J, NV>(tile, &sums[g], out(g), coefficient);
            }
        } else {
            strided::<S, G, J, NV>(tile, sums, coefficient);
        }
    }
}

/// Writes the sums of pairs of items.
///
/// # Safety
/// As for [`Simd`]; `tile` names elements of its arrays.
#[inline(always)]
pub(super) unsafe fn store_pairs<S: Simd, const G: usize, const H: usize, const ITEMS: usize>(
    tile: &Tile<S::T>,
    sums: &[[S::V; H]; G],
    coefficient: Option<S::V>,
) {
    // SAFETY: the caller's.
    unsafe {
        let mask = S::first(tile.last);
        for g in 0..G {
            let (out, pairs) = (tile.out.add(g * tile.group[1]), &sums[g]);
            if tile.n_stride == ITEMS && tile.item[1] == 1 {
                let elements = ITEMS * tile.last;
                for k in 0..H {
                    let count = elements.saturating_sub(k * S::LANES).min(S::LANES);
                    if count > 0 {
                        let woven = weave_pairs::<S, H, ITEMS>(pairs, k);
                        write::<S>(out.add(k * S::LANES), woven, coefficient, tile.accumulate, S::first(count));
                    }
                }
            } else {
                for j in 0..ITEMS {
                    let columns = item_of::<S>(pairs[j / 2], j - first_of_pair(j / 2, ITEMS));
                    write::<S>(out.add(j * tile.item[1]), columns, coefficient, tile.accumulate, mask);
                }
            }
        }
    }
}

/// Writes the first lanes of a vector, scaled by the coefficient if there is one.
///
/// # Safety
/// As for [`Simd`]; `to` has as many elements as the mask has lanes.
#[inline(always)]
pub(super) unsafe fn write<S: Simd>(
    to: *mut S::T,
    sum: S::V,
    coefficient: Option<S::V>,
    accumulate: bool,
    mask: S::Mask,
) {
    // SAFETY: the caller's.
    unsafe {
        let value = match (coefficient, accumulate) {
            (Some(coefficient), true) => S::multiply_add(sum, coefficient, S::load_first(to, mask)),
            (Some(coefficient), false) => S::multiply(sum, coefficient),
            (None, true) => S::add(sum, S::load_first(to, mask)),
            (None, false) => sum,
        };
        S::store_first(to, value, mask);
    }
}

/// Columns are contiguous.
#[inline(always)]
unsafe fn plain<S: Simd, const J: usize, const NV: usize>(
    tile: &Tile<S::T>,
    sums: &[[S::V; NV]; J],
    out: *mut S::T,
    coefficient: Option<S::V>,
    mask: S::Mask,
) {
    // SAFETY: the caller's.
    unsafe {
        let all = S::first(S::LANES);
        for (j, row) in sums.iter().enumerate() {
            for (v, sum) in row.iter().enumerate() {
                let to = out.add(j * tile.item[1] + v * S::LANES);
                write::<S>(to, *sum, coefficient, tile.accumulate, if v + 1 < NV { all } else { mask });
            }
        }
    }
}

/// The `J` components of a column are contiguous.
#[inline(always)]
unsafe fn woven<S: Simd, const J: usize, const NV: usize>(
    tile: &Tile<S::T>,
    sums: &[[S::V; NV]; J],
    out: *mut S::T,
    coefficient: Option<S::V>,
) {
    // SAFETY: the caller's.
    unsafe {
        for v in 0..NV {
            let mut components = [sums[0][0]; J];
            for j in 0..J {
                components[j] = sums[j][v];
            }
            let woven = weave::<S, J>(&components);
            let elements = J * if v + 1 < NV { S::LANES } else { tile.last };
            for k in 0..J {
                let count = elements.saturating_sub(k * S::LANES).min(S::LANES);
                if count > 0 {
                    let to = out.add((v * J + k) * S::LANES);
                    write::<S>(to, woven[k], coefficient, tile.accumulate, S::first(count));
                }
            }
        }
    }
}

/// Columns are somewhere.
#[inline(always)]
unsafe fn strided<S: Simd, const G: usize, const J: usize, const NV: usize>(
    tile: &Tile<S::T>,
    sums: &[[[S::V; NV]; J]; G],
    coefficient: Option<S::V>,
) {
    // A copy, which is indexed by loops, so that the sums themselves are never anywhere but in registers.
    let kept = *sums;
    // SAFETY: the caller's.
    unsafe {
        for (at, sum) in kept.as_flattened().as_flattened().iter().enumerate() {
            let (g, j, v) = (at / (J * NV), at / NV % J, at % NV);
            let count = if v + 1 < NV { S::LANES } else { tile.last };
            let mut lanes = [tile.coefficient; MOST];
            let first = tile.out.add(g * tile.group[1] + j * tile.item[1]);
            let to = |k: usize| first.add((v * S::LANES + k) * tile.n_stride);
            if tile.accumulate {
                for (k, lane) in lanes.iter_mut().enumerate().take(count) {
                    *lane = *to(k);
                }
            }
            write::<S>(lanes.as_mut_ptr(), *sum, coefficient, tile.accumulate, S::first(S::LANES));
            for (k, lane) in lanes.iter().enumerate().take(count) {
                *to(k) = *lane;
            }
        }
    }
}
