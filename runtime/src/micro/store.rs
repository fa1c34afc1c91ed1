//! How the sums of register tiles are written.

#![allow(clippy::needless_range_loop, reason = "loops over registers count in several arrays at once")]

use super::pairs::{first_of_pair, item_of, weave_pairs};
use super::simd::{MOST_LANES, Simd};
use super::tile::{Layout, Tile};
use super::weave::weave;

/// How the columns of a register tile lie in `b` and in `out`.
pub(super) trait Form {
    /// True where all their vectors are whole.
    const IS_WHOLE: bool;

    /// Writes the sums of a tile.
    ///
    /// # Safety
    /// As for [`Simd`]; `tile` names elements of its arrays.
    unsafe fn store<S: Simd, const G: usize, const J: usize, const NV: usize>(
        layout: &Layout<S::T>,
        tile: &Tile<S::T>,
        sums: &[[[S::V; NV]; J]; G],
    );
}

/// True where so many items of a column are neighbours in `out`.
#[inline(always)]
pub(super) fn is_woven<T>(layout: &Layout<T>, items: usize) -> bool {
    items % 2 == 1 && items > 1 && layout.n_stride == items && layout.item[1] == 1
}

/// Whole vectors, in both.
pub(super) struct Whole;

/// Whole vectors of `b`; in `out`, the items of a column are neighbours.
pub(super) struct Woven;

/// Anyhow.
pub(super) struct Any;

impl Form for Whole {
    const IS_WHOLE: bool = true;

    #[inline(always)]
    unsafe fn store<S: Simd, const G: usize, const J: usize, const NV: usize>(
        layout: &Layout<S::T>,
        tile: &Tile<S::T>,
        sums: &[[[S::V; NV]; J]; G],
    ) {
        // SAFETY: the caller's.
        unsafe {
            let coefficient = S::splat(layout.coefficient);
            for g in 0..G {
                for j in 0..J {
                    let out = tile.out.add(g * layout.group[1] + j * layout.item[1]);
                    for v in 0..NV {
                        write_whole::<S>(out.add(v * S::LANES), sums[g][j][v], coefficient, tile.accumulate);
                    }
                }
            }
        }
    }
}

impl Form for Woven {
    const IS_WHOLE: bool = true;

    #[inline(always)]
    unsafe fn store<S: Simd, const G: usize, const J: usize, const NV: usize>(
        layout: &Layout<S::T>,
        tile: &Tile<S::T>,
        sums: &[[[S::V; NV]; J]; G],
    ) {
        // SAFETY: the caller's.
        unsafe {
            let coefficient = S::splat(layout.coefficient);
            for g in 0..G {
                let out = tile.out.add(g * layout.group[1]);
                for v in 0..NV {
                    let woven = woven_column::<S, J, NV>(&sums[g], v);
                    for k in 0..J {
                        let to = out.add((v * J + k) * S::LANES);
                        write_whole::<S>(to, woven[k], coefficient, tile.accumulate);
                    }
                }
            }
        }
    }
}

impl Form for Any {
    const IS_WHOLE: bool = false;

    #[inline(always)]
    unsafe fn store<S: Simd, const G: usize, const J: usize, const NV: usize>(
        layout: &Layout<S::T>,
        tile: &Tile<S::T>,
        sums: &[[[S::V; NV]; J]; G],
    ) {
        // SAFETY: the caller's.
        unsafe {
            let coefficient = Some(S::splat(layout.coefficient));
            let out = |g: usize| tile.out.add(g * layout.group[1]);
            if layout.n_stride == 1 {
                for g in 0..G {
                    plain::<S, J, NV>(layout, tile, &sums[g], out(g), coefficient);
                }
            } else if is_woven(layout, J) {
                for g in 0..G {
                    woven::<S, J, NV>(layout, tile, &sums[g], out(g), coefficient);
                }
            } else {
                strided::<S, G, J, NV>(layout, tile, sums, coefficient);
            }
        }
    }
}

/// Writes the sums of pairs of items.
///
/// # Safety
/// As for [`Simd`]; `tile` names elements of its arrays.
#[inline(always)]
pub(super) unsafe fn store_pairs<S: Simd, const G: usize, const H: usize, const ITEMS: usize>(
    layout: &Layout<S::T>,
    tile: &Tile<S::T>,
    sums: &[[S::V; H]; G],
    coefficient: Option<S::V>,
) {
    // SAFETY: the caller's.
    unsafe {
        let mask = S::first(layout.last);
        for g in 0..G {
            let (out, pairs) = (tile.out.add(g * layout.group[1]), &sums[g]);
            if layout.n_stride == ITEMS && layout.item[1] == 1 {
                let elements = ITEMS * layout.last;
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
                    write::<S>(out.add(j * layout.item[1]), columns, coefficient, tile.accumulate, mask);
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

/// Writes a vector, scaled by the coefficient.
///
/// # Safety
/// As for [`Simd`]; `to` has as many elements as a vector.
#[inline(always)]
unsafe fn write_whole<S: Simd>(to: *mut S::T, sum: S::V, coefficient: S::V, accumulate: bool) {
    // SAFETY: the caller's.
    unsafe {
        let value =
            if accumulate { S::multiply_add(sum, coefficient, S::load(to)) } else { S::multiply(sum, coefficient) };
        S::store(to, value);
    }
}

/// Vector `v` of every component, woven.
#[inline(always)]
unsafe fn woven_column<S: Simd, const J: usize, const NV: usize>(sums: &[[S::V; NV]; J], v: usize) -> [S::V; J] {
    let mut components = [sums[0][0]; J];
    for j in 0..J {
        components[j] = sums[j][v];
    }
    // SAFETY: the caller's.
    unsafe { weave::<S, J>(&components) }
}

/// Columns are contiguous.
#[inline(always)]
unsafe fn plain<S: Simd, const J: usize, const NV: usize>(
    layout: &Layout<S::T>,
    tile: &Tile<S::T>,
    sums: &[[S::V; NV]; J],
    out: *mut S::T,
    coefficient: Option<S::V>,
) {
    // SAFETY: the caller's.
    unsafe {
        let (all, mask) = (S::first(S::LANES), S::first(layout.last));
        for (j, row) in sums.iter().enumerate() {
            for (v, sum) in row.iter().enumerate() {
                let to = out.add(j * layout.item[1] + v * S::LANES);
                write::<S>(to, *sum, coefficient, tile.accumulate, if v + 1 < NV { all } else { mask });
            }
        }
    }
}

/// The `J` components of a column are contiguous.
#[inline(always)]
unsafe fn woven<S: Simd, const J: usize, const NV: usize>(
    layout: &Layout<S::T>,
    tile: &Tile<S::T>,
    sums: &[[S::V; NV]; J],
    out: *mut S::T,
    coefficient: Option<S::V>,
) {
    // SAFETY: the caller's.
    unsafe {
        for v in 0..NV {
            let woven = woven_column::<S, J, NV>(sums, v);
            let elements = J * if v + 1 < NV { S::LANES } else { layout.last };
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
    layout: &Layout<S::T>,
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
            let count = if v + 1 < NV { S::LANES } else { layout.last };
            let mut lanes = [layout.coefficient; MOST_LANES];
            let first = tile.out.add(g * layout.group[1] + j * layout.item[1]);
            let to = |k: usize| first.add((v * S::LANES + k) * layout.n_stride);
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
